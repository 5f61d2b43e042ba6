//! Stage 2 as a whole: every split of one variant.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use longtail_artifact::{
    Begin, BeginOptions, FileHash, Interrupted, RunLayout, StageArgs, StageRun, counted, progress, stage_specs,
};
use longtail_datasets::identity::{compare, load_accepting, with_bar};
use longtail_datasets::{
    DataSource, DatasetError, EvalLoader, Identified, ImageSet, Split, Transform, load_identified,
};
use longtail_recipe::{Normalize, Recipe};
use longtail_training::Compute;
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
    let recipe = longtail_recipe::read(&args.recipe, &args.overrides()?)?;
    let layout = RunLayout::new(&args.run);
    let settled = args.device("features", Compute::gpus())?;
    let device = settled.to_string();
    let variant = &args.variant;
    let cannot_start = || format!("cannot start stage `features` of variant `{variant}`");
    let images = compare(&recipe.data, args.data.as_deref(), &layout, args.quiet);
    let images = images.map_err(unreadable).with_context(cannot_start)?;
    let upstream = stage_specs::representation(&layout, &images, recipe.representation_part(variant)?, &device);
    stage_specs::require_up_to_date(&layout.representation(variant), &upstream, args.accept_stale)
        .with_context(cannot_start)?;
    if args.accept_stale && !layout.split().exists() {
        draw_split(&recipe, &layout, args).with_context(cannot_start)?;
    }
    let spec = stage_specs::features(&layout, &images, variant, recipe.features_part(variant)?, &device);
    let options = BeginOptions {
        force: args.force,
        accept_stale: args.accept_stale,
        accept_device_change: args.accept_device_change,
    };
    let nothing_to_do = |words: &str| {
        if !args.quiet {
            eprintln!("features {variant}: {words}");
        }
        Ok(ExitCode::SUCCESS)
    };
    let mut stage = match StageRun::begin(&layout.features(variant), &spec, options).with_context(cannot_start)? {
        Begin::UpToDate => return nothing_to_do("up to date"),
        Begin::KeptStale => return nothing_to_do("kept as it is"),
        Begin::Run(stage) => stage,
    };
    let backbone_path = layout.representation(variant).join("backbone.safetensors");
    let mut backbone =
        FrozenBackbone::open(&backbone_path).and_then(|backbone| backbone.on(settled)).with_context(cannot_start)?;
    let (source, images) = load_images(&recipe, &layout, args)?;
    let split = match args.accept_stale {
        true => Split::load_of_any_images(&layout.split(), &source),
        false => Split::load(&layout.split(), &source),
    };
    let split = split.map_err(DatasetError::explained).with_context(cannot_start)?;
    check_data(&backbone, &backbone_path, &source.train, &recipe.data.normalize).with_context(cannot_start)?;
    let (train, test) = (Arc::new(source.train), Arc::new(source.test));
    let dumps = plan(&recipe, variant, &split, &train, &test)?;

    let bar =
        progress(dumps.iter().map(|dump| dump.loader.len() as u64).sum(), &format!("features {variant}"), args.quiet);
    let finished = dump_all(&stage, &mut backbone, &dumps, &bar, args.quiet).map_err(|error| match error {
        FeaturesError::Dataset(error) => error.explained(), // with its hint
        other => other.into(),
    })?;
    bar.finish_and_clear();
    let outputs: Vec<(&str, FileHash)> = finished.iter().map(|(name, hash)| (name.as_str(), hash.clone())).collect();
    let (data, dir) = (&recipe.data, args.data.as_deref());
    let changed = with_bar(args.quiet, |progress| images.changes(data, dir, progress)).map_err(unreadable)?;
    if let Some(how) = &changed {
        stage.images_changed(how);
    }
    stage.finish(&outputs)?;
    if let Some(how) = changed {
        let error = FeaturesError::ImagesChanged { how };
        return Err(error).with_context(|| format!("stage `features` of variant `{variant}` is finished but stale"));
    }
    if args.json {
        println!("{}", json!({"variant": variant, "feature_dim": backbone.feature_dim(), "files": finished}));
    } else if !args.quiet {
        eprintln!("features {variant}: {}, d = {}", counted(outputs.len(), "file"), backbone.feature_dim());
    }
    Ok(ExitCode::SUCCESS)
}

/// What stage 1 would have done: with an imported backbone there was none.
fn draw_split(recipe: &Recipe, layout: &RunLayout, args: &StageArgs) -> anyhow::Result<()> {
    let (source, images) = load_images(recipe, layout, args)?;
    let bar = progress((source.train.len() + source.test.len()) as u64, "decoding every image once", args.quiet);
    let split = Split::of_run(layout, &recipe.data, &source, args.force, &|done, _| bar.set_position(done));
    bar.finish_and_clear();
    split.and_then(|_| images.record(layout)).map_err(unreadable)
}

fn load_images(recipe: &Recipe, layout: &RunLayout, args: &StageArgs) -> anyhow::Result<(DataSource, Identified)> {
    let load = if args.accept_stale { load_accepting } else { load_identified };
    let loaded = with_bar(args.quiet, |progress| load(&recipe.data, args.data.as_deref(), layout, progress))
        .map_err(unreadable)
        .with_context(|| format!("cannot read the images of `{}`", recipe.recipe))?;
    if let Some(note) = loaded.1.note().filter(|_| !args.quiet) {
        eprintln!("warning: {note}");
    }
    Ok(loaded)
}

/// With its hint, or as an interruption.
fn unreadable(error: DatasetError) -> anyhow::Error {
    match error {
        DatasetError::Interrupted => Interrupted.into(),
        error => error.explained(),
    }
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
    if (a.height, a.width, a.channels) != (b.height, b.width, b.channels) {
        let words = |height, width, channels| format!("{height}×{width}×{channels}");
        return other("images of", words(a.height, a.width, a.channels), words(b.height, b.width, b.channels));
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
