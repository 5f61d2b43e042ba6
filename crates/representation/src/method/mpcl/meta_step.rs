//! Steps 1 to 6 of the bi-level step: from the train batch to a new Θ. Weights and momentum are read only, and running
//! statistics move with the train forward; all else that moves here is Θ and its optimiser.
//!
//! Where batches are cut, each walk over a batch runs the forward pass of a part again, on one tape: first with the gradient at
//! Θ, then for the meta batch at Ŵ, then along v; G is the sum over all parts' images.

use longtail_backbone::{NormMode, Tape};
use longtail_recipe::{Jvp, MetaBn, MetaScale};
use longtail_training::{EpochMeter, Scalar, Sgd, TrainingError};

use super::super::{LabelledImages, StepAt};
use super::{Mpcl, diagnostics};
use crate::RepresentationError;
use crate::feature_direction::forward_mode;
use crate::meta_gradient::{ContrastDirection, MetaObjective, meta_gradient};
use crate::model::Model;
use crate::objective::Contrast;
use crate::passes::{Objective, Pass, Walk};
use crate::prototypes::SeenClasses;
use crate::unit_features::UnitRows;
use crate::virtual_step::virtual_step;

/// Tapes that are kept between steps; where batches are cut `train` serves for all.
pub(super) struct Tapes<T> {
    pub(super) train: Tape<T>,
    /// The train batch on running statistics, with `meta_bn: running`.
    on_running: Tape<T>,
    meta: Tape<T>,
}

impl<T> Default for Tapes<T> {
    fn default() -> Self {
        Self { train: Tape::default(), on_running: Tape::default(), meta: Tape::default() }
    }
}

impl<T: Scalar> Tapes<T> {
    fn meta(&mut self, shared: bool) -> &mut Tape<T> {
        if shared { &mut self.train } else { &mut self.meta }
    }

    /// Of the train batch in that mode.
    fn train(&mut self, mode: NormMode, shared: bool) -> &mut Tape<T> {
        if shared || mode != NormMode::Running { &mut self.train } else { &mut self.on_running }
    }

    pub(super) fn bytes(&self) -> usize {
        [&self.train, &self.on_running, &self.meta].iter().map(|tape| tape.memory_bytes()).sum()
    }
}

/// The meta-gradient and what led to it.
#[derive(Debug, Clone, PartialEq)]
pub struct MetaStep<T> {
    /// ∇_Θ of the meta objective, flat.
    pub gradient: Vec<T>,
    /// L_meta at Ŵ, nats.
    pub loss_after: f64,
    /// G(Θ): the derivative of λ·L_PC along v; L_meta falls where it grows.
    pub directional: f64,
}

impl<T: Scalar> Mpcl<T> {
    /// Steps 1 to 6 with the next meta batch.
    pub(super) fn move_theta(
        &mut self,
        model: &mut Model<T>,
        optimizer: &Sgd<T>,
        batch: &LabelledImages<T>,
        at: &StepAt,
        empirical: &[T],
        seen: &SeenClasses,
        lambda: f64,
        meter: &mut EpochMeter,
    ) -> Result<(), RepresentationError> {
        let meta = self.meta.as_ref().ok_or(RepresentationError::NoMetaSet)?.batch(self.meta_steps)?;
        let step = self.meta_gradient(model, optimizer, batch, &meta, at.lr, empirical, seen, lambda, true)?;
        TrainingError::check_finite("meta/loss_after", step.loss_after, at.epoch, at.step, at.lr)?;
        if self.meta_steps.is_multiple_of(diagnostics::LOSS_BEFORE_EVERY) {
            let before = self.meta_loss(model, None, &meta)?;
            meter.add("meta/loss_before", "nats", before, 1.0);
            meter.add("meta/loss_drop", "nats", before - step.loss_after, 1.0);
        }
        let norm = step.gradient.iter().map(|value| value.wide().powi(2)).sum::<f64>().sqrt();
        TrainingError::check_finite("meta/gradient_norm", norm, at.epoch, at.step, at.lr)?;
        let rate = self.settings.meta_lr * if self.settings.follow_schedule { at.relative_lr } else { 1.0 };
        self.theta_optimizer.step(rate, &mut self.theta, &step.gradient)?;
        self.meta_steps += 1;
        meter.add("meta/loss_after", "nats", step.loss_after, 1.0);
        meter.add("meta/gradient_norm", "1", norm, 1.0);
        meter.add("meta/directional", "nats", step.directional, 1.0);
        meter.add("meta/lr", "1", rate, 1.0);
        Ok(())
    }

    /// The gradient of L_meta(Ŵ(Θ)) with respect to Θ on one train batch and one meta batch. Changes neither weights, momentum
    /// nor Θ, and running statistics only with `track`.
    ///
    /// # Shapes
    /// - `empirical`: c of the seen classes, (K_seen, d)
    /// # Errors
    /// If sizes do not fit.
    pub fn meta_gradient(
        &mut self,
        model: &mut Model<T>,
        optimizer: &Sgd<T>,
        batch: &LabelledImages<T>,
        meta: &LabelledImages<T>,
        lr: f64,
        empirical: &[T],
        seen: &SeenClasses,
        lambda: f64,
        track: bool,
    ) -> Result<MetaStep<T>, RepresentationError> {
        let (n, backbone, tau, micro) =
            (batch.labels.len(), model.backbone_len(), self.settings.tau, self.settings.micro);
        let (mode, shared, head) = (self.meta_norm_mode(), micro.cuts(), model.head);

        // 1  The train forward; with batch statistics it is the walk of step 2.
        let mut first = NormMode::Batch { track };
        if mode == NormMode::Running {
            Pass::of(model, batch, first, micro).each(Walk::Fresh, &mut self.tapes.train, &mut |_, _, _| Ok(()))?;
            first = mode;
        }

        // 2  g at Θ_t.
        let prototypes = self.settings.network.apply(&self.theta, empirical)?;
        let contrast = Contrast { prototypes: &prototypes, seen, lambda, tau };
        let objective = Objective { head: &head, loss: &self.settings.loss, contrast: Some(&contrast) };
        let (gradient, features) = (Some(&mut self.gradient), Some(&mut self.features));
        let tape = self.tapes.train(mode, shared);
        Pass::of(model, batch, first, micro).losses(Walk::Fresh, tape, &objective, gradient, features)?;

        // 3  Ŵ.
        let (kind, there) = (self.settings.virtual_step, &mut self.virtual_weights);
        let rate = virtual_step(kind, lr, &model.weights, &self.gradient.sum, optimizer, there)?;

        // 4  v = ∇L_meta at Ŵ, where g was; only its backbone block matters, as L_PC does not know the head.
        let objective = Objective { head: &head, loss: &self.settings.meta_loss, contrast: None };
        let mut pass = Pass { weights: &self.virtual_weights, ..Pass::of(model, meta, mode, micro) };
        let (tape, gradient) = (self.tapes.meta(shared), Some(&mut self.gradient));
        let after = pass.losses(Walk::Fresh, tape, &objective, gradient, None)?;
        let direction = &self.gradient.sum[..backbone];

        // 5  u̇ along v, on the train batch at W.
        let unit_dot = match self.settings.jvp {
            Jvp::Central => {
                let Model { network, weights, running, .. } = model;
                let (weights, images, parts) = (&weights[..backbone], &batch.images, micro.parts(n));
                let tape = self.tapes.meta(shared);
                self.central.unit_dot(network, weights, running, images, &parts, mode, direction, tape)?
            }
            Jvp::Forward => {
                let mut unit_dot = Vec::new();
                let tape = self.tapes.train(mode, shared);
                let mut pass = Pass::of(model, batch, mode, micro);
                let weights = &pass.weights[..backbone];
                pass.each(Walk::Again, tape, &mut |network, tape, _| {
                    unit_dot.extend(forward_mode(network, weights, tape, direction)?);
                    Ok(())
                })?;
                unit_dot
            }
        };

        // 6  ∇_Θ of −α·G(Θ).
        let dim = self.settings.network.dim();
        let (rows, targets) = seen.members(&batch.labels);
        let unit = UnitRows::of(&self.features, dim).rows;
        let pick = |matrix: &[T]| -> Vec<T> {
            rows.iter().flat_map(|&row| &matrix[row as usize * dim..(row as usize + 1) * dim]).copied().collect()
        };
        let (unit, unit_dot) = (pick(&unit), pick(&unit_dot));
        let direction =
            ContrastDirection { unit: &unit, unit_dot: &unit_dot, targets: &targets, batch: n, lambda, tau };
        let factor = match self.settings.scale {
            MetaScale::WithLr => rate,
            // Without α_lr: 1, or 1 + μ with Nesterov.
            MetaScale::Unit if lr > 0.0 => rate / lr,
            MetaScale::Unit => 1.0,
        };
        let objective = MetaObjective { factor, proximity: self.settings.proximity };
        let network = &self.settings.network;
        let (gradient, directional) = meta_gradient(network, &self.theta, empirical, &direction, objective)?;
        Ok(MetaStep { gradient, loss_after: after.classification, directional })
    }

    /// L_meta at the model's weights, or at others.
    ///
    /// # Errors
    /// If sizes do not fit.
    pub fn meta_loss(
        &mut self,
        model: &mut Model<T>,
        weights: Option<&[T]>,
        meta: &LabelledImages<T>,
    ) -> Result<f64, RepresentationError> {
        let (mode, micro, head) = (self.meta_norm_mode(), self.settings.micro, model.head);
        let objective = Objective { head: &head, loss: &self.settings.meta_loss, contrast: None };
        let mut pass = Pass::of(model, meta, mode, micro);
        pass.weights = weights.unwrap_or(pass.weights);
        let tape = self.tapes.meta(micro.cuts());
        Ok(pass.losses(Walk::Fresh, tape, &objective, None, None)?.classification)
    }

    fn meta_norm_mode(&self) -> NormMode {
        match self.settings.meta_bn {
            MetaBn::Running => NormMode::Running,
            MetaBn::Batch => NormMode::Batch { track: false },
        }
    }
}
