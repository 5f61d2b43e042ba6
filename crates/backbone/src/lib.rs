//! Networks as graphs of layers, run forward, backward, and along a direction.
//!
//! For whoever trains or runs a network. Not here: data, losses, learning rates; a training step is made of this in
//! `longtail-training`.
//!
//! A network is one differentiable function of images and a flat vector of parameters. Inside, a plan of kernels runs over an
//! arena of buffers that is reused from step to step. [`Network::forward`] keeps a [`Tape`]; [`Network::backward`] may be called
//! more than once on it, and [`Network::jvp`] reads it. Weights, gradients, directions and momentum are flat vectors that share
//! one [`ParamIndex`] of torchvision-like names. [`TensorNetwork`] is the same over candle tensors, whose memory [`host`] shares with
//! the kernels. [`Architecture`] lists the networks: ResNets for small images, and for ImageNet torchvision's ResNet-50, -101, -152 and ResNeXt-50 32×4d.
//!
//! ```
//! use longtail_backbone::{Architecture, ImageShape, Network, NormMode, Tape};
//!
//! let image = ImageShape { height: 7, width: 5, channels: 1 };
//! let mut network = Network::<f32>::new(&Architecture::CifarResNet { depth: 8 }, image)?;
//! let (params, mut running) = network.init(&mut longtail_ops::stream(0, "example", 0, 0));
//! let (images, n) = (vec![0.5; 2 * image.len()], 2);
//!
//! let mut tape = Tape::default();
//! network.forward(&params, &mut running, &images, n, NormMode::Batch { track: true }, &mut tape)?;
//! let mut gradient = vec![0.0; network.params().len()];
//! network.backward(&params, &tape, &vec![1.0; n * network.feature_dim()], &mut gradient)?;
//! # Ok::<(), longtail_backbone::BackboneError>(())
//! ```

mod arch;
#[cfg(feature = "cuda")]
pub mod device;
mod engine;
mod error;
mod files;
pub mod gpu;
mod graph;
pub mod host;
mod node;
mod params;
mod plan;
mod saved;
mod tensor_network;
pub mod torchvision;

pub use arch::Architecture;
pub use engine::{NORM_EPSILON, NORM_MOMENTUM, Network, NormMode, Tape};
pub use error::BackboneError;
pub use files::{NamedValues, from_tensors, to_tensors};
pub use longtail_images::ImageShape;
pub use params::{ParamEntry, ParamIndex, ParamKind};
pub use saved::{SavedBackbone, save_backbone};
pub use tensor_network::{TensorNetwork, TensorTape};
pub use torchvision::from_torchvision;
