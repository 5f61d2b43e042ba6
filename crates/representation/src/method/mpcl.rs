//! MPCL: meta-prototype contrastive learning, one bi-level step at a time (mpcl_mpfa.md §2).

mod diagnostics;
mod meta_step;
mod settings;
mod theta_optimizer;

use longtail_artifact::{NamedTensor, TensorData};
use longtail_backbone::NormMode;
use longtail_ops::stream;
use longtail_training::{EpochMeter, Scalar, Sgd, StateReader, StateWriter, TrainingError};

use serde_json::{Value, json};

use super::{LabelledImages, MetaBatches, Method, PrototypeExport, StepAt};
use crate::RepresentationError;
use crate::feature_direction::CentralStep;
use crate::model::Model;
use crate::objective::Contrast;
use crate::passes::{GradientSum, Objective, Pass, Walk};
use crate::prototypes::Prototypes;

use theta_optimizer::ThetaOptimizer;

pub(crate) use diagnostics::LOSS_BEFORE_EVERY;
pub use meta_step::MetaStep;
pub use settings::{MpclSettings, Phase};

/// The method's state: prototypes c, meta-network Θ with its Adam, and scratch.
pub struct Mpcl<T: Scalar> {
    settings: MpclSettings,
    prototypes: Prototypes<T>,
    theta: Vec<T>,
    theta_optimizer: ThetaOptimizer<T>,
    meta: Option<Box<dyn MetaBatches<T>>>,
    /// How often Θ has moved; also the index of the next meta batch.
    meta_steps: u64,
    central: CentralStep,
    tapes: meta_step::Tapes<T>,
    gradient: GradientSum<T>,
    /// Of the train batch, (n, d).
    features: Vec<T>,
    virtual_weights: Vec<T>,
}

impl<T: Scalar> Mpcl<T> {
    /// A fresh Θ from `seed`, all prototypes unseen.
    ///
    /// # Errors
    /// If there is a meta-network and no meta images.
    pub fn new(
        settings: MpclSettings,
        meta: Option<Box<dyn MetaBatches<T>>>,
        seed: u64,
    ) -> Result<Self, RepresentationError> {
        if settings.use_meta && meta.is_none() {
            return Err(RepresentationError::NoMetaSet);
        }
        let theta: Vec<T> = settings.network.init(&mut stream(seed, "representation/meta-network-init", 0, 0));
        Ok(Self {
            prototypes: Prototypes::new(settings.prototypes.clone(), settings.network.dim()),
            theta_optimizer: ThetaOptimizer::new(settings.theta_optimizer, settings.adam, theta.len()),
            theta,
            meta,
            meta_steps: 0,
            central: CentralStep::default(),
            tapes: meta_step::Tapes::default(),
            gradient: GradientSum::default(),
            features: Vec::new(),
            virtual_weights: Vec::new(),
            settings,
        })
    }

    /// Θ, flat.
    pub fn theta(&self) -> &[T] {
        &self.theta
    }

    /// Puts another Θ in its place.
    ///
    /// # Errors
    /// If its size differs.
    pub fn set_theta(&mut self, theta: Vec<T>) -> Result<(), RepresentationError> {
        TrainingError::check_size("meta-network", theta.len(), self.theta.len())?;
        self.theta = theta;
        Ok(())
    }

    /// The settings.
    pub fn settings(&self) -> &MpclSettings {
        &self.settings
    }

    /// The prototypes.
    pub fn prototype_bank(&self) -> &Prototypes<T> {
        &self.prototypes
    }
}

impl<T: Scalar> Method<T> for Mpcl<T> {
    fn name(&self) -> &'static str {
        "mpcl"
    }

    fn step(
        &mut self,
        model: &mut Model<T>,
        optimizer: &mut Sgd<T>,
        batch: &LabelledImages<T>,
        at: &StepAt,
        meter: &mut EpochMeter,
    ) -> Result<(), RepresentationError> {
        let phase = self.settings.phase(at);
        let seen = self.prototypes.seen();
        let empirical = match phase {
            Phase::Plain => Vec::new(), // K·d numbers that nobody would read
            _ => self.prototypes.current_seen(&seen),
        };

        // 1 to 6  Train forward, virtual step, meta gradient, Adam on Θ.
        let mut walk = Walk::Fresh;
        if let Phase::Meta { lambda } = phase
            && self.settings.moves_theta(at)
            && !empirical.is_empty()
        {
            self.move_theta(model, optimizer, batch, at, &empirical, &seen, lambda, meter)?;
            walk = Walk::Again;
        }

        // 7  The real step, with Θ as it is now. Running statistics move in the batch's first walk only.
        let (lambda, meta) = match phase {
            Phase::Plain => (0.0, None),
            Phase::Empirical { lambda } => (lambda, None),
            Phase::Meta { lambda } => (lambda, Some(self.settings.network.apply(&self.theta, &empirical)?)),
        };
        let prototypes = meta.as_deref().unwrap_or(&empirical);
        let contrast = Contrast { prototypes, seen: &seen, lambda, tau: self.settings.tau };
        let contrast = (phase != Phase::Plain).then_some(&contrast);
        let head = model.head;
        let objective = Objective { head: &head, loss: &self.settings.loss, contrast };
        let mut pass = Pass::of(model, batch, NormMode::Batch { track: true }, self.settings.micro);
        let (gradient, features) = (Some(&mut self.gradient), Some(&mut self.features));
        let losses = pass.losses(walk, &mut self.tapes.train, &objective, gradient, features)?;
        TrainingError::check_finite("train/loss", losses.total(lambda), at.epoch, at.step, at.lr)?;
        let is_meta = matches!(phase, Phase::Meta { .. });
        diagnostics::log_losses(&losses, contrast, &self.features, &batch.labels, &empirical, is_meta, meter)?;
        optimizer.step(at.lr, &mut model.weights, &self.gradient.sum)?;

        // 8  The prototypes of the next step.
        if self.settings.moves_prototypes(at) {
            self.prototypes.update(&self.features, &batch.labels);
        }
        Ok(())
    }

    fn prototypes(&self) -> Result<PrototypeExport<T>, RepresentationError> {
        let mut export = PrototypeExport::empirical(&self.prototypes);
        if self.settings.use_meta {
            let (seen, dim) = (self.prototypes.seen(), self.prototypes.dim());
            let moved = self.settings.network.apply(&self.theta, &self.prototypes.current_seen(&seen))?;
            export.meta = seen.spread(&moved, dim);
        }
        Ok(export)
    }

    fn meta_network(&self) -> Option<Vec<NamedTensor>> {
        let mut rest = self.theta.as_slice();
        let mut tensors = Vec::new();
        for (name, shape) in self.settings.network.layout() {
            let (values, after) = rest.split_at(shape.iter().product());
            let data = TensorData::F32(values.iter().map(|value| value.wide() as f32).collect());
            tensors.push(NamedTensor { name: name.to_owned(), shape, data });
            rest = after;
        }
        self.settings.use_meta.then_some(tensors)
    }

    fn meta_network_metadata(&self) -> Value {
        let network = &self.settings.network;
        json!({"residual": network.is_residual(), "max_angle_deg": network.max_angle_deg()})
    }

    fn memory_bytes(&self) -> usize {
        let numbers = self.features.capacity() + self.virtual_weights.capacity() + self.theta.capacity();
        self.tapes.bytes() + self.gradient.bytes() + self.prototypes.bytes() + numbers * size_of::<T>()
    }

    fn save(&self, writer: &mut StateWriter) {
        self.prototypes.save(writer);
        writer.vector("meta.theta", &self.theta);
        self.theta_optimizer.save(writer);
        writer.counters("meta.steps", &[self.meta_steps]);
        writer.vector("meta.central", &[self.central.product]);
    }

    fn restore(&mut self, reader: &mut StateReader) -> Result<(), RepresentationError> {
        self.prototypes.restore(reader)?;
        self.theta = reader.vector_of("meta.theta", self.theta.len())?;
        self.theta_optimizer.restore(reader)?;
        [self.meta_steps] = reader.counters("meta.steps")?;
        self.central.product = reader.vector_of::<f64>("meta.central", 1)?[0];
        Ok(())
    }
}
