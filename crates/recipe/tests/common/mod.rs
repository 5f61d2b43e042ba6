//! A small recipe that is right, and what becomes of it when it is changed.

#![allow(dead_code)] // each test binary uses a part of it

use longtail_recipe::{Recipe, RecipeError, read_str};

pub const GOOD: &str = include_str!("small.yaml");

/// The good recipe with `from` replaced by `to`.
pub fn with(from: &str, to: &str) -> Result<Recipe, RecipeError> {
    assert!(GOOD.contains(from), "the test replaces text that is there: {from}");
    read_str(&GOOD.replacen(from, to, 1), "small.yaml", &[])
}

/// The good recipe under `--set PATH=VALUE`.
pub fn set(path: &str, value: &str) -> Result<Recipe, RecipeError> {
    read_str(GOOD, "small.yaml", &[(path.to_string(), value.to_string())])
}

/// What a person reads.
pub fn words(result: Result<Recipe, RecipeError>) -> String {
    result.expect_err("refused").to_string()
}
