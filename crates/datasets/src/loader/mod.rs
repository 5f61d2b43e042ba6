//! Loaders: batches of normalised images, made ahead, in an order that threads cannot change.

mod batch;
mod eval;
mod meta;
mod prefetch;
mod train;

pub use batch::{Batch, BatchIter, PlacedBatch};
pub use eval::EvalLoader;
pub use meta::MetaLoader;
pub use train::{Loader, LoaderOptions};
