//! What can go wrong in stage 1.

use longtail_artifact::ArtifactError;
use longtail_backbone::BackboneError;
use longtail_datasets::DatasetError;
use longtail_images::TransformError;
use longtail_metrics::MetricsError;
use longtail_recipe::Unfit;
use longtail_training::TrainingError;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepresentationError {
    /// The user pressed Ctrl-C; the state stands in a checkpoint.
    #[error("interrupted after step {step}; a checkpoint was written")]
    Interrupted {
        /// Steps taken so far.
        step: u64,
    },
    /// `mpcl` with `prototypes: meta` without meta images (`data.meta_source: none`).
    #[error("{}", Unfit::no_meta_set().problem)]
    NoMetaSet,
    /// No training image.
    #[error("the split has no training images")]
    NoTrainingImages,
    /// A batch larger than the training set, and partial batches are dropped: there would be nothing to learn from.
    #[error("{}", .0.problem)]
    NoBatch(Unfit),
    /// A batch or a part of one that gives batch norm one value a channel, whose variance is 0.
    #[error("{}", .0.problem)]
    OneValue(Unfit),
    /// The images are not those any more that training began with; what it made is there, and stale.
    #[error("the images changed during training: {how}")]
    ImagesChanged {
        /// Which, in words.
        how: String,
    },
    /// What the CPU can and the GPU cannot yet.
    #[error("{what} does not run on a GPU: {why}")]
    NotOnDevice {
        /// Which setting, as it stands in the recipe.
        what: String,
        /// Why it does not run on a GPU.
        why: &'static str,
    },
    /// An error of the GPU.
    #[error(transparent)]
    Gpu(#[from] longtail_ops::gpu::GpuError),
    /// From the losses, heads, optimisers or checkpoints.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// A count of right answers.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// From the network.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// An error of the data set.
    #[error(transparent)]
    Datasets(#[from] DatasetError),
    /// From what is done to the images.
    #[error(transparent)]
    Transform(#[from] TransformError),
    /// From the files.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// From the recipe.
    #[error(transparent)]
    Recipe(#[from] longtail_recipe::RecipeError),
    /// An error of candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl RepresentationError {
    /// The error for the binary to return, with its hint.
    pub(crate) fn explained(self) -> anyhow::Error {
        let hint = self.hint();
        longtail_artifact::explained(self, hint)
    }

    /// What the user can do about it, where this crate knows.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotOnDevice { .. } => "run it with `--device cpu`, or set another value with `--set`",
            Self::NoBatch(unfit) | Self::OneValue(unfit) => &unfit.hint,
            Self::ImagesChanged { .. } => {
                "do not change the images, and run the same command again to repeat the stage from the start; or use \
                 the existing files with `--accept-stale`"
            }
            Self::NoMetaSet => return Some(Unfit::no_meta_set().hint),
            Self::Training(TrainingError::NonFinite { .. }) => {
                "lower `lr` or `meta_network.lr`, or raise `warmup_epochs`; finished files did not change"
            }
            Self::Datasets(error) => return error.hint(),
            Self::Artifact(error) | Self::Training(TrainingError::Artifact(error)) => return error.hint(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
