//! What every stage reads: one function a stage makes its [`StageSpec`], so that a stage's binary and `xtask status`
//! agree on its key by construction.
//!
//! Inputs are the hand-off files themselves, not the manifests beside them: if a re-run of a stage gives the same bytes,
//! the stages after it stay valid. Every stage of a run is told whether the images are still those of its split.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{ArtifactError, ImageMatch, RunLayout, StageInput, StageSpec, StageState, code_versions, stage_state};

fn input(name: impl Into<String>, path: PathBuf) -> StageInput {
    StageInput { name: name.into(), path }
}

/// Stage 1 reads the split (whose metadata carries the data set's hash).
///
/// `recipe_part` is `Recipe::representation_part(variant)`.
pub fn representation(layout: &RunLayout, images: &ImageMatch, recipe_part: Value, device: &str) -> StageSpec {
    StageSpec {
        stage: "representation",
        code_version: code_versions::REPRESENTATION,
        recipe_part,
        inputs: vec![input("split.safetensors", layout.split())],
        device: device.to_owned(),
        images: images.clone(),
    }
}

/// Stage 2 reads the split and stage 1's backbone.
///
/// `recipe_part` is `Recipe::features_part(variant)`.
pub fn features(layout: &RunLayout, images: &ImageMatch, variant: &str, recipe_part: Value, device: &str) -> StageSpec {
    let representation = layout.representation(variant);
    StageSpec {
        stage: "features",
        code_version: code_versions::FEATURES,
        recipe_part,
        inputs: vec![
            input("split.safetensors", layout.split()),
            input("representation/backbone.safetensors", representation.join("backbone.safetensors")),
        ],
        device: device.to_owned(),
        images: images.clone(),
    }
}

/// Stage 3 reads every dump of stage 2, and stage 1's head and prototypes.
///
/// `recipe_part` is `Recipe::classifier_part(variant, method)`; `views` is the number of augmented views that the method
/// reads: the recipe's `features.views` for `tailcalib_x`, 0 for every other method. Views are numbered from 1.
pub fn classifier(
    layout: &RunLayout,
    images: &ImageMatch,
    variant: &str,
    views: usize,
    recipe_part: Value,
    device: &str,
) -> StageSpec {
    let representation = layout.representation(variant);
    let features = layout.features(variant);
    let dumps = ["train", "meta", "val", "test"].into_iter().map(str::to_owned);
    let mut inputs: Vec<StageInput> = dumps
        .chain((1..=views).map(|view| format!("train-view-{view}")))
        .map(|dump| input(format!("features/{dump}.safetensors"), features.join(format!("{dump}.safetensors"))))
        .collect();
    for file in ["head.safetensors", "prototypes.safetensors"] {
        inputs.push(input(format!("representation/{file}"), representation.join(file)));
    }
    StageSpec {
        stage: "classifier",
        code_version: code_versions::CLASSIFIER,
        recipe_part,
        inputs,
        device: device.to_owned(),
        images: images.clone(),
    }
}

/// The report reads the predictions of every row of the table, for every seed.
///
/// `recipe_part` is what the table shows beside them: name, description, shot groups and `rows` with the paper's numbers and the
/// expected ranges. `rows` are (variant, method); `seed_dirs` are the run folders (`runs/NAME/seed-N`), in the table's order.
pub fn report(seed_dirs: &[PathBuf], rows: &[(&str, &str)], recipe_part: Value) -> StageSpec {
    let mut inputs = Vec::with_capacity(seed_dirs.len() * rows.len());
    for seed_dir in seed_dirs {
        let seed = seed_dir.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let layout = RunLayout::new(seed_dir.as_path() as &Path);
        for (variant, method) in rows {
            inputs.push(input(
                format!("{seed}/classifier/{variant}/{method}/predictions.safetensors"),
                layout.classifier(variant, method).join("predictions.safetensors"),
            ));
        }
    }
    let device = "cpu".to_owned();
    // Predictions say what images they are of through the stages before; seeds are compared where they are chosen.
    let images = ImageMatch::Same;
    StageSpec { stage: "report", code_version: code_versions::REPORT, recipe_part, inputs, device, images }
}

/// Checks that the stage that this one reads from is finished and of this recipe.
///
/// With `accept_stale` its files are taken as they are, also those of another program, which come without a manifest: what is
/// missing or wrong in them is found when they are read.
///
/// # Errors
/// [`ArtifactError::Upstream`] with the reasons.
pub fn require_up_to_date(dir: &Path, spec: &StageSpec, accept_stale: bool) -> Result<(), ArtifactError> {
    let what = match stage_state(dir, spec)? {
        StageState::UpToDate => return Ok(()),
        StageState::Stale { .. } | StageState::Missing if accept_stale => return Ok(()),
        StageState::Stale { reasons } => {
            format!("was made with another recipe or from other inputs ({})", reasons.join("; "))
        }
        StageState::Missing => format!("has no finished stage `{}`", spec.stage),
        StageState::Locked { .. } => "is being written by another process".to_owned(),
    };
    Err(ArtifactError::Upstream { path: dir.to_owned(), what })
}
