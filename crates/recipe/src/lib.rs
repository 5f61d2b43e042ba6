//! A pipeline's YAML, parsed into a raw form and resolved into a checked one.
pub mod resolved;
pub use resolved::*;
