//! What can be wrong with a dump or with what it is made from.

use std::path::PathBuf;

use longtail_artifact::{ArtifactError, Interrupted};
use longtail_backbone::BackboneError;
use longtail_datasets::DatasetError;
use longtail_ops::gpu::GpuError;
use longtail_training::TrainingError;

/// Of a dump that contradicts itself.
pub(crate) const DUMP_AGAIN: &str = "the file is damaged or from another program: run its stage again with `--force`";

/// An error of stage 2, with the offending value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeaturesError {
    /// A hand-off file. (Not `transparent`, here and below: that would hide the inner error, and with it hint and exit code.)
    #[error("{0}")]
    Artifact(#[from] ArtifactError),
    /// An error while reading the images.
    #[error("{0}")]
    Dataset(#[from] DatasetError),
    /// An error of the network.
    #[error("{0}")]
    Backbone(#[from] BackboneError),
    /// The device, before it has anything to do.
    #[error("{0}")]
    Device(#[from] TrainingError),
    /// An error in the recipe.
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
        /// The value in the recipe's data.
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
        /// Value of that element.
        value: f32,
    },
    /// A file or a wish that does not fit: another's rows, a class that is not there.
    #[error("{what}")]
    Unfit {
        /// What, where and why.
        what: String,
        /// What the user can do.
        hint: String,
    },
    /// The images are not those any more that the dumps began with; what was made is there, and stale.
    #[error("the images changed while their features were computed: {how}")]
    ImagesChanged {
        /// Which, in words.
        how: String,
    },
    /// A finished dump that cannot be put in its place.
    #[error("a finished dump cannot be moved")]
    Move(#[source] std::io::Error),
    /// Ctrl-C; finished dumps are kept.
    #[error("{0}")]
    Interrupted(#[from] Interrupted),
}

/// The same error with the hint that it knows, unless a nearer one is there.
pub fn explained(error: anyhow::Error) -> anyhow::Error {
    let hint = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<ArtifactError>() {
        Some(ArtifactError::Io { action: "write", .. }) => {
            Some("check that its folder exists and is writable".to_owned())
        }
        _ => cause.downcast_ref::<FeaturesError>().and_then(FeaturesError::hint),
    };
    let hint = error.chain().find_map(hint);
    longtail_artifact::explained(error, hint)
}

impl FeaturesError {
    /// [`FeaturesError::Unfit`] in words.
    pub(crate) fn unfit(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Unfit { what: what.into(), hint: hint.into() }
    }

    /// What the user can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unfit { hint, .. } => hint,
            Self::ImagesChanged { .. } => {
                "do not change the images, and run the same command again to repeat the stages; or use the existing \
                 files with `--accept-stale`"
            }
            Self::Artifact(error) => return error.hint(),
            Self::Dataset(error) => return error.hint(),
            Self::OtherData { .. } => {
                "train stage 1 with this recipe, or set the recipe to what the network was made for; for an imported \
                 network, set it with --image-side and --normalize of `features import`"
            }
            Self::NotFinite { .. } => {
                "the weights or running statistics of the backbone are too large, which suggests that training \
                 diverged: `features inspect BACKBONE` shows them; train stage 1 again with a lower learning rate"
            }
            Self::Backbone(BackboneError::File(error)) => return error.hint(),
            Self::Backbone(BackboneError::Gpu(GpuError::OutOfMemory { .. })) => {
                "lower features.batch_size, which changes features only by rounding; finished dumps are kept"
            }
            Self::Device(TrainingError::Artifact(error)) => return error.hint(),
            Self::Device(_) | Self::Backbone(BackboneError::Gpu(_)) => {
                "`nvidia-smi` shows the driver and its devices; the same command continues from the last checkpoint, \
                 and `--device cpu --accept-device-change` continues without a GPU"
            }
            Self::Backbone(_) => "`features inspect FILE` shows its contents; make it again with `--force`",
            Self::Move(_) => "make the folder writable and run the same command again: it continues from here",
            Self::Recipe(_) | Self::Interrupted(_) => return None,
        };
        Some(hint.to_owned())
    }
}
