//! Cross-entropy alone. Prototypes are tracked beside it, so that every classifier runs on its features.

use std::sync::Arc;

use candle_core::DType;
use longtail_recipe::Ema;
use longtail_training::prototype::{PrototypeBank, PrototypeSettings};
use longtail_training::{At, ClassificationLoss, ImageBatch, Log, Norm, StateList, Step, StepAt};

use super::{Method, PrototypeExport};
use crate::RepresentationError;

/// The baseline (methods.md §4.0), and the first epochs of MPCL.
pub struct Ce {
    loss: Arc<dyn ClassificationLoss>,
    prototypes: PrototypeBank,
}

impl Ce {
    /// With all prototypes unseen.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn new(
        ema: &Ema,
        feature_dim: usize,
        loss: Arc<dyn ClassificationLoss>,
        class_counts: &[u32],
        dtype: DType,
    ) -> Result<Self, RepresentationError> {
        let settings = PrototypeSettings::from_recipe(ema, class_counts);
        Ok(Self { loss, prototypes: PrototypeBank::new(settings, feature_dim, dtype)? })
    }
}

impl Method for Ce {
    fn name(&self) -> &'static str {
        "ce"
    }

    fn step(
        &mut self,
        step: &mut Step,
        batch: &ImageBatch,
        at: &StepAt,
        log: &mut Log<'_>,
    ) -> Result<(), RepresentationError> {
        let loss = &self.loss;
        let gradient =
            step.gradient(At::Weights, batch, Norm::Batch, &|seen| Ok(vec![loss.term("train/ce", seen, at)?]))?;
        let value = gradient.losses.total()?;
        log.must_be_finite("train/ce", &value)?;
        step.descend(at.lr, &gradient)?;
        self.prototypes.update(&gradient.features, &batch.labels)?;
        log.add("train/ce", "nats", value, batch.len() as f64)?;
        Ok(())
    }

    fn prototypes(&self) -> Result<PrototypeExport, RepresentationError> {
        PrototypeExport::empirical(&self.prototypes)
    }

    fn state(&mut self) -> StateList<'_> {
        self.prototypes.state()
    }
}
