//! The `features` binary.
fn main() {}
