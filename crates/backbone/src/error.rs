//! What can be wrong with a network, its vectors or its file.

use std::path::PathBuf;

use longtail_artifact::ArtifactError;
use longtail_images::ImageShape;

/// Every error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackboneError {
    /// An error of the GPU.
    #[error(transparent)]
    Gpu(#[from] longtail_ops::gpu::GpuError),
    /// A name that is no architecture of ours.
    #[error(
        "unknown architecture `{name}`; known for small images: resnetN and resnetN_two_headed with N = 6n+2, such as \
         resnet32 (resnet50_cifar and resnet152_cifar at these depths), and for ImageNet resnet50, resnet101, resnet152 and \
         resnext50_32x4d"
    )]
    UnknownArchitecture {
        /// The name as given.
        name: String,
    },
    /// A depth that the architecture does not come in.
    #[error(
        "{family} cannot have depth {depth}: it must be 6n+2, at least {smallest} and at most {largest}, such as 20, 32 or 56 \
         (ResNets for ImageNet have 50, 101 and 152)"
    )]
    Depth {
        /// The architecture in words.
        family: &'static str,
        /// The depth asked for.
        depth: usize,
        /// The smallest depth possible.
        smallest: usize,
        /// The largest depth taken.
        largest: usize,
    },
    /// A depth that the ImageNet ResNet does not come in.
    #[error("the ImageNet ResNet cannot have depth {depth}: it must be 50, 101 or 152")]
    ImageNetDepth {
        /// The depth asked for.
        depth: usize,
    },
    /// Images of no pixels or no channels, or of absurdly many.
    #[error("a network cannot take images of {image} (rows × columns × channels): each must be 1 to 65535")]
    Image {
        /// The sizes asked for.
        image: ImageShape,
    },
    /// A slice whose length does not fit the network or the batch.
    #[error("`{what}` has {found} elements, {expected} are needed ({why})")]
    Length {
        /// Which argument.
        what: &'static str,
        /// Number of elements it has.
        found: usize,
        /// The length that fits.
        expected: usize,
        /// Where the expected length comes from.
        why: String,
    },
    /// A batch without images.
    #[error("an empty batch cannot go through a network")]
    EmptyBatch,
    /// A tape that no forward pass of such a network has filled.
    #[error("the tape belongs to {found}, but this network is {expected}: first run `forward` of this network on it")]
    Tape {
        /// What filled the tape.
        found: String,
        /// What the network is.
        expected: String,
    },
    /// A tensor that the network needs is not in the file.
    #[error("tensor `{name}` {shape:?} of {architecture} is missing")]
    MissingTensor {
        /// Name of the tensor.
        name: String,
        /// Shape that the network needs.
        shape: Vec<usize>,
        /// Name of the architecture.
        architecture: String,
    },
    /// A tensor that the network does not know.
    #[error("tensor `{name}` does not belong to {architecture}")]
    UnexpectedTensor {
        /// Name of the tensor.
        name: String,
        /// Name of the architecture.
        architecture: String,
    },
    /// The same name twice.
    #[error("tensor `{name}` occurs twice")]
    RepeatedTensor {
        /// Name of the tensor.
        name: String,
    },
    /// A tensor of the wrong shape.
    #[error("tensor `{name}` has shape {found:?}, {architecture} needs {expected:?}")]
    TensorShape {
        /// Name of the tensor.
        name: String,
        /// Shape of the tensor in the file.
        found: Vec<usize>,
        /// The shape that fits.
        expected: Vec<usize>,
        /// Name of the architecture.
        architecture: String,
    },
    /// A NaN, an infinity, or a negative running variance.
    #[error("tensor `{name}` holds {value} at index {index}; {needed}")]
    TensorValue {
        /// Name of the tensor.
        name: String,
        /// The offending value as text.
        value: String,
        /// Its index in the flattened tensor.
        index: usize,
        /// What would be right.
        needed: &'static str,
    },
    /// A file that says of itself something that is no network.
    #[error("`{}` does not describe a backbone: {what}", path.display())]
    Description {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong with its metadata.
        what: String,
    },
    /// A file of a network whose tensors do not fit it.
    #[error("`{}`: {source}", path.display())]
    InFile {
        /// Path of the file.
        path: PathBuf,
        /// What does not fit.
        source: Box<BackboneError>,
    },
    /// The file could not be read or written, or is damaged.
    #[error(transparent)]
    File(#[from] ArtifactError),
    /// From candle: a tensor of another type or layout than the network takes.
    #[error(transparent)]
    Candle(Box<candle_core::Error>),
}

impl From<candle_core::Error> for BackboneError {
    fn from(error: candle_core::Error) -> Self {
        Self::Candle(Box::new(error))
    }
}
