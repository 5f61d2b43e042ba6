//! Stage 1: backbone, prototypes and meta-network from images.
//!
//! The loop stands in [`train`], written out once. A [`method`] is one training step, a text over tensors: [`method::Ce`]
//! (cross-entropy) or [`method::Mpcl`] (the paper's bi-level step). What methods are made of stands in `longtail-training`: a step's
//! passes, losses, prototypes, the meta-network and its gradient.
//!
//! For whoever adds a method of stage 1, or wants the whole stage as a function: [`stage::assemble`] makes a [`train::Training`] of a
//! recipe, images and a split; [`stage::run`] trains and writes. Not here: the parts of a loop, features of all images, classifiers.
//!
//! In: a recipe, images, `split.safetensors`. Out: `backbone`, `head`, `prototypes` and, where there is one, `meta_network`
//! (`.safetensors`), then `manifest.json`. Killed at any moment and started again, a run ends with the same bits.

#[macro_use]
#[allow(unused_imports, reason = "what is printed here one day must not end a run either")]
extern crate longtail_artifact; // `println!` that a reader who left does not end

mod architecture;
mod batch_norm;
mod batch_sizes;
mod command;
mod data;
mod error;
mod images;
mod memory;
pub mod method;
mod outputs;
pub mod stability;
pub mod stage;
pub mod train;
mod validation;

pub use architecture::architecture;
pub use command::run;
pub use data::StageData;
pub use error::RepresentationError;
pub use images::ImageFeed;
pub use memory::Memory;
pub use validation::validate;
