//! The `report` binary.
fn main() {}
