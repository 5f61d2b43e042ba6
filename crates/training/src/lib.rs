//! Losses, heads, optimisers, schedules, checkpoints and metrics: the parts of a training loop, not the loop itself.
//!
//! The loop stands written out in each stage (`representation/src/train.rs`), on one screen. This crate knows no stage:
//! it sees feature batches, labels, flat weight vectors and learning rates.
//!
//! - [`loss`]: cross-entropy as one fused, differentiable candle operation, with class weights, logit offsets, smoothing.
//! - [`head`]: linear, cosine and scaled-linear heads, as flat vectors, as candle graphs, as files, and [`HeadTrainer`].
//! - [`optimizer`]: SGD and Adam on flat vectors, their state in reach.
//! - [`Schedule`]: the learning rate of an epoch. [`metrics`]: accuracies by class and shot group.
//! - [`checkpoint`]: when to save, and how a state becomes named tensors and comes back to the same bits.

pub mod checkpoint;
mod error;
pub mod head;
pub mod loss;
mod meter;
pub mod metrics;
pub mod optimizer;
mod scalar;
mod schedule;

pub use checkpoint::{CheckpointClock, StateReader, StateWriter};
pub use error::TrainingError;
pub use head::{Head, HeadForm, HeadShape, HeadTrainer, HeadTrainerSettings, HeadWeights, TrainedPart};
pub use loss::ClassificationLoss;
pub use meter::{EpochMeter, StepClock};
pub use metrics::{GroupAccuracy, ShotBounds, argmax_rows, evaluate};
pub use optimizer::{Adam, AdamSettings, Sgd, SgdSettings};
pub use scalar::{Scalar, scalar_value};
pub use schedule::{Decay, Schedule};
