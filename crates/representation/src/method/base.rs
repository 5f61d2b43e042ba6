//! What every stage-1 method does: one training step on one batch, and prototypes at the end.

use candle_core::Tensor;
use longtail_artifact::NamedTensor;
use longtail_training::prototype::PrototypeBank;
use longtail_training::{ImageBatch, Log, StateList, Step, StepAt};

use crate::RepresentationError;

/// Endless batches of meta images in random access: batch i is a function of (seed, i) alone.
pub trait MetaBatches {
    /// Batch `index`, a side batch.
    ///
    /// # Errors
    /// If an image cannot be read.
    fn batch(&self, index: u64) -> Result<ImageBatch, RepresentationError>;
}

/// Prototypes for stage 3, all (K, d) with zero rows for unseen classes.
#[derive(Debug, Clone)]
pub struct PrototypeExport {
    /// Empirical prototypes c, `(K, d)`.
    pub empirical: Tensor,
    /// c' = C(c; Θ); equal to c where there is no meta-network.
    pub meta: Tensor,
    /// 1 for a seen class, else 0, (K).
    pub seen: Vec<u32>,
    /// `sphere` or `raw`.
    pub space: &'static str,
}

impl PrototypeExport {
    /// Without a meta-network: `meta` is `empirical`.
    ///
    /// # Errors
    /// If there is no memory for a copy.
    pub fn empirical(prototypes: &PrototypeBank) -> Result<Self, RepresentationError> {
        let current = prototypes.current()?;
        Ok(Self {
            meta: current.clone(),
            empirical: current,
            seen: prototypes.seen().mask(),
            space: prototypes.space(),
        })
    }
}

/// A stage-1 method: a text over tensors, whatever device and element type they are of. All that it keeps between steps stands in
/// `state`.
pub trait Method {
    /// As the recipe calls it.
    fn name(&self) -> &'static str;

    /// One step: forward, gradients, update of weights and prototypes. Names what it measured to `log`.
    ///
    /// # Errors
    /// A loss that is not finite (nothing is updated then), or sizes that do not fit.
    fn step(
        &mut self,
        step: &mut Step,
        batch: &ImageBatch,
        at: &StepAt,
        log: &mut Log<'_>,
    ) -> Result<(), RepresentationError>;

    /// The prototypes as stage 3 shall see them.
    ///
    /// # Errors
    /// If the meta-network fails.
    fn prototypes(&self) -> Result<PrototypeExport, RepresentationError>;

    /// The meta-network's tensors, where there is one.
    ///
    /// # Errors
    /// Never, as sizes are fixed at construction.
    fn meta_network(&self) -> Result<Option<Vec<NamedTensor>>, RepresentationError> {
        Ok(None)
    }

    /// How the meta-network is to be read: its form beside its tensors.
    fn meta_network_metadata(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// What it keeps from step to step, for checkpoints, resuming, and memory.
    fn state(&mut self) -> StateList<'_>;
}
