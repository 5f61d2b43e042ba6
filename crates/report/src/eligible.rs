//! Whether a finished row of a seed may stand in the table: its numbers must be those of the recipe as it is now.
//!
//! Every reason against it is a line in words, without a path: it is printed in the report. A new kind of reason is one more
//! function here, called by [`reasons`] if the run's own files show it, or by [`against_others`] if only a comparison with the
//! other seeds does.

use longtail_artifact::Manifest;
use longtail_recipe::{Recipe, RecipeError, Row};

use crate::origin::Origin;
use crate::recipe_fields::differing;
use crate::split_facts::SplitFacts;

/// What speaks against a row by the files of its own run.
///
/// # Errors
/// A row that the recipe does not have.
pub(crate) fn reasons(
    recipe: &Recipe,
    seed: u64,
    row: &Row,
    origin: &Origin,
    split: Option<&SplitFacts>,
) -> Result<Vec<String>, RecipeError> {
    let mut reasons = other_settings(recipe, seed, row, origin)?;
    reasons.extend(made_again(origin, split));
    Ok(reasons)
}

/// What speaks against a row beside the rows that count already: their mean would be one of unlike things.
pub(crate) fn against_others(
    own: (&Origin, Option<&SplitFacts>),
    first: Option<&SplitFacts>,
    row: &[&Origin],
) -> Vec<String> {
    let mut reasons = older_code(own.0, row);
    reasons.extend(other_images(own.1, first));
    reasons
}

/// Stages that were run with other settings than the recipe's.
fn other_settings(recipe: &Recipe, seed: u64, row: &Row, origin: &Origin) -> Result<Vec<String>, RecipeError> {
    let mut of_seed = recipe.clone();
    of_seed.seed = seed;
    let (representation, classifier) = (row.representation.as_str(), row.classifier.as_str());
    let mut reasons: Vec<String> = Vec::new();
    for (manifest, part) in [
        (&origin.representation, of_seed.representation_part(representation)?),
        (&origin.features, of_seed.features_part(representation)?),
        (&origin.classifier, of_seed.classifier_part(representation, classifier)?),
    ] {
        let Some(manifest) = manifest else { continue };
        for reason in differing(&manifest.recipe_part, &part, row) {
            // `data` is in the parts of two stages.
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    Ok(reasons)
}

/// Stages whose inputs have been made again since: what came of the new ones is not there yet.
fn made_again(origin: &Origin, split: Option<&SplitFacts>) -> Vec<String> {
    let Origin { representation, features, classifier } = origin;
    let mut reasons = Vec::new();
    for (stage, reader) in [("representation", representation), ("features", features)] {
        let read = reader.as_ref().and_then(|manifest| manifest.inputs.get("split.safetensors"));
        if read.zip(split).is_some_and(|(read, split)| read.blake3 != split.hash) {
            reasons.push(format!("the split was drawn again after stage {stage} read it"));
        }
    }
    for (stage, reader, before, maker) in [
        ("features", features, "representation", representation),
        ("classifier", classifier, "representation", representation),
        ("classifier", classifier, "features", features),
    ] {
        if let (Some(reader), Some(maker)) = (reader, maker)
            && let Some(file) = other_output(reader, before, maker)
        {
            reasons.push(format!("stage {before} made {file} again after stage {stage} read it"));
        }
    }
    reasons
}

/// The first file of stage `before` that `reader` read otherwise than `maker` has it now.
fn other_output(reader: &Manifest, before: &str, maker: &Manifest) -> Option<String> {
    reader.inputs.iter().find_map(|(name, read)| {
        let file = name.strip_prefix(before)?.strip_prefix('/')?;
        let made = maker.outputs.get(file)?;
        (made.blake3 != read.blake3).then(|| file.to_owned())
    })
}

/// Stages whose code is older than that of another seed of the row: the same recipe gave other numbers then.
fn older_code(own: &Origin, row: &[&Origin]) -> Vec<String> {
    let newest = |stage: &str| {
        let versions = row.iter().flat_map(|origin| origin.stages()).filter(|(other, _, _)| *other == stage);
        versions.map(|(_, _, manifest)| manifest.code_version).max()
    };
    own.stages()
        .filter_map(|(stage, _, manifest)| {
            let newest = newest(stage).filter(|newest| *newest > manifest.code_version)?;
            Some(format!("stage {stage} has code version {}, other seeds have {newest}", manifest.code_version))
        })
        .collect()
}

/// Images that are not those of the first seed that counts. What images are known by is written down by the split.
fn other_images(own: Option<&SplitFacts>, first: Option<&SplitFacts>) -> Option<String> {
    let known_by = |split: Option<&SplitFacts>| split.and_then(|split| split.data_hash.clone());
    let (own, first) = (known_by(own)?, known_by(first)?);
    (own != first).then(|| "its images are not those of the other seeds".to_owned())
}
