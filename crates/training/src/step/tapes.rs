//! The tapes that are kept between passes, and which pass each holds.

use candle_core::Tensor;
use longtail_backbone::{TensorNetwork, TensorTape};

use super::Norm;
use crate::state::tensor_bytes;

/// A forward pass at the model's own weights over a whole training batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) batch: u64,
    pub(super) version: u64,
    pub(super) norm: Norm,
}

/// A tape, and the pass whose activations it holds.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) tape: TensorTape,
    holds: Option<(Pass, Tensor)>,
}

impl Slot {
    fn new(network: &TensorNetwork) -> Self {
        Self { tape: network.tape(), holds: None }
    }

    /// The features of `pass` if its activations are still here.
    pub(super) fn held(&self, pass: Option<Pass>) -> Option<Tensor> {
        self.holds.as_ref().filter(|(held, _)| Some(*held) == pass).map(|(_, features)| features.clone())
    }

    /// The tape is about to be overwritten.
    pub(super) fn forget(&mut self) {
        self.holds = None;
    }

    /// The tape now holds `pass`.
    pub(super) fn hold(&mut self, pass: Option<Pass>, features: Tensor) {
        self.holds = pass.map(|pass| (pass, features));
    }

    fn bytes(&self) -> usize {
        self.tape.bytes() + self.holds.as_ref().map_or(0, |(_, features)| tensor_bytes(features))
    }
}

/// One tape for each kind of pass whose activations a later pass may need; where batches are cut, the first serves for all.
#[derive(Debug)]
pub(super) struct Tapes {
    /// Training batches on their own statistics.
    train: Slot,
    /// Training batches on running statistics.
    on_running: Slot,
    /// Side batches, and other weights.
    side: Slot,
}

impl Tapes {
    pub(super) fn new(network: &TensorNetwork) -> Self {
        Self { train: Slot::new(network), on_running: Slot::new(network), side: Slot::new(network) }
    }

    /// The tape for a pass; `own`: of a training batch at the model's weights.
    pub(super) fn slot(&mut self, own: bool, norm: Norm, shared: bool) -> &mut Slot {
        match (shared, own, norm) {
            (true, ..) | (false, true, Norm::Batch) => &mut self.train,
            (false, true, Norm::Running) => &mut self.on_running,
            (false, false, _) => &mut self.side,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        [&self.train, &self.on_running, &self.side].iter().map(|slot| slot.bytes()).sum()
    }
}
