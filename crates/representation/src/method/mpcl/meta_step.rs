//! Steps 2 to 6 of the bi-level step: from the train tape to a new Θ. Weights, momentum and running statistics are read
//! only; all that moves here is Θ and its optimiser.

use longtail_backbone::{NormMode, Tape};
use longtail_recipe::{Jvp, MetaBn, MetaScale};
use longtail_training::{EpochMeter, Scalar, Sgd, TrainingError};

use super::super::{LabelledImages, StepAt};
use super::{Mpcl, diagnostics};
use crate::RepresentationError;
use crate::feature_direction::forward_mode;
use crate::meta_gradient::{ContrastDirection, MetaObjective, meta_gradient};
use crate::model::Model;
use crate::objective::{Contrast, loss_at_features, weights_gradient};
use crate::prototypes::SeenClasses;
use crate::unit_features::UnitRows;
use crate::virtual_step::virtual_step;

/// Buffers that are kept between steps.
#[derive(Default)]
pub(super) struct Scratch<T> {
    /// The train batch on running statistics, with `meta_bn: running`.
    virtual_tape: Tape<T>,
    meta_tape: Tape<T>,
    gradient: Vec<T>,
    virtual_weights: Vec<T>,
    /// v: ∇L_meta at Ŵ.
    meta_direction: Vec<T>,
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
    /// Steps 2 to 6 with the next meta batch.
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
        let step = self.meta_gradient(model, optimizer, batch, &meta, at.lr, empirical, seen, lambda)?;
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

    /// The gradient of L_meta(Ŵ(Θ)) with respect to Θ on one train batch, whose forward is on this method's tape, and one
    /// meta batch. Changes neither weights, momentum, running statistics nor Θ.
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
    ) -> Result<MetaStep<T>, RepresentationError> {
        let (n, backbone, tau) = (batch.labels.len(), model.backbone_len(), self.settings.tau);
        let mode = self.meta_norm_mode();
        let scratch = &mut self.scratch;
        let tape = if mode == NormMode::Running {
            let weights = &model.weights[..backbone];
            model.network.forward(weights, &mut model.running, &batch.images, n, mode, &mut scratch.virtual_tape)?;
            &scratch.virtual_tape
        } else {
            &self.tape
        };

        // 2  g at Θ_t.
        let prototypes = self.settings.network.apply(&self.theta, empirical)?;
        let contrast = Contrast { prototypes: &prototypes, seen, lambda, tau };
        let loss = &self.settings.loss;
        let train =
            loss_at_features(&model.head, model.head_weights(), tape.features(), &batch.labels, loss, Some(&contrast))?;
        weights_gradient(&mut model.network, &model.weights, tape, &train, &mut scratch.gradient)?;

        // 3  Ŵ.
        let kind = self.settings.virtual_step;
        let rate = virtual_step(kind, lr, &model.weights, &scratch.gradient, optimizer, &mut scratch.virtual_weights)?;

        // 4  v = ∇L_meta at Ŵ; only its backbone block matters, as L_PC does not know the head.
        let (virtual_backbone, virtual_head) = scratch.virtual_weights.split_at(backbone);
        let meta_n = meta.labels.len();
        let running = &mut model.running;
        model.network.forward(virtual_backbone, running, &meta.images, meta_n, mode, &mut scratch.meta_tape)?;
        let meta_features = scratch.meta_tape.features();
        let after =
            loss_at_features(&model.head, virtual_head, meta_features, &meta.labels, &self.settings.meta_loss, None)?;
        let direction = &mut scratch.meta_direction;
        direction.resize(backbone, T::ZERO);
        model.network.backward(virtual_backbone, &scratch.meta_tape, &after.features_gradient, direction)?;

        // 5  u̇ along v, on the train batch at W.
        let weights = &model.weights[..backbone];
        let unit_dot = match self.settings.jvp {
            Jvp::Central => {
                let images = &batch.images;
                self.central.unit_dot(&mut model.network, weights, running, images, n, mode, direction)?
            }
            _ => forward_mode(&mut model.network, weights, tape, direction)?,
        };

        // 6  ∇_Θ of −α·G(Θ).
        let dim = self.settings.network.dim();
        let (rows, targets) = seen.members(&batch.labels);
        let unit = UnitRows::of(tape.features(), dim).rows;
        let pick = |matrix: &[T]| -> Vec<T> {
            rows.iter().flat_map(|&row| &matrix[row as usize * dim..(row as usize + 1) * dim]).copied().collect()
        };
        let (unit, unit_dot) = (pick(&unit), pick(&unit_dot));
        let direction =
            ContrastDirection { unit: &unit, unit_dot: &unit_dot, targets: &targets, batch: n, lambda, tau };
        let factor = match self.settings.scale {
            MetaScale::WithLr => rate,
            // Without α_lr: 1, or 1 + μ with Nesterov.
            _ if lr > 0.0 => rate / lr,
            _ => 1.0,
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
        let (mode, meta_n, backbone) = (self.meta_norm_mode(), meta.labels.len(), model.backbone_len());
        let (backbone, head) = weights.unwrap_or(&model.weights).split_at(backbone);
        let (running, tape) = (&mut model.running, &mut self.scratch.meta_tape);
        model.network.forward(backbone, running, &meta.images, meta_n, mode, tape)?;
        let loss = loss_at_features(&model.head, head, tape.features(), &meta.labels, &self.settings.meta_loss, None)?;
        Ok(loss.classification)
    }

    /// Runs the train batch's forward without moving running statistics, as step 1 of a step would: for tests.
    ///
    /// # Errors
    /// If sizes do not fit.
    pub fn run_train_forward(
        &mut self,
        model: &mut Model<T>,
        batch: &LabelledImages<T>,
    ) -> Result<&Tape<T>, RepresentationError> {
        let (n, backbone) = (batch.labels.len(), model.backbone_len());
        let still = NormMode::Batch { track: false };
        let weights = &model.weights[..backbone];
        model.network.forward(weights, &mut model.running, &batch.images, n, still, &mut self.tape)?;
        Ok(&self.tape)
    }

    fn meta_norm_mode(&self) -> NormMode {
        match self.settings.meta_bn {
            MetaBn::Running => NormMode::Running,
            _ => NormMode::Batch { track: false },
        }
    }
}
