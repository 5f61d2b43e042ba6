//! How the images stand to those that a run was made from.
//!
//! A run's images are named once, by the identity (a hash) in the metadata of its `split.safetensors`, which every stage's key
//! reaches through the files between. What the images are *now* only `datasets` can tell; its verdict is part of every
//! [`crate::StageSpec`], so that nothing is called up to date over other images.

use serde_json::Value;

use crate::{RunLayout, TensorFile};

/// The field of a split's metadata that holds the identity of the images that it was drawn from.
pub const IDENTITY: &str = "data_hash";

/// What came of comparing the images with those that a run's split was drawn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageMatch {
    /// They are the same, or nothing was drawn yet.
    Same,
    /// They could not be looked at; a finished stage is taken at its word.
    NotCompared,
    /// They are others, in words that say which: a reason for every stage of the run to be stale.
    Other(String),
}

impl ImageMatch {
    /// Why stages are stale, if the images are others.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Other(words) => Some(words),
            Self::Same | Self::NotCompared => None,
        }
    }
}

/// The identity of the images that the run's split was drawn from; `None` where there is no split, or one that cannot be read.
pub fn split_identity(layout: &RunLayout) -> Option<String> {
    let split = TensorFile::open(&layout.split()).ok()?;
    split.metadata().get(IDENTITY).and_then(Value::as_str).map(str::to_owned)
}
