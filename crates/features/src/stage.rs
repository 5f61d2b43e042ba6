//! Stage 2 as a whole: every split of one variant.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use longtail_artifact::{FileHash, counted, stage_specs};
use longtail_datasets::{DataSource, DatasetError, EvalLoader, Identified, ImageSet, Split, Transform};
use longtail_recipe::{Normalize, Recipe};
use longtail_stage::{Frame, StageArgs};
use serde_json::{Value, json};

use crate::dump_all::dump_all;
use crate::{Dump, FeaturesError, FrozenBackbone};

/// Batches that are made ahead of the network.
const PREFETCH: usize = 2;

/// Runs stage 2 for one variant, from files to files; does nothing when they are up to date.
///
/// Dumps are collected beside the checkpoints and moved to their places together, at the end: a run that fails half way leaves
/// the files of an earlier one as they were. A run that was interrupted or killed goes on where its last checkpoint was, which
/// may be inside a dump.
///
/// # Errors
/// Everything that keeps it from finishing; finished artifacts are left as they were.
pub fn run(args: &StageArgs) -> anyhow::Result<ExitCode> {
    let variant = &args.variant;
    let frame = Frame::new("features", variant, format!("cannot start stage `features` of variant `{variant}`"), args)?;
    let (layout, cannot_start) = (frame.layout(), || frame.cannot_start());
    let recipe = frame.recipe()?;
    let settled = frame.device()?;
    let device = settled.to_string();
    let images = frame.compare_images(&recipe)?;
    frame.require_representation(&recipe, &images, &device)?;
    if args.accept_stale && !layout.split().exists() {
        draw_split(&frame, &recipe, args.force).with_context(cannot_start)?;
    }
    let spec = stage_specs::features(layout, &images, variant, recipe.features_part(variant)?, &device);
    let begun = frame.begin(&layout.features(variant), &spec).with_context(cannot_start)?;
    let Some(mut stage) = begun else { return Ok(ExitCode::SUCCESS) };
    let backbone_path = layout.representation(variant).join("backbone.safetensors");
    let mut backbone =
        FrozenBackbone::open(&backbone_path).and_then(|backbone| backbone.on(settled)).with_context(cannot_start)?;
    let (source, images) = load_images(&frame, &recipe)?;
    let split = frame.load_split(&source).with_context(cannot_start)?;
    check_data(&backbone, &backbone_path, &source.train, &recipe.data.normalize).with_context(cannot_start)?;
    let (train, test) = (Arc::new(source.train), Arc::new(source.test));
    let dumps = plan(&recipe, variant, &split, &train, &test)?;

    let mut terminal = frame.terminal();
    terminal.start(dumps.iter().map(|dump| dump.loader.len() as u64).sum(), 0);
    let finished = dump_all(&stage, &mut backbone, &dumps, &terminal).map_err(|error| match error {
        FeaturesError::Dataset(error) => error.explained(), // with its hint
        other => other.into(),
    })?;
    terminal.clear();
    let outputs: Vec<(&str, FileHash)> = finished.iter().map(|(name, hash)| (name.as_str(), hash.clone())).collect();
    let changed = frame.changes(&recipe.data, &images).map_err(DatasetError::explained)?;
    stage.images_changed(changed.as_deref());
    stage.finish(&outputs)?;
    if let Some(how) = changed {
        let error = FeaturesError::ImagesChanged { how };
        return Err(error).with_context(|| format!("stage `features` of variant `{variant}` is finished but stale"));
    }
    let dim = backbone.feature_dim();
    frame.done(
        &json!({"variant": variant, "feature_dim": dim, "files": finished}),
        &format!("{}, d = {dim}", counted(outputs.len(), "file")),
    );
    Ok(ExitCode::SUCCESS)
}

/// What stage 1 would have done: with an imported backbone there was none.
fn draw_split(frame: &Frame<'_>, recipe: &Recipe, afresh: bool) -> anyhow::Result<()> {
    let (source, images) = load_images(frame, recipe)?;
    frame.draw_split(recipe, &source, &images, afresh).map(drop)
}

fn load_images(frame: &Frame<'_>, recipe: &Recipe) -> anyhow::Result<(DataSource, Identified)> {
    let loaded = frame.load_images(recipe).with_context(|| format!("cannot read the images of `{}`", recipe.recipe))?;
    frame.warn_of(&loaded.1);
    Ok(loaded)
}

/// The backbone must have been trained on such images and on so many classes.
///
/// An imported one says what its images were normalised by; stage 1's own is of the recipe that its manifest vouches for.
fn check_data(
    backbone: &FrozenBackbone,
    path: &Path,
    images: &ImageSet,
    normalize: &Normalize,
) -> Result<(), FeaturesError> {
    let other = |what, backbone: String, data: String| {
        Err(FeaturesError::OtherData { path: path.to_owned(), what, backbone, data })
    };
    let (a, b) = (backbone.image(), images.shape());
    if a != b {
        return other("images of", a.to_string(), b.to_string());
    }
    if let Some(stated) = backbone.normalize() {
        let ours = [normalize.mean.as_slice(), &normalize.std].concat();
        if stated.len() != ours.len() || stated.iter().zip(&ours).any(|(a, b)| (a - f64::from(*b)).abs() > 1e-6) {
            let words = |values: &[f64]| {
                let (mean, std) = values.split_at(values.len() / 2);
                format!("{mean:?} / {std:?}")
            };
            // Through its shortest decimals: 0.485f32 is 0.485 to people.
            let ours: Vec<f64> = ours.iter().map(|value| value.to_string().parse().unwrap_or(f64::NAN)).collect();
            return other("images normalised by", words(&stated), words(&ours));
        }
    }
    match backbone.num_classes() {
        Some(classes) if classes != images.num_classes as u64 => {
            other("a number of classes of", classes.to_string(), images.num_classes.to_string())
        }
        _ => Ok(()),
    }
}

/// The four splits under the evaluation transform, then the augmented views of train, numbered from 1.
fn plan<'a>(
    recipe: &Recipe,
    variant: &str,
    split: &'a Split,
    train: &Arc<ImageSet>,
    test: &Arc<ImageSet>,
) -> anyhow::Result<Vec<Dump<'a>>> {
    let batch_size = recipe.features.batch_size;
    let evaluation = || Transform::eval(&recipe.data, train.shape());
    let parts = [
        ("train", &split.train, train, false),
        ("meta", &split.meta, train, false),
        ("val", &split.val, train, false),
        ("test", &split.test, test, true),
    ];
    let mut dumps = Vec::new();
    for (name, indices, images, from_test) in parts {
        let transform = evaluation()?;
        let transforms = transform.describe();
        let loader = EvalLoader::new(Arc::clone(images), indices.clone(), transform, batch_size, PREFETCH)?;
        dumps.push(Dump { name: name.to_owned(), loader, from_test, class_counts: &split.class_counts, transforms });
    }
    let augmentation = recipe.representation(variant)?.augmentation;
    for view in 1..=recipe.features.views {
        let transform = Transform::train(augmentation, &recipe.data, train.shape())?;
        let transforms: Value = transform.describe();
        let loader = EvalLoader::augmented(
            Arc::clone(train),
            split.train.clone(),
            transform,
            view as u64,
            recipe.seed,
            "features/view",
            batch_size,
            PREFETCH,
        )?;
        let name = format!("train-view-{view}");
        dumps.push(Dump { name, loader, from_test: false, class_counts: &split.class_counts, transforms });
    }
    Ok(dumps)
}
