//! Heads: features to logits, as flat vectors, as candle graphs, as files, and a trainer for them alone. One file a form.

mod cosine;
mod file;
mod form;
mod graph;
mod linear;
mod normed_linear;
mod scaled_linear;
mod shape;
mod trainer;

pub use form::{Block, Fresh, HeadForm};
pub use graph::{Head, flat_gradient, normalize_rows};
pub use shape::{HeadShape, HeadWeights};
pub use trainer::{HeadTrainer, HeadTrainerSettings, TrainedPart};
