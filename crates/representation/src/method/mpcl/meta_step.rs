//! Steps 1 to 6 of the bi-level step: from the train batch to a new Θ. Weights and momentum are read only, and running
//! statistics move with the train forward; all else that moves here is Θ and its optimiser.

use candle_core::{DType, Tensor};
use longtail_recipe::{Jvp, MetaBn, MetaScale};
use longtail_training::prototype::{Contrast, ContrastDirection, MetaObjective, SeenClasses, UnitRows, meta_gradient};
use longtail_training::{At, ImageBatch, Log, Norm, Step, StepAt};

use super::{Mpcl, diagnostics};
use crate::RepresentationError;

/// The meta-gradient and what led to it.
#[derive(Debug, Clone)]
pub struct MetaStep {
    /// ∇_Θ of the meta objective, flat.
    pub gradient: Tensor,
    /// L_meta at Ŵ, nats; a scalar of f64.
    pub loss_after: Tensor,
    /// G(Θ): the derivative of λ·L_PC along v; L_meta falls where it grows. A scalar of f64.
    pub directional: Tensor,
}

impl Mpcl {
    /// Steps 1 to 6 with the next meta batch.
    ///
    /// # Shapes
    /// - `empirical`: c of the seen classes, (K_seen, d), K_seen at least 1
    pub(super) fn move_theta(
        &mut self,
        step: &mut Step,
        batch: &ImageBatch,
        at: &StepAt,
        empirical: &Tensor,
        seen: &SeenClasses,
        lambda: f64,
        log: &mut Log<'_>,
    ) -> Result<(), RepresentationError> {
        let [meta_steps] = self.meta_steps;
        let meta = self.meta.as_ref().ok_or(RepresentationError::NoMetaSet)?.batch(meta_steps)?;
        let found = self.meta_gradient(step, batch, &meta, at, empirical, seen, lambda)?;
        log.must_be_finite("meta/loss_after", &found.loss_after)?;
        if meta_steps.is_multiple_of(diagnostics::LOSS_BEFORE_EVERY) {
            let before = self.meta_loss(step, At::Weights, &meta, at)?;
            log.add("meta/loss_before", "nats", &before, 1.0)?;
            log.add("meta/loss_drop", "nats", (before - &found.loss_after)?, 1.0)?;
        }
        let norm = found.gradient.to_dtype(DType::F64)?.sqr()?.sum_all()?.sqrt()?;
        log.must_be_finite("meta/gradient_norm", &norm)?;
        let rate = self.settings.meta_lr * if self.settings.follow_schedule { at.relative_lr } else { 1.0 };
        self.theta_optimizer.step(rate, &mut self.theta, &found.gradient)?;
        self.meta_steps = [meta_steps + 1];
        log.add("meta/loss_after", "nats", found.loss_after, 1.0)?;
        log.add("meta/gradient_norm", "1", norm, 1.0)?;
        log.add("meta/directional", "nats", found.directional, 1.0)?;
        log.add("meta/lr", "1", rate, 1.0)?;
        Ok(())
    }

    /// The gradient of L_meta(Ŵ(Θ)) with respect to Θ on one train batch and one meta batch. Changes neither weights, momentum
    /// nor Θ; running statistics follow the train batch, as they do in any first pass over it.
    ///
    /// # Shapes
    /// - `empirical`: c of the seen classes, (K_seen, d), K_seen at least 1
    /// # Errors
    /// If sizes do not fit.
    pub fn meta_gradient(
        &mut self,
        step: &mut Step,
        batch: &ImageBatch,
        meta: &ImageBatch,
        at: &StepAt,
        empirical: &Tensor,
        seen: &SeenClasses,
        lambda: f64,
    ) -> Result<MetaStep, RepresentationError> {
        let (norm, tau) = (self.meta_norm(), self.settings.tau);

        // 1  The train forward; with batch statistics it is the pass of step 2.
        if norm == Norm::Running {
            step.features(At::Weights, batch, Norm::Batch)?;
        }

        // 2  g at Θ_t.
        let prototypes = self.settings.network.apply(&self.theta, empirical)?;
        let contrast = Contrast { prototypes: &prototypes, seen, lambda, tau };
        let gradient = step.gradient(At::Weights, batch, norm, &self.settings.train_loss(Some(&contrast), at))?;
        let features = gradient.features.clone();

        // 3  Ŵ.
        let ahead = step.ahead(self.settings.virtual_step, at.lr, &gradient)?;
        drop(gradient); // its memory serves step 4

        // 4  v = ∇L_meta at Ŵ; only its backbone block matters, as L_PC does not know the head.
        let after = step.gradient(At::Moved(ahead.weights.tensor()), meta, norm, &self.settings.meta_loss(at))?;
        let direction = after.weights.tensor();

        // 5  u̇ along v, on the train batch at W.
        let unit_dot = match self.settings.jvp {
            Jvp::Central => self.central.unit_dot(step, batch, norm, direction)?,
            Jvp::Forward => UnitRows::of(&features)?.tangent(&step.along(batch, norm, direction)?)?,
        };

        // 6  ∇_Θ of −α·G(Θ).
        let along = ContrastDirection::of(&features, &unit_dot, &batch.labels, seen, (lambda, tau))?;
        let factor = match self.settings.scale {
            MetaScale::WithLr => ahead.factor,
            // Without α_lr: 1, or 1 + μ with Nesterov.
            MetaScale::Unit if at.lr > 0.0 => ahead.factor / at.lr,
            MetaScale::Unit => 1.0,
        };
        let objective = MetaObjective { factor, proximity: self.settings.proximity };
        let network = &self.settings.network;
        let (gradient, directional) = meta_gradient(network, &self.theta, empirical, &along, objective)?;
        Ok(MetaStep { gradient, loss_after: after.losses.total()?, directional })
    }

    /// L_meta, a scalar of f64, at the model's weights or at others.
    ///
    /// # Errors
    /// If sizes do not fit.
    pub fn meta_loss(
        &self,
        step: &mut Step,
        weights: At<'_>,
        meta: &ImageBatch,
        at: &StepAt,
    ) -> Result<Tensor, RepresentationError> {
        Ok(step.losses(weights, meta, self.meta_norm(), &self.settings.meta_loss(at))?.total()?)
    }

    fn meta_norm(&self) -> Norm {
        match self.settings.meta_bn {
            MetaBn::Running => Norm::Running,
            MetaBn::Batch => Norm::Batch,
        }
    }
}
