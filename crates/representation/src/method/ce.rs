//! Cross-entropy alone. Prototypes are tracked beside it, so that every classifier runs on its features.

use longtail_backbone::{NormMode, Tape};
use longtail_recipe::Ema;
use longtail_training::{ClassificationLoss, EpochMeter, Scalar, Sgd, StateReader, StateWriter, TrainingError};

use super::{LabelledImages, Method, PrototypeExport, StepAt};
use crate::RepresentationError;
use crate::model::Model;
use crate::objective::{loss_at_features, weights_gradient};
use crate::prototypes::{PrototypeSettings, Prototypes};

/// The baseline (methods.md §4.0), and the first epochs of MPCL.
pub struct Ce<T> {
    loss: ClassificationLoss,
    prototypes: Prototypes<T>,
    tape: Tape<T>,
    gradient: Vec<T>,
}

impl<T: Scalar> Ce<T> {
    /// With all prototypes unseen.
    pub fn new(ema: &Ema, feature_dim: usize, loss: ClassificationLoss, class_counts: &[u32]) -> Self {
        let settings = PrototypeSettings::from_recipe(ema, class_counts);
        Self { loss, prototypes: Prototypes::new(settings, feature_dim), tape: Tape::default(), gradient: Vec::new() }
    }
}

impl<T: Scalar> Method<T> for Ce<T> {
    fn name(&self) -> &'static str {
        "ce"
    }

    fn step(
        &mut self,
        model: &mut Model<T>,
        optimizer: &mut Sgd<T>,
        batch: &LabelledImages<T>,
        at: &StepAt,
        meter: &mut EpochMeter,
    ) -> Result<(), RepresentationError> {
        let (n, backbone) = (batch.labels.len(), model.backbone_len());
        let track = NormMode::Batch { track: true };
        let weights = &model.weights[..backbone];
        model.network.forward(weights, &mut model.running, &batch.images, n, track, &mut self.tape)?;
        let features = self.tape.features();
        let loss = loss_at_features(&model.head, model.head_weights(), features, &batch.labels, &self.loss, None)?;
        TrainingError::check_finite("train/ce", loss.classification, at.epoch, at.step, at.lr)?;
        weights_gradient(&mut model.network, &model.weights, &self.tape, &loss, &mut self.gradient)?;
        optimizer.step(at.lr, &mut model.weights, &self.gradient)?;
        self.prototypes.update(self.tape.features(), &batch.labels);
        meter.add("train/ce", "nats", loss.classification, n as f64);
        Ok(())
    }

    fn prototypes(&self) -> Result<PrototypeExport<T>, RepresentationError> {
        Ok(PrototypeExport::empirical(&self.prototypes))
    }

    fn save(&self, writer: &mut StateWriter) {
        self.prototypes.save(writer);
    }

    fn restore(&mut self, reader: &mut StateReader) -> Result<(), RepresentationError> {
        self.prototypes.restore(reader)
    }
}
