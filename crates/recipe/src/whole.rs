//! A whole recipe: as YAML has it, and checked.
//!
//! What is named `Raw…` here and in the files of a recipe's parts mirrors the YAML, every field optional: what is absent takes its
//! default in `resolve`. Raw types are plain structs that refuse unknown fields, and externally tagged enums in map form
//! (`serde_yaml`'s `singleton_map_recursive`): `tag`, `flatten` and `untagged` would lose the line of an error.
//!
//! The other types are the checked recipe, which the rest of the workspace takes. Every struct of it is `#[non_exhaustive]`, so only
//! [`crate::read`] (through `resolve`) makes one, and every number in it has been checked against the range in its doc. It serialises
//! to the YAML that [`crate::read`] accepts, with every default written out: that is the `recipe.yaml` of a run.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use serde_yaml::Value;

use crate::check::{At, Problem};
use crate::classifier::{ClassifierRecipe, RawClassifier, RawHeadTraining};
use crate::data::{self, DataRecipe, RawData};
use crate::features::{self, FeaturesRecipe, RawFeatures};
use crate::rows::{self, RawRow, Row};
use crate::stage1::{self, RawRepresentation, RepresentationRecipe};

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

/// The raw form of a tree.
pub(crate) fn typed(tree: &Value) -> Result<RawRecipe, serde_yaml::Error> {
    serde_yaml::with::singleton_map_recursive::deserialize(tree)
}

/// The checked recipe; `stem` names it when it does not name itself.
pub(crate) fn resolve(raw: RawRecipe, stem: &str) -> Result<Recipe, Problem> {
    let recipe = raw.recipe.unwrap_or_else(|| stem.to_string());
    At::root("recipe").folder_name(&recipe)?;
    raw.description.iter().try_for_each(|text| At::root("description").shown_text(text))?;
    let data = data::resolve(raw.data)?;

    let mut representations = IndexMap::new();
    for (name, entry) in raw.representations.unwrap_or_default() {
        let at = At::root("representations").entry(&name)?;
        let resolved = stage1::resolve(&at, entry, &data)?;
        representations.insert(name, resolved);
    }
    if representations.is_empty() {
        return Err(At::root("representations").conflict(
            "a recipe needs at least one representation",
            "add, for instance, `representations: {ce: {method: {ce: {}}}}`",
        ));
    }

    let mut classifiers = IndexMap::new();
    for (name, entry) in raw.classifiers.unwrap_or_default() {
        let at = At::root("classifiers").entry(&name)?;
        let entry =
            entry.ok_or_else(|| at.missing("a method", &format!("one of {}", ClassifierRecipe::NAMES.join(", "))))?;
        let resolved = ClassifierRecipe::resolve(&at, entry, &data)?;
        classifiers.insert(name, resolved);
    }
    if classifiers.is_empty() {
        return Err(At::root("classifiers").conflict(
            "a recipe needs at least one classifier",
            "add, for instance, `classifiers: {joint: {joint: {}}}`",
        ));
    }

    let rows = rows::resolve(raw.rows, &representations, &classifiers)?;
    Ok(Recipe {
        recipe,
        description: raw.description.unwrap_or_default(),
        seed: raw.seed.unwrap_or(0),
        data,
        representations,
        features: features::resolve(raw.features)?,
        classifiers,
        rows,
    })
}
