//! Types that mirror the YAML, every field optional: what is absent takes its default in `resolve`.
//!
//! Plain structs that refuse unknown fields, and externally tagged enums in map form (`serde_yaml`'s
//! `singleton_map_recursive`): `tag`, `flatten` and `untagged` would lose the line of an error. What each field means,
//! and its range, stands once, in [`crate::resolved`].

mod representation;

pub(crate) use representation::*;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_yaml::Value;

use crate::classifier::{RawClassifier, RawHeadTraining};
use crate::resolved::{Dataset, Decode, ExifOrientation, MetaSource, OnBadImage};

/// The raw form of a tree.
pub(crate) fn typed(tree: &Value) -> Result<RawRecipe, serde_yaml::Error> {
    serde_yaml::with::singleton_map_recursive::deserialize(tree)
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRecipe {
    pub recipe: Option<String>,
    pub description: Option<String>,
    pub seed: Option<u64>,
    pub data: Option<RawData>,
    /// Settings that every representation starts from; its own go over them.
    // Merged under each representation before typing: see `merge`.
    #[serde(rename = "representation_defaults")]
    pub _representation_defaults: Option<RawRepresentation>,
    pub representations: Option<IndexMap<String, RawRepresentation>>,
    pub features: Option<RawFeatures>,
    /// Settings that the training of every head of stage 3 starts from; a classifier's own `training` goes over them.
    #[serde(rename = "head_training_defaults")]
    pub _head_training_defaults: Option<RawHeadTraining>,
    // `crt:` alone stands for `crt: {crt: {}}`: see `merge`.
    pub classifiers: Option<IndexMap<String, Option<RawClassifier>>>,
    pub rows: Option<Vec<RawRow>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawData {
    pub dataset: Option<Dataset>,
    pub imbalance_factor: Option<f64>,
    pub meta_source: Option<MetaSource>,
    pub meta_per_class: Option<usize>,
    pub subset_seed: Option<u32>,
    pub meta_seed: Option<u32>,
    pub max_per_class: Option<u32>,
    pub shot_groups: Option<RawShotGroups>,
    pub normalize: Option<RawNormalize>,
    pub image_side: Option<usize>,
    pub resize_short: Option<usize>,
    pub decode: Option<Decode>,
    pub exif_orientation: Option<ExifOrientation>,
    pub on_bad_image: Option<OnBadImage>,
    pub packed: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawShotGroups {
    pub many_above: Option<u32>,
    pub few_below: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNormalize {
    pub mean: Option<Vec<f32>>,
    pub std: Option<Vec<f32>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFeatures {
    pub views: Option<usize>,
    pub batch_size: Option<usize>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRow {
    pub representation: Option<String>,
    pub classifier: Option<String>,
    pub paper: Option<RawAccuracies>,
    pub expected: Option<RawExpectedRanges>,
    pub note: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAccuracies {
    pub many: Option<f64>,
    pub medium: Option<f64>,
    pub few: Option<f64>,
    pub all: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawExpectedRanges {
    pub many: Option<[f64; 2]>,
    pub medium: Option<[f64; 2]>,
    pub few: Option<[f64; 2]>,
    pub all: Option<[f64; 2]>,
}

/// Where a method starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Preset {
    /// The documented defaults.
    #[default]
    Defaults,
    /// The paper's equations to the letter.
    PaperLiteral,
}
