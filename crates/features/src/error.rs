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
    /// The backbone's file does not say what the network is.
    #[error("`{}` does not say its {field}: its metadata holds {found}", path.display())]
    Provenance {
        /// The file.
        path: PathBuf,
        /// The missing or unreadable field.
        field: &'static str,
        /// What stands there.
        found: String,
    },
    /// The backbone was trained on images of another shape.
    #[error("the backbone takes images of {backbone}, the data set has {data}")]
    ImageShape {
        /// height × width × channels of the backbone.
        backbone: String,
        /// The same of the data.
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
    /// Ctrl-C; finished dumps are kept.
    #[error("{0}")]
    Interrupted(#[from] Interrupted),
}
