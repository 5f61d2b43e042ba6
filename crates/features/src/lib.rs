//! Stage 2: the feature of every image, from the frozen backbone of stage 1; and tools that look at such files.
//!
//! For whoever wants features in files, of our networks or of others'. Not here: training, and what classifiers do with features.
//!
//! - [`run`]: the stage. [`FrozenBackbone`]: stage 1's network, ready to make features. [`Dump`]: a file of them, opened and checked.
//! - [`inspect`], [`diff`], [`export`], [`plot`]: tools on dumps. [`import`]: torchvision's weights.
//!
//! A dump holds `features` (N, d) f32, `labels` (N) u32, `indices` (N) u32 (positions in the data set's own training or test
//! file) and `class_counts` (K) u32, the training images per class. Its metadata names the split, the transforms and the
//! backbone by hash. [`run`] writes train, meta, val and test, and the augmented views that the recipe asks for.

#[macro_use]
extern crate longtail_artifact; // `println!` that a reader who left does not end

mod backbone;
pub mod diff;
mod dump;
mod dump_all;
mod error;
pub mod export;
mod gpu;
pub mod import;
pub mod inspect;
pub mod plot;
mod stage;

pub use backbone::FrozenBackbone;
pub use dump::{Dump, DumpRun, Progress};
pub use error::{FeaturesError, explained};
pub use stage::run;
