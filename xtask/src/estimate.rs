//! How much disk a run may take: an upper bound, so that a full disk is found before any work.

use longtail_recipe::{Backbone, DataRecipe, Dataset, MetaSource, Recipe};

use crate::cli::Stage;
use crate::plan::Job;

/// Weights, momentum and two checkpoints of the largest CIFAR ResNet in use, with room to spare.
const REPRESENTATION_BYTES: u64 = 40_000_000;
/// Heads, metrics and figures.
const SMALL_FILES_BYTES: u64 = 1_000_000;

/// Published sizes: classes, training images per class, test images in all.
fn dataset_sizes(dataset: Dataset) -> (u64, u64, u64) {
    match dataset {
        Dataset::Cifar100 => (100, 500, 10_000),
        // A data set that this file does not know yet gets the larger bound.
        _ => (10, 6000, 10_000),
    }
}

/// At most this many images are in the long-tailed training set.
fn train_images(data: &DataRecipe) -> u64 {
    let (classes, per_class, _) = dataset_sizes(data.dataset);
    let largest = data.max_per_class.map_or(per_class, |cap| per_class.min(u64::from(cap)));
    let steps = (classes - 1).max(1) as f64;
    (0..classes).map(|class| (largest as f64 * data.imbalance_factor.powf(-(class as f64) / steps)) as u64 + 1).sum()
}

/// Bytes that one job may write.
pub fn disk_bytes(recipe: &Recipe, job: &Job) -> u64 {
    let (classes, _, test) = dataset_sizes(recipe.data.dataset);
    let meta = if recipe.data.meta_source == MetaSource::None { 0 } else { classes * recipe.data.meta_per_class as u64 };
    match job.stage {
        Stage::Representation => REPRESENTATION_BYTES,
        Stage::Features => {
            let dim: u64 = match recipe.representations.get(&job.variant).map(|variant| variant.backbone) {
                Some(Backbone::ResnetTwoHeaded(_)) => 128,
                _ => 64,
            };
            let rows = train_images(&recipe.data) * (1 + recipe.features.views as u64) + 2 * meta + test;
            rows * (4 * dim + 8)
        }
        Stage::Classifier => (test + meta) * 4 * (classes + 2) + SMALL_FILES_BYTES,
        Stage::Report => SMALL_FILES_BYTES,
    }
}
