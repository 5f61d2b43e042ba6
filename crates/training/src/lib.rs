//! Steps, losses, heads, prototypes, optimisers, schedules, checkpoints and metrics: the parts of a training loop, not the loop itself.
//!
//! The loop stands written out in each stage (`representation/src/train.rs`), on one screen, and in this crate's example `train`, in some
//! 60 lines: begin there. This crate knows no stage and reads no images: it sees batches, labels, weights and learning rates. What methods
//! are written in are candle tensors; below them are our kernels, on the tensors' own memory.
//!
//! - [`Model`]: a backbone and a head as one vector of weights. [`ImageBatch`]: what a step takes. [`Step`]: the model with its optimiser.
//! - [`Compute`]: the device that tensors lie on. [`Upload`]: values on their way there.
//! - [`step`]: a batch's passes through a network: a loss's gradient, a derivative along a direction, a step of the optimiser.
//! - [`prototype`]: averages of features a class, the loss against them, the meta-network and its gradient in closed form.
//! - [`state`]: what is kept from step to step, as one list. [`log`]: what a step measures.
//! - [`loss`]: one file a loss; most are one fused, differentiable cross-entropy with class weights, logit offsets, smoothing.
//! - [`head`]: one file a form; as flat vectors, as candle graphs, as files, and [`HeadTrainer`].
//! - [`optimizer`]: SGD and Adam on flat vectors, their state in reach.
//! - [`Schedule`]: the learning rate of an epoch.
//! - [`checkpoint`]: when to save, and how a state becomes named tensors and comes back to the same bits.

mod batch;
pub mod checkpoint;
mod compute;
mod error;
pub mod head;
pub mod log;
pub mod loss;
mod meter;
mod model;
mod op;
pub mod optimizer;
pub mod prototype;
mod scalar;
mod schedule;
pub mod state;
pub mod step;
mod upload;
mod vectors;

pub use batch::{Feed, ImageBatch};
pub use checkpoint::{CheckpointClock, StateReader, StateWriter};
pub use compute::Compute;
pub use error::TrainingError;
pub use head::{Head, HeadForm, HeadShape, HeadTrainer, HeadTrainerSettings, HeadWeights, TrainedPart};
pub use log::{Log, Pending};
pub use loss::{ClassificationLoss, CrossEntropy};
pub use meter::{EpochMeter, StepClock};
pub use model::Model;
pub use optimizer::{Adam, AdamSettings, Sgd, SgdSettings};
pub use scalar::Scalar;
pub use schedule::{Decay, Schedule};
pub use state::{State, StateList, move_state, restore_state, save_state, state_bytes, to_f32};
pub use step::{At, Gradient, Norm, Step, StepAt};
pub use upload::Upload;
