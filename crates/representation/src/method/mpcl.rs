//! MPCL: meta-prototype contrastive learning, one bi-level step at a time (mpcl_mpfa.md §2).

mod diagnostics;
mod meta_step;
mod settings;
mod theta_optimizer;

use candle_core::{DType, Tensor};
use longtail_artifact::{NamedTensor, TensorData};
use longtail_ops::stream;
use longtail_training::prototype::{CentralStep, Contrast, PrototypeBank};
use longtail_training::{At, ImageBatch, Log, Norm, State, StateList, Step, StepAt, TrainingError, to_f32};
use serde_json::{Value, json};

use super::{MetaBatches, Method, PrototypeExport};
use crate::RepresentationError;

use diagnostics::Measured;
use theta_optimizer::ThetaOptimizer;

pub use meta_step::MetaStep;
pub use settings::{MpclSettings, Phase};

/// The method's state: prototypes c, and the meta-network's Θ with its optimiser.
pub struct Mpcl {
    settings: MpclSettings,
    prototypes: PrototypeBank,
    /// Weights Θ of the meta-network as one flat vector.
    theta: Tensor,
    theta_optimizer: ThetaOptimizer,
    meta: Option<Box<dyn MetaBatches>>,
    /// How often Θ has moved; also the index of the next meta batch.
    meta_steps: [u64; 1],
    central: CentralStep,
}

impl Mpcl {
    /// A fresh Θ from `seed`, all prototypes unseen.
    ///
    /// # Errors
    /// If there is a meta-network and no meta images.
    pub fn new(
        settings: MpclSettings,
        meta: Option<Box<dyn MetaBatches>>,
        seed: u64,
        dtype: DType,
    ) -> Result<Self, RepresentationError> {
        if settings.use_meta && meta.is_none() {
            return Err(RepresentationError::NoMetaSet);
        }
        let theta = settings.network.init(&mut stream(seed, "representation/meta-network-init", 0, 0), dtype)?;
        Ok(Self {
            prototypes: PrototypeBank::new(settings.prototypes.clone(), settings.network.dim(), dtype)?,
            theta_optimizer: ThetaOptimizer::new(settings.theta_optimizer, settings.adam, &theta)?,
            theta,
            meta,
            meta_steps: [0],
            central: CentralStep::default(),
            settings,
        })
    }

    /// Weights Θ of the meta-network as one flat vector.
    pub fn theta(&self) -> &Tensor {
        &self.theta
    }

    /// Puts another Θ in its place.
    ///
    /// # Errors
    /// If its size differs.
    pub fn set_theta(&mut self, theta: Tensor) -> Result<(), RepresentationError> {
        TrainingError::check_size("meta-network", theta.elem_count(), self.theta.elem_count())?;
        self.theta = theta;
        Ok(())
    }

    /// Returns the settings of the method.
    pub fn settings(&self) -> &MpclSettings {
        &self.settings
    }
}

impl Method for Mpcl {
    fn name(&self) -> &'static str {
        "mpcl"
    }

    fn step(
        &mut self,
        step: &mut Step,
        batch: &ImageBatch,
        at: &StepAt,
        log: &mut Log<'_>,
    ) -> Result<(), RepresentationError> {
        let phase = self.settings.phase(at);
        let seen = self.prototypes.seen();
        // c of the seen classes; before there are any, and without contrast, nobody reads it.
        let empirical = match phase {
            Phase::Empirical { .. } | Phase::Meta { .. } if !seen.classes().is_empty() => {
                Some(self.prototypes.current_seen(&seen)?)
            }
            _ => None,
        };

        // 1 to 6  Train forward, virtual step, meta gradient, Adam on Θ.
        if let (Phase::Meta { lambda }, Some(empirical)) = (phase, &empirical)
            && self.settings.moves_theta(at)
        {
            self.move_theta(step, batch, at, empirical, &seen, lambda, log)?;
        }

        // 7  The real step, with Θ as it is now, on the train forward that is still there.
        let (lambda, prototypes) = match (phase, &empirical) {
            (Phase::Meta { lambda }, Some(empirical)) => {
                (lambda, Some(self.settings.network.apply(&self.theta, empirical)?))
            }
            (Phase::Empirical { lambda }, Some(empirical)) => (lambda, Some(empirical.clone())),
            (Phase::Plain | Phase::Empirical { .. } | Phase::Meta { .. }, _) => (0.0, None),
        };
        let contrast =
            prototypes.as_ref().map(|prototypes| Contrast { prototypes, seen: &seen, lambda, tau: self.settings.tau });
        let gradient =
            step.gradient(At::Weights, batch, Norm::Batch, &self.settings.train_loss(contrast.as_ref(), at))?;
        log.must_be_finite("train/loss", gradient.losses.total()?)?;
        let measured = Measured { losses: &gradient.losses, features: &gradient.features, labels: &batch.labels };
        let empirical = empirical.as_ref().filter(|_| matches!(phase, Phase::Meta { .. }));
        diagnostics::log_losses(measured, contrast.as_ref(), empirical, log)?;
        step.descend(at.lr, &gradient)?;

        // 8  The prototypes of the next step.
        if self.settings.moves_prototypes(at) {
            self.prototypes.update(&gradient.features, &batch.labels)?;
        }
        Ok(())
    }

    fn prototypes(&self) -> Result<PrototypeExport, RepresentationError> {
        let mut export = PrototypeExport::empirical(&self.prototypes)?;
        if self.settings.use_meta {
            let seen = self.prototypes.seen();
            let moved = self.settings.network.apply(&self.theta, &self.prototypes.current_seen(&seen)?)?;
            export.meta = seen.spread(&moved)?;
        }
        Ok(export)
    }

    fn meta_network(&self) -> Result<Option<Vec<NamedTensor>>, RepresentationError> {
        if !self.settings.use_meta {
            return Ok(None);
        }
        let mut named = Vec::new();
        for (name, tensor) in self.settings.network.tensors(&self.theta)? {
            let data = TensorData::F32(to_f32(&tensor)?);
            named.push(NamedTensor { name: name.to_owned(), shape: tensor.dims().to_vec(), data });
        }
        Ok(Some(named))
    }

    fn meta_network_metadata(&self) -> Value {
        let network = &self.settings.network;
        json!({"residual": network.is_residual(), "max_angle_deg": network.max_angle_deg()})
    }

    fn state(&mut self) -> StateList<'_> {
        let mut list = self.prototypes.state();
        list.push(("meta.theta", State::Tensor(&mut self.theta)));
        list.extend(self.theta_optimizer.state());
        list.push(("meta.steps", State::Counters(&mut self.meta_steps)));
        list.push(("meta.central", State::Numbers(self.central.state())));
        list
    }
}
