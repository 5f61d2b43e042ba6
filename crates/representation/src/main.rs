//! The `representation` binary.
fn main() {}
