//! The code version of every stage: part of its key, raised by hand when the stage's output changes for the same recipe.
//!
//! They stand here, not in the stage crates, because `xtask status` computes the same keys and may not know those crates.
//! What changes for photographs or for cosine heads alone has a number of its own, in `recipe`'s `parts.rs`.
//! A small-recipe test in `tests/` fails when an output moves while its number here does not.

/// Keys in which a stage's part holds such a number, which no recipe has; and of which code it is.
const OF_PARTS: [(&str, &str); 3] = [
    ("cosine_head", "the training of cosine heads"),
    ("given_values", "the record of a τ that was given"),
    ("photo_pixels", "the decoding of photographs"),
];

/// Of which code the number at `key` of a stage's part is the version; `None` for what a recipe has.
pub fn of_part(key: &str) -> Option<&'static str> {
    OF_PARTS.iter().find(|(name, _)| *name == key).map(|(_, code)| *code)
}

/// Stage 1, `representation`.
pub const REPRESENTATION: u32 = 3;
/// Stage 2, `features`.
pub const FEATURES: u32 = 3;
/// Stage 3, `classifier`.
pub const CLASSIFIER: u32 = 2;
/// The tables and plots, `report`.
pub const REPORT: u32 = 2;
