//! Heads: features to logits, as flat vectors, as candle graphs, as files, and a trainer for them alone.

mod file;
mod graph;
mod shape;
mod trainer;

pub use graph::{Head, flat_gradient, normalize_rows};
pub use shape::{HeadForm, HeadShape, HeadWeights};
pub use trainer::{HeadTrainer, HeadTrainerSettings, TrainedPart};
