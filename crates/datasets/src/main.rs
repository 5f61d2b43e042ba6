//! The `datasets` binary.
fn main() {}
