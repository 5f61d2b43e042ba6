//! Readers, long-tailed subsets, class counts, samplers, the loader; what is done to an image is `longtail-images`'.
//!
//! For whoever wants long-tailed batches of images. Not here: networks, autograd, and where a tensor lies.
//!
//! Everything here is a function of bytes on disk, a recipe and a seed. [`load`] reads a data set and accounts for every
//! byte; [`Split`] says which image is for what, with published draws reproduced to the bit; [`Loader`], [`EvalLoader`] and
//! [`MetaLoader`] make batches `(N, H, W, C)` f32, ahead of their use, in an order and with an augmentation that depend on
//! (seed, purpose, epoch, image) alone.
//!
//! ```no_run
//! use std::sync::Arc;
//! use longtail_datasets::{Loader, LoaderOptions, Split, TrainTransform, load};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let recipe: longtail_recipe::Recipe = todo!();
//! let source = load(recipe.data.dataset, None)?;
//! let split = Split::draw(&recipe.data, &source)?;
//! let train = Arc::new(source.train);
//! let transform =
//!     TrainTransform::new(longtail_recipe::Augmentation::Basic, &recipe.data.normalize, train.shape())?;
//! let options = LoaderOptions {
//!     sampler: longtail_recipe::Sampler::InstanceBalanced,
//!     batch_size: 128,
//!     drop_last: false,
//!     total_epochs: 200,
//!     seed: recipe.seed,
//!     purpose: "representation/train",
//!     prefetch: 2,
//! };
//! let loader = Loader::new(train, split.train, transform, options)?;
//! for epoch in 0..200 {
//!     for batch in loader.epoch(epoch) {
//!         let batch = batch?; // batch.images: (N, H, W, C)
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#[macro_use]
#[allow(unused_imports, reason = "what is printed here one day must not end a run either")]
extern crate longtail_artifact; // `println!` that a reader who left does not end

mod census;
pub mod check;
mod counts;
mod error;
pub mod identity;
mod image_set;
mod left_out;
mod loader;
mod numpy_legacy;
pub mod pack;
mod photo_files;
pub mod read;
mod sampler;
mod split;
mod stored;
pub mod subset;
pub mod synthesize;

pub use census::{BadPhoto, Census};
pub use counts::long_tailed_counts;
pub use error::{DatasetError, FormatError};
pub use identity::{Identified, load_identified};
pub use image_set::{DataSource, ImageSet, Images};
pub use left_out::{LeftOut, absent};
pub use loader::{Batch, BatchIter, EvalLoader, Loader, LoaderOptions, MetaLoader, PlacedBatch};
pub use longtail_images::{EvalTransform, ImageShape, TrainTransform, Transform};
pub use numpy_legacy::NumpyLegacy;
pub use photo_files::{Absence, Origin, Paths, PhotoFiles};
pub use read::{find, load, load_for};
pub use sampler::{CLASS_AWARE_RUN, Within, draw_order, epoch_order, num_batches, progress};
pub use split::{ListedSpec, MetaFrom, Skipped, Split, SplitSpec};
pub use stored::{MOST_STORED_BYTES, StoredPixels};
