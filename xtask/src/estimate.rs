//! How much disk a run may take: an upper bound, so that a full disk is found before any work.

use longtail_recipe::{Backbone, DataRecipe, MetaSource, Recipe, RepresentationMethod};

use crate::cli::Stage;
use crate::plan::Job;

/// Heads, metrics and figures.
const SMALL_FILES_BYTES: u64 = 1_000_000;
/// Training and test images, and classes, of an unknown folder of photos: ILSVRC 2012's.
const FOLDER: ([u64; 2], usize) = ([1_281_167, 50_000], 1000);

/// At most this many images are in the long-tailed training set: the exponential profile, each class rounded up; or what a
/// photo set's lists are published to hold.
fn train_images(data: &DataRecipe) -> u64 {
    let classes = data.dataset.num_classes().unwrap_or(FOLDER.1);
    let (Some(per_class), Some(factor)) = (data.dataset.train_per_class(), data.imbalance_factor) else {
        return data.dataset.published_images().unwrap_or(FOLDER.0)[0];
    };
    let per_class = per_class as u64;
    let largest = data.max_per_class.map_or(per_class, |cap| per_class.min(u64::from(cap))) as f64;
    let steps = classes.saturating_sub(1).max(1) as f64;
    (0..classes).map(|class| (largest * factor.powf(-(class as f64) / steps)) as u64 + 1).sum()
}

/// Parameters of a backbone, rounded up; for the CIFAR networks of the deepest in use.
fn parameters(backbone: Backbone) -> u64 {
    match backbone {
        Backbone::Resnet50 | Backbone::Resnext50 => 24_000_000,
        Backbone::Resnet101 => 43_000_000,
        Backbone::Resnet152 => 59_000_000,
        _ => 2_000_000,
    }
}

/// What stage 1 hands on, and two checkpoints: weights and momentum, prototypes, and the meta-network with two moments.
fn representation_bytes(recipe: &Recipe, variant: &str, classes: u64) -> u64 {
    let Some(representation) = recipe.representations.get(variant) else { return SMALL_FILES_BYTES };
    let dim = representation.backbone.feature_dim() as u64;
    let weights = parameters(representation.backbone) + classes * (dim + 1);
    let theta = match &representation.method {
        RepresentationMethod::Mpcl(mpcl) => {
            let hidden = match mpcl.meta_network.hidden as u64 {
                0 => dim.min(512),
                hidden => hidden,
            };
            2 * dim * hidden + hidden * hidden + 2 * hidden + dim
        }
        _ => 0,
    };
    4 * (5 * weights + 4 * classes * dim + 7 * theta) + SMALL_FILES_BYTES
}

/// Bytes that one job may write.
pub fn disk_bytes(recipe: &Recipe, job: &Job) -> u64 {
    let classes = recipe.data.dataset.num_classes().unwrap_or(FOLDER.1) as u64;
    let test_images = recipe.data.dataset.published_images().unwrap_or(FOLDER.0)[1];
    let meta =
        if recipe.data.meta_source == MetaSource::None { 0 } else { classes * recipe.data.meta_per_class as u64 };
    match job.stage {
        Stage::Representation => representation_bytes(recipe, &job.variant, classes),
        Stage::Features => {
            let dim = recipe.representations.get(&job.variant).map_or(64, |variant| variant.backbone.feature_dim() as u64);
            let rows = train_images(&recipe.data) * (1 + recipe.features.views as u64) + 2 * meta + test_images;
            rows * (4 * dim + 8)
        }
        Stage::Classifier => (test_images + meta) * 4 * (classes + 2) + SMALL_FILES_BYTES,
        Stage::Report => SMALL_FILES_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_for_cifar_100_at_factor_100() {
        let text =
            "data: {dataset: cifar100}\nrepresentations: {ce: {method: {ce: {}}}}\nclassifiers: {joint: {joint: {}}}";
        let recipe = longtail_recipe::read_str(text, "bound.yaml", &[]).expect("a sound recipe");
        // protocol.md §1.1: 10,847 images; rounding up adds less than one a class.
        let images = train_images(&recipe.data);
        assert!((10_847..=10_947).contains(&images), "{images}");
    }
}
