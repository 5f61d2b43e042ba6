//! Cross-entropy alone. Prototypes are tracked beside it, so that every classifier runs on its features.

use longtail_backbone::{NormMode, Tape};
use longtail_recipe::Ema;
use longtail_training::{ClassificationLoss, EpochMeter, Scalar, Sgd, StateReader, StateWriter, TrainingError};

use super::{LabelledImages, Method, PrototypeExport, StepAt};
use crate::RepresentationError;
use crate::model::Model;
use crate::passes::{GradientSum, MicroBatch, Objective, Pass, Walk};
use crate::prototypes::{PrototypeSettings, Prototypes};

/// The baseline (methods.md §4.0), and the first epochs of MPCL.
pub struct Ce<T> {
    loss: ClassificationLoss,
    prototypes: Prototypes<T>,
    micro: MicroBatch,
    tape: Tape<T>,
    gradient: GradientSum<T>,
    features: Vec<T>,
}

impl<T: Scalar> Ce<T> {
    /// With all prototypes unseen.
    pub fn new(
        ema: &Ema,
        feature_dim: usize,
        loss: ClassificationLoss,
        class_counts: &[u32],
        micro: MicroBatch,
    ) -> Self {
        let settings = PrototypeSettings::from_recipe(ema, class_counts);
        let prototypes = Prototypes::new(settings, feature_dim);
        let (tape, gradient) = (Tape::default(), GradientSum::default());
        Self { loss, prototypes, micro, tape, gradient, features: Vec::new() }
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
        let head = model.head;
        let objective = Objective { head: &head, loss: &self.loss, contrast: None };
        let mut pass = Pass::of(model, batch, NormMode::Batch { track: true }, self.micro);
        let (gradient, features) = (Some(&mut self.gradient), Some(&mut self.features));
        let loss = pass.losses(Walk::Fresh, &mut self.tape, &objective, gradient, features)?;
        TrainingError::check_finite("train/ce", loss.classification, at.epoch, at.step, at.lr)?;
        optimizer.step(at.lr, &mut model.weights, &self.gradient.sum)?;
        self.prototypes.update(&self.features, &batch.labels);
        let n = batch.labels.len();
        meter.add("train/ce", "nats", loss.classification, n as f64);
        Ok(())
    }

    fn prototypes(&self) -> Result<PrototypeExport<T>, RepresentationError> {
        Ok(PrototypeExport::empirical(&self.prototypes))
    }

    fn memory_bytes(&self) -> usize {
        let features = self.features.capacity() * size_of::<T>();
        self.tape.memory_bytes() + self.gradient.bytes() + features + self.prototypes.bytes()
    }

    fn save(&self, writer: &mut StateWriter) {
        self.prototypes.save(writer);
    }

    fn restore(&mut self, reader: &mut StateReader) -> Result<(), RepresentationError> {
        self.prototypes.restore(reader)
    }
}
