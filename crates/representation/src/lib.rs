//! Stage 1: backbone, prototypes and meta-network from images.
//!
//! The loop stands in [`train`], written out once. A [`method`] is one training step: [`method::Ce`] (cross-entropy) or
//! [`method::Mpcl`] (the paper's bi-level step, whose meta-gradient is the closed form of [`meta_gradient`]). What they share
//! has a file each: [`passes`] (a batch in parts, `micro_batch`), [`prototypes`], [`prototype_loss`], [`meta_network`], [`virtual_step`], [`feature_direction`].
//!
//! In: a recipe, images, `split.safetensors`. Out: `backbone`, `head`, `prototypes` and, where there is one, `meta_network`
//! (`.safetensors`), then `manifest.json`. Killed at any moment and started again, a run ends with the same bits.

#[macro_use]
#[allow(unused_imports, reason = "what is printed here one day must not end a run either")]
extern crate longtail_artifact; // `println!` that a reader who left does not end

mod batch_norm;
mod data;
mod error;
pub mod feature_direction;
pub mod gpu;
mod memory;
pub mod meta_gradient;
pub mod meta_network;
pub mod method;
mod model;
pub mod objective;
mod outputs;
pub mod passes;
pub mod prototype_loss;
pub mod prototypes;
pub mod stability;
pub mod stage;
pub mod train;
pub mod unit_features;
mod validation;
pub mod virtual_step;

pub use data::StageData;
pub use error::RepresentationError;
pub use memory::Memory;
pub use model::{Model, architecture};
pub use validation::validate;
