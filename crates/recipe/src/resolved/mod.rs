//! The checked recipe: what the rest of the workspace takes.
//!
//! Every struct here is `#[non_exhaustive]`, so only [`crate::read`] (through `resolve`) makes one, and every number in
//! it has been checked against the range in its doc. It serialises to the YAML that [`crate::read`] accepts, with every
//! default written out: that is the `recipe.yaml` of a run.

mod data;
mod representation;

pub use data::*;
pub use representation::*;

use indexmap::IndexMap;
use serde::Serialize;

use crate::classifier::ClassifierRecipe;

/// A whole pipeline: data, named representations, named classifiers, and the rows (pairs of the two) of its table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Recipe {
    /// The recipe's name, `[a-z0-9_.-]`, no leading dot; also the folder under `runs/`. Default: the file's stem.
    pub recipe: String,
    /// One line for `cargo xtask list`. Default empty.
    pub description: String,
    /// The random seed of the run, any u64; default 0. Every stream is a function of (seed, purpose, epoch, index).
    pub seed: u64,
    /// The images and how they are split.
    pub data: DataRecipe,
    /// Stage 1, by variant name. At least one.
    pub representations: IndexMap<String, RepresentationRecipe>,
    /// Stage 2.
    pub features: FeaturesRecipe,
    /// Stage 3, by method name as the recipe calls it. At least one.
    pub classifiers: IndexMap<String, ClassifierRecipe>,
    /// The rows of the table, in its order. No part of any stage's key. Default: every representation with every
    /// classifier.
    pub rows: Vec<Row>,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Row {
    /// A key of `representations`.
    pub representation: String,
    /// A key of `classifiers`.
    pub classifier: String,
    /// The paper's accuracies in percent, where it has this row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paper: Option<Accuracies>,
    /// The range in percent that this recipe is expected to land in; outside it `reproduce` exits with 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedRanges>,
    /// A remark printed under the table (where the paper's number is from, say).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Top-1 accuracies in percent, each in [0, 100].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Accuracies {
    /// Mean over the classes with many training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub many: Option<f64>,
    /// Mean over the classes in between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<f64>,
    /// Mean over the classes with few training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub few: Option<f64>,
    /// Over all test images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<f64>,
}

/// `[low, high]` in percent for each group that is pinned; 0 ≤ low ≤ high ≤ 100.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ExpectedRanges {
    /// Mean over the classes with many training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub many: Option<[f64; 2]>,
    /// Mean over the classes in between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<[f64; 2]>,
    /// Mean over the classes with few training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub few: Option<[f64; 2]>,
    /// Over all test images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<[f64; 2]>,
}

/// Stage 2.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct FeaturesRecipe {
    /// Augmented views of train dumped beside the plain one, 0 to 1000. Default 0.
    pub views: usize,
    /// Images per forward, 1 to 65536. Default 256. Changes no bit, and is no part of the stage's key.
    pub batch_size: usize,
}
