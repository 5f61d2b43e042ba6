//! A step's passes over a network: what methods are written in.
//!
//! ```text
//! let gradient = step.gradient(At::Weights, batch, Norm::Batch, &|seen| Ok(vec![loss.term("train/ce", seen)?]))?;
//! step.descend(lr, &gradient)?;
//! ```
//!
//! A batch may go through the network in parts ([`MicroBatch`]): losses and gradients are those of the whole batch, batch norm sees
//! each part by itself. A pass that a tape still holds is not run again. Running statistics follow a training batch once, in
//! its first pass under batch statistics at the weights as they are.

mod flat;
mod losses;
mod micro_batch;
mod tapes;

use std::ops::Range;

use candle_core::{Tensor, Var};
use longtail_backbone::host::{read, write};
use longtail_backbone::{NormMode, TensorNetwork, TensorTape, by_float};
use longtail_ops::Real;
use longtail_recipe::VirtualStep;

use crate::batch::{Feed, ImageBatch};
use crate::state::{State, StateList, tensor_bytes};
use crate::vectors::add;
use crate::{Head, Model, Schedule, Sgd, TrainingError};

use flat::FlatPool;
use losses::part_total;
use tapes::{Pass, Tapes};

pub use flat::Flat;
pub use losses::{Loss, Losses, Seen, Term};
pub use micro_batch::MicroBatch;

/// Where in training a step stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepAt {
    /// The 0-based epoch.
    pub epoch: usize,
    /// The 0-based step over all epochs.
    pub step: u64,
    /// How far the epoch is, in [0, 1).
    pub epoch_fraction: f64,
    /// α_lr of this step.
    pub lr: f64,
    /// α_lr over its peak.
    pub relative_lr: f64,
}

impl StepAt {
    /// The 0-based `batch` of an epoch of `batches_per_epoch`, in a training that never leaves one out.
    pub fn new(schedule: &Schedule, epoch: usize, batch: usize, batches_per_epoch: usize) -> Self {
        Self {
            epoch,
            step: (epoch * batches_per_epoch + batch) as u64,
            epoch_fraction: batch as f64 / batches_per_epoch.max(1) as f64,
            lr: schedule.lr(epoch),
            relative_lr: schedule.relative(epoch),
        }
    }
}

/// At which weights a pass runs.
#[derive(Debug, Clone, Copy)]
pub enum At<'a> {
    /// The model's own.
    Weights,
    /// Others: flat, backbone first; the head behind it where a loss is asked for.
    Moved(&'a Tensor),
}

/// Where batch norms take mean and variance from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// The batch's own (each part's own).
    Batch,
    /// The running ones, as constants.
    Running,
}

/// A gradient of all weights, with what the same pass gave.
#[derive(Debug)]
pub struct Gradient {
    /// ∂L/∂W, flat (W).
    pub weights: Flat,
    /// z of the batch, (n, d).
    pub features: Tensor,
    /// The batch's losses.
    pub losses: Losses,
}

/// Ŵ: where one step of the optimiser would lead.
#[derive(Debug)]
pub struct Ahead {
    /// The weights as one flat vector, `(W,)`.
    pub weights: Flat,
    /// The factor of −∂g/∂Θ in ∂Ŵ/∂Θ.
    pub factor: f64,
}

/// A model and its optimiser, with the memory that passes share.
#[derive(Debug)]
pub struct Step {
    /// What is trained. Other weights are put in place through [`Step::state`], which knows then that no tape is of them.
    pub model: Model,
    optimizer: Sgd,
    micro: MicroBatch,
    tapes: Tapes,
    pool: FlatPool,
    /// Counts the updates of the weights: tapes of other weights are of no use.
    version: u64,
    /// The batch and version whose statistics the running ones have followed.
    followed: Option<(u64, u64)>,
}

/// Sees a part: the network, its tape, its features (n, d), and which images of the batch it holds.
type Visit<'a> = dyn FnMut(&mut TensorNetwork, &TensorTape, &Tensor, Range<usize>) -> Result<(), TrainingError> + 'a;

impl Step {
    /// Ready for the first step.
    pub fn new(model: Model, optimizer: Sgd, micro: MicroBatch) -> Self {
        let tapes = Tapes::new(&model.network);
        Self { model, optimizer, micro, tapes, pool: FlatPool::default(), version: 0, followed: None }
    }

    /// Returns the optimiser.
    pub fn optimizer(&self) -> &Sgd {
        &self.optimizer
    }

    /// The gradient of a loss for all weights, and the features and losses of the same pass.
    ///
    /// # Errors
    /// If sizes or labels do not fit, or those of `loss`.
    pub fn gradient(
        &mut self,
        at: At<'_>,
        batch: &ImageBatch,
        norm: Norm,
        loss: &Loss<'_>,
    ) -> Result<Gradient, TrainingError> {
        let weights = self.pool.take(&self.model.weights)?;
        let (losses, features) = self.pass(at, batch, norm, loss, Some(weights.tensor()))?;
        Ok(Gradient { weights, features, losses })
    }

    /// The losses of a batch alone.
    ///
    /// # Errors
    /// As [`Step::gradient`].
    pub fn losses(
        &mut self,
        at: At<'_>,
        batch: &ImageBatch,
        norm: Norm,
        loss: &Loss<'_>,
    ) -> Result<Losses, TrainingError> {
        Ok(self.pass(at, batch, norm, loss, None)?.0)
    }

    /// The features of a batch, (n, d).
    ///
    /// # Errors
    /// If sizes do not fit.
    pub fn features(&mut self, at: At<'_>, batch: &ImageBatch, norm: Norm) -> Result<Tensor, TrainingError> {
        let mut parts = Vec::new();
        self.walk(at, batch, norm, &mut |_, _, features, _| {
            parts.push(features.clone());
            Ok(())
        })?;
        together(parts)
    }

    /// The derivative of a batch's features when the backbone's weights move along `direction`: exact, by forward differentiation,
    /// at the model's weights.
    ///
    /// # Shapes
    /// - `direction`: flat, the backbone's part of it is read  - returns ż, (n, d)
    /// # Errors
    /// If sizes do not fit.
    /// # Source
    /// mpcl_mpfa.md §4.4 (a).
    pub fn along(&mut self, batch: &ImageBatch, norm: Norm, direction: &Tensor) -> Result<Tensor, TrainingError> {
        let backbone = self.model.backbone_len();
        let (weights, direction) = (self.model.backbone_weights()?, direction.narrow(0, 0, backbone)?);
        let mut parts = Vec::new();
        self.walk(At::Weights, batch, norm, &mut |network, tape, _, _| {
            parts.push(network.jvp(&weights, tape, &direction)?);
            Ok(())
        })?;
        together(parts)
    }

    /// Weights moved along a direction: `w + epsilon·v`, of the backbone alone.
    ///
    /// # Shapes
    /// - `direction`: flat, the backbone's part of it is read  - returns a vector whose head part means nothing
    /// # Errors
    /// If sizes do not fit.
    pub fn moved(&mut self, epsilon: f64, direction: &Tensor) -> Result<Flat, TrainingError> {
        let backbone = self.model.backbone_len();
        let (weights, direction) = (self.model.backbone_weights()?, direction.narrow(0, 0, backbone)?);
        let moved = self.pool.take(&self.model.weights)?;
        let to = moved.tensor().narrow(0, 0, backbone)?;
        #[cfg(feature = "cuda")]
        if weights.device().is_cuda() {
            to.slice_set(&weights, 0, 0)?;
            add(&to, epsilon, &direction)?;
            return Ok(moved);
        }
        by_float!(weights, T => {
            write(&to, |to: &mut [T]| read(&weights, |weights: &[T]| read(&direction, |direction: &[T]| {
                let epsilon = T::from_f64(epsilon);
                to.iter_mut().zip(weights.iter().zip(direction)).for_each(|(to, (w, v))| *to = *w + epsilon * *v);
            })))??
        })?;
        Ok(moved)
    }

    /// One step of the optimiser.
    ///
    /// # Errors
    /// If sizes do not fit.
    pub fn descend(&mut self, lr: f64, gradient: &Gradient) -> Result<(), TrainingError> {
        self.version += 1;
        self.optimizer.step(lr, &self.model.weights, gradient.weights.tensor())
    }

    /// Where one step would lead, without taking it.
    ///
    /// # Errors
    /// If sizes do not fit.
    pub fn ahead(&mut self, kind: VirtualStep, lr: f64, gradient: &Gradient) -> Result<Ahead, TrainingError> {
        let weights = self.pool.take(&self.model.weights)?;
        let (from, along) = (&self.model.weights, gradient.weights.tensor());
        let factor = self.optimizer.virtual_step(kind, lr, from, along, weights.tensor())?;
        Ok(Ahead { weights, factor })
    }

    /// Weights, running statistics and momentum.
    pub fn state(&mut self) -> StateList<'_> {
        self.version += 1; // whoever asks may put others in their place
        let Model { network, weights, running, .. } = &mut self.model;
        vec![
            ("weights", State::Weights(weights, network)),
            ("running", State::Tensor(running)),
            ("momentum", State::Weights(self.optimizer.buffer_mut(), network)),
        ]
    }

    /// Bytes held now: weights, momentum, gradients, tapes, and the network's own buffers.
    pub fn bytes(&self) -> usize {
        let state = [&self.model.weights, &self.model.running, self.optimizer.buffer()].map(tensor_bytes);
        state.iter().sum::<usize>()
            + self.pool.bytes(&self.model.weights)
            + self.tapes.bytes()
            + self.model.network.bytes()
    }

    /// One walk with a loss; its gradient goes to `gradient` where given.
    fn pass(
        &mut self,
        at: At<'_>,
        batch: &ImageBatch,
        norm: Norm,
        loss: &Loss<'_>,
        gradient: Option<&Tensor>,
    ) -> Result<(Losses, Tensor), TrainingError> {
        let (shape, backbone) = (self.model.head, self.model.backbone_len());
        let weights = match at {
            At::Weights => self.model.weights.clone(),
            At::Moved(weights) => weights.clone(),
        };
        let head_weights = weights.narrow(0, backbone, shape.len())?;
        let weights = weights.narrow(0, 0, backbone)?;
        let in_parts = gradient.is_some() && self.micro.parts(batch.len()).len() > 1;
        let of_part = in_parts.then(|| self.pool.take(&self.model.weights)).transpose()?;
        let (mut losses, mut features) = (Losses::default(), Vec::new());
        self.walk(at, batch, norm, &mut |network, tape, part_features, part| {
            let variable = Var::from_tensor(part_features)?;
            let head = Head::variables(&shape, &head_weights)?;
            let labels = &batch.labels[part.clone()];
            let seen = Seen { features: &variable, head: &head, labels, batch_labels: &batch.labels };
            let terms = loss(&seen)?;
            losses.add(&terms)?;
            features.push(part_features.clone());
            let Some(gradient) = gradient else { return Ok(()) };
            let store = part_total(&terms)?.backward()?;
            let cotangent = match store.get(&variable) {
                Some(cotangent) => cotangent.contiguous()?,
                None => part_features.zeros_like()?,
            };
            let to = of_part.as_ref().filter(|_| part.start > 0).map_or(gradient, Flat::tensor);
            network.backward(&weights, tape, &cotangent, &to.narrow(0, 0, backbone)?)?;
            to.slice_set(&head.gradient(&store)?, 0, backbone)?;
            if part.start > 0 {
                add(gradient, 1.0, to)?;
            }
            Ok(())
        })?;
        Ok((losses, together(features)?))
    }

    /// The parts of a batch in order, each with its forward pass on a tape.
    fn walk(&mut self, at: At<'_>, batch: &ImageBatch, norm: Norm, visit: &mut Visit<'_>) -> Result<(), TrainingError> {
        let own = matches!(at, At::Weights) && batch.feed() == Feed::Train;
        let weights = match at {
            At::Weights => self.model.backbone_weights()?,
            At::Moved(weights) => weights.narrow(0, 0, self.model.backbone_len())?,
        };
        let now = (batch.id(), self.version);
        let mode = match norm {
            Norm::Batch => NormMode::Batch { track: own && self.followed != Some(now) },
            Norm::Running => NormMode::Running,
        };
        let (parts, cuts) = (self.micro.parts(batch.len()), self.micro.cuts());
        let slot = self.tapes.slot(own, norm, cuts);
        let pass = (own && !cuts && parts.len() == 1).then_some(Pass { batch: now.0, version: now.1, norm });
        let Model { network, running, .. } = &mut self.model;
        for part in parts {
            let features = match slot.held(pass) {
                Some(features) => features,
                None => {
                    slot.forget();
                    let images = batch.images.narrow(0, part.start, part.len())?;
                    network.forward(&weights, running, &images, mode, &mut slot.tape)?
                }
            };
            visit(network, &slot.tape, &features, part)?;
            slot.hold(pass, features);
        }
        if own && norm == Norm::Batch {
            self.followed = Some(now);
        }
        Ok(())
    }
}

/// The rows of all parts.
fn together(mut parts: Vec<Tensor>) -> Result<Tensor, TrainingError> {
    match parts.len() {
        1 => Ok(parts.remove(0)),
        _ => Ok(Tensor::cat(&parts, 0)?),
    }
}
