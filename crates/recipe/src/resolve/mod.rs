//! From the raw form to the checked one: defaults filled in, ranges checked, parts checked against each other.

mod data;
mod photo;
mod representation;
mod rows;

use indexmap::IndexMap;

pub(crate) use representation::schedule;

use crate::check::{At, Problem};
use crate::classifier::ClassifierRecipe;
use crate::raw::{RawFeatures, RawRecipe};
use crate::resolved::{FeaturesRecipe, Recipe};

/// The checked recipe; `stem` names it when it does not name itself.
pub(crate) fn resolve(raw: RawRecipe, stem: &str) -> Result<Recipe, Problem> {
    let recipe = raw.recipe.unwrap_or_else(|| stem.to_string());
    At::root("recipe").folder_name(&recipe)?;
    raw.description.iter().try_for_each(|text| At::root("description").shown_text(text))?;
    let data = data::resolve(raw.data)?;

    let mut representations = IndexMap::new();
    for (name, entry) in raw.representations.unwrap_or_default() {
        let at = At::root("representations").entry(&name)?;
        let resolved = representation::resolve(&at, entry, &data)?;
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
        features: features(raw.features)?,
        classifiers,
        rows,
    })
}

fn features(raw: Option<RawFeatures>) -> Result<FeaturesRecipe, Problem> {
    let at = At::root("features");
    let raw = raw.unwrap_or_default();
    Ok(FeaturesRecipe {
        views: at.count("views", raw.views, 0, 0..=1000, "each view is a dump of the whole training set")?,
        batch_size: at.count("batch_size", raw.batch_size, 256, 1..=65536, "images per forward")?,
    })
}
