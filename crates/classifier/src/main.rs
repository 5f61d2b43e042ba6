//! The `classifier` binary.
fn main() {}
