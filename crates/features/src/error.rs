//! What can be wrong with a dump or with what it is made from.

use std::path::PathBuf;

use longtail_artifact::{ArtifactError, Interrupted};
use longtail_backbone::BackboneError;
use longtail_datasets::DatasetError;

/// An error of stage 2, with the offending value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeaturesError {
    /// A hand-off file. (Not `transparent`, here and below: that would hide the inner error, and with it hint and exit code.)
    #[error("{0}")]
    Artifact(#[from] ArtifactError),
    /// The images.
    #[error("{0}")]
    Dataset(#[from] DatasetError),
    /// The network.
    #[error("{0}")]
    Backbone(#[from] BackboneError),
    /// The recipe.
    #[error("{0}")]
    Recipe(#[from] longtail_recipe::RecipeError),
    /// The backbone was trained on other images than those to be dumped.
    #[error("`{}` was trained on {what} {backbone}, the recipe's data has {data}", path.display())]
    OtherData {
        /// The backbone's file.
        path: PathBuf,
        /// What does not agree.
        what: &'static str,
        /// The backbone's.
        backbone: String,
        /// The data's.
        data: String,
    },
    /// A feature that is not a number.
    #[error("the feature of image {index} of the {split} file is not finite ({value} at dimension {dimension})")]
    NotFinite {
        /// `training` or `test`.
        split: &'static str,
        /// Position in the data set's own file.
        index: u32,
        /// The first bad dimension.
        dimension: usize,
        /// The value there.
        value: f32,
    },
    /// Two files that cannot be compared or exported.
    #[error("{0}")]
    Unfit(String),
    /// A finished dump that cannot be put in its place.
    #[error("a finished dump cannot be moved")]
    Move(#[source] std::io::Error),
    /// Ctrl-C; finished dumps are kept.
    #[error("{0}")]
    Interrupted(#[from] Interrupted),
}
