//! The code version of every stage: part of its key, raised by hand when the stage's output changes for the same recipe.
//!
//! They stand here, not in the stage crates, because `xtask status` computes the same keys and may not know those crates.
//! What changes for photographs or for cosine heads alone has a number of its own, in `recipe`'s `parts.rs`.
//! A small-recipe test in `tests/` fails when an output moves while its number here does not.

/// Stage 1, `representation`.
pub const REPRESENTATION: u32 = 3;
/// Stage 2, `features`.
pub const FEATURES: u32 = 3;
/// Stage 3, `classifier`.
pub const CLASSIFIER: u32 = 2;
/// The tables and plots, `report`.
pub const REPORT: u32 = 2;
