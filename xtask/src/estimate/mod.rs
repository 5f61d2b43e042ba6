//! What a run may take before it has ever run here: disk, an upper bound, so that a full one is found before any work; and
//! time, roughly.

mod images;
mod time;

pub use images::Images;
pub use time::{HARDWARE, rough_secs};

use longtail_recipe::{Backbone, Recipe, RepresentationMethod};

use crate::cli::Stage;
use crate::plan::Job;

/// Heads, metrics and figures.
const SMALL_FILES_BYTES: u64 = 1_000_000;
/// Parameters of a backbone, rounded up; for the CIFAR networks of the deepest in use.
fn parameters(backbone: Backbone) -> u64 {
    match backbone {
        Backbone::Resnet50 | Backbone::Resnext50 => 24_000_000,
        Backbone::Resnet101 => 43_000_000,
        Backbone::Resnet152 => 59_000_000,
        Backbone::CifarResnet(_) | Backbone::CifarResnetTwoHeaded(_) => 2_000_000,
    }
}

/// What stage 1 hands on, and two checkpoints: weights and momentum, prototypes, and the meta-network with two moments.
fn representation_bytes(recipe: &Recipe, variant: &str, classes: u64) -> u64 {
    let Some(representation) = recipe.representations.get(variant) else { return SMALL_FILES_BYTES };
    let dim = representation.backbone.feature_dim() as u64;
    let weights = parameters(representation.backbone) + classes * (dim + 1);
    let theta = match &representation.method {
        RepresentationMethod::Mpcl(mpcl) => {
            let hidden = mpcl.meta_network.hidden_width(dim as usize) as u64;
            2 * dim * hidden + hidden * hidden + 2 * hidden + dim
        }
        RepresentationMethod::Ce(_) => 0,
    };
    4 * (5 * weights + 4 * classes * dim + 7 * theta) + SMALL_FILES_BYTES
}

/// Bytes that one job may write.
pub fn disk_bytes(recipe: &Recipe, job: &Job, images: &Images) -> u64 {
    let Images { train, val, meta, test, classes } = *images;
    match job.stage {
        Stage::Representation => representation_bytes(recipe, &job.variant, classes),
        Stage::Features => {
            let dim =
                recipe.representations.get(&job.variant).map_or(64, |variant| variant.backbone.feature_dim() as u64);
            let rows = train * (1 + recipe.features.views as u64) + val + 2 * meta + test;
            rows * (4 * dim + 8)
        }
        Stage::Classifier => (test + val + meta) * 4 * (classes + 2) + SMALL_FILES_BYTES,
        Stage::Report => SMALL_FILES_BYTES,
    }
}
