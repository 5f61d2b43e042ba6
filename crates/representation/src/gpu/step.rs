//! One step on the device: the losses, the way back, the update of weights and prototypes.

use longtail_backbone::NormMode;
use longtail_ops::gpu::{Driver, Total, gpu_dots, gpu_sgd, gpu_total};
use longtail_training::EpochMeter;

use super::loss::{Batch, Contrast, Gradients, classification, contrast, unit_features};
use super::reports::Slot;
use super::{DeviceWeights, GpuTrainer, sgd_numbers};
use crate::RepresentationError;
use crate::method::{LabelledImages, Phase, StepAt};

/// More numbers than a step measures.
const MOST_NUMBERS: usize = 16;

/// What a step contrasts with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Against {
    pub(super) lambda: f64,
    /// With ĉ', else with ĉ.
    pub(super) meta: bool,
}

/// Where the losses of a batch stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct LossSlots {
    classification: Slot,
    /// L_PC, and its pull on the features.
    contrast: Option<(Slot, Slot)>,
}

impl<D: Driver + Clone> GpuTrainer<D> {
    pub(super) fn take_step(
        &mut self,
        batch: &LabelledImages<f32>,
        at: &StepAt,
        meter: &mut EpochMeter,
    ) -> Result<(), RepresentationError> {
        if self.reports.is_full(MOST_NUMBERS) {
            self.reports.fetch(&self.driver, meter)?;
        }
        self.batch.write(&self.driver, batch, self.head.num_classes)?;
        self.weights.rate.view_mut().write(&self.driver, &[at.lr as f32])?;
        let settings = self.mpcl.clone();
        let phase = settings.as_ref().map_or(Phase::Plain, |settings| settings.phase(at));
        let any_seen = phase != Phase::Plain && self.find_targets(&batch.labels)?;

        match (phase, &settings) {
            (Phase::Meta { lambda }, Some(settings))
                if settings.moves_theta(at) && !self.prototypes.seen().classes().is_empty() =>
            {
                self.move_theta(settings, batch, at, lambda)?; // the train forward is part of it
            }
            _ => self.forward(NormMode::Batch { track: true }, batch.labels.len())?,
        }

        let against = match phase {
            Phase::Empirical { lambda } if any_seen => Some(Against { lambda, meta: false }),
            Phase::Meta { lambda } if any_seen => Some(Against { lambda, meta: true }),
            _ => None,
        };
        if against.is_some_and(|against| against.meta) {
            self.apply_meta_network()?; // Θ may have moved
        }
        let slots = self.losses(&batch.labels, against, false)?;
        self.report(slots, against, batch.labels.len(), at)?;
        let DeviceWeights { values, momentum, gradient, decays, rate, backbone, sgd, .. } = &mut self.weights;
        let (params, dparams) = (values.view().part(0..*backbone), gradient.view_mut().part(0..*backbone));
        self.network.backward(params, &self.tape, self.dfeatures.view(), dparams)?;
        let numbers = sgd_numbers(sgd, rate, decays);
        gpu_sgd(&self.driver, values.view_mut(), gradient.view(), momentum.view_mut(), &numbers)?;
        if settings.is_none_or(|settings| settings.moves_prototypes(at)) {
            let of_batch = Batch { features: self.tape.features(), labels: self.batch.labels.view() };
            self.prototypes.update(&self.driver, of_batch, &batch.labels)?;
        }
        Ok(())
    }

    /// The train batch through the network, onto the tape.
    pub(super) fn forward(&mut self, mode: NormMode, n: usize) -> Result<(), RepresentationError> {
        let Self { network, weights, batch, tape, .. } = self;
        let params = weights.values.view().part(0..weights.backbone);
        Ok(network.forward(params, weights.running.view_mut(), batch.images.view(), n, mode, tape)?)
    }

    /// The classes that a step contrasts with, and each image's place among them; whether there is an image that has one.
    fn find_targets(&mut self, labels: &[u32]) -> Result<bool, RepresentationError> {
        self.prototypes.prepare(&self.driver)?;
        let mut targets = vec![-1; labels.len()];
        let (rows, places) = self.prototypes.seen().members(labels);
        rows.iter().zip(&places).for_each(|(&row, &place)| targets[row as usize] = place as i32);
        self.batch.targets.write(&self.driver, &targets)?;
        Ok(!rows.is_empty())
    }

    /// L_CE + λ·L_PC at the features of the train tape (or of that on running statistics): gradients to `dfeatures` and to the head's
    /// part of the gradient, unit features to the room.
    pub(super) fn losses(
        &mut self,
        labels: &[u32],
        against: Option<Against>,
        on_running: bool,
    ) -> Result<LossSlots, RepresentationError> {
        let Self { driver, head, weights, loss, room, reports, tape, dfeatures, prototypes, meta, mpcl, .. } = self;
        let tape = match meta {
            Some(meta) if on_running => &meta.on_running,
            _ => tape,
        };
        let of_batch = Batch { features: tape.features(), labels: self.batch.labels.view() };
        let head_part = weights.backbone..weights.values.len();
        let slots = LossSlots {
            classification: reports.slot(),
            contrast: against.map(|_| {
                let value = reports.slot();
                (value, reports.slot())
            }),
        };
        let gradients = Gradients {
            features: dfeatures.room(driver, of_batch.features.len())?,
            head: weights.gradient.view_mut().part(head_part.clone()),
        };
        let head_weights = weights.values.view().part(head_part);
        let (factor, value) = (loss.factor(labels), reports.place(slots.classification));
        classification(driver, head, head_weights, of_batch, (loss, factor), room, value, Some(gradients))?;
        if let (Some(against), Some((value, pull)), Some(settings)) = (against, slots.contrast, mpcl) {
            unit_features(driver, of_batch, head.feature_dim, room)?;
            let moved = meta.as_ref().filter(|_| against.meta).map(|meta| meta.network.unit.view());
            let with = Contrast {
                prototypes: moved.unwrap_or(prototypes.unit()),
                targets: self.batch.targets.view(),
                tau: settings.tau as f32,
            };
            let (value, pull) = reports.places(value, pull);
            contrast(driver, head.feature_dim, with, room, value, Some((against.lambda, dfeatures.view_mut(), pull)))?;
        }
        Ok(slots)
    }

    /// Names the losses of the real step, the agreement of ĉ' with ĉ, and the pull of L_PC on the features.
    fn report(
        &mut self,
        slots: LossSlots,
        against: Option<Against>,
        images: usize,
        at: &StepAt,
    ) -> Result<(), RepresentationError> {
        let Self { driver, head, room, reports, prototypes, meta, mpcl, cosines, .. } = self;
        let weight = images as f64;
        reports.check("train/ce", slots.classification, at);
        reports.add("train/ce", "nats", slots.classification, weight);
        let (Some(against), Some((value, pull)), Some(settings)) = (against, slots.contrast, mpcl) else {
            return Ok(());
        };
        reports.check("train/pc", value, at);
        let classes = prototypes.seen().classes().len();
        reports.add("train/pc", "nats", value, weight);
        reports.add_known("train/log_classes", "nats", (classes as f64).ln(), weight);
        reports.add_known("train/lambda", "1", against.lambda, weight);
        reports.add("train/pc_pull", "1", pull, weight);
        let Some(moved) = meta.as_ref().filter(|_| against.meta).map(|meta| meta.network.unit.view()) else {
            return Ok(());
        };
        let (under_empirical, mean, least) = (reports.slot(), reports.slot(), reports.slot());
        let empirical = prototypes.unit();
        let with = Contrast { prototypes: empirical, targets: self.batch.targets.view(), tau: settings.tau as f32 };
        contrast(driver, head.feature_dim, with, room, reports.place(under_empirical), None)?;
        reports.add("train/pc_empirical", "nats", under_empirical, weight);
        gpu_dots(driver, moved, empirical, head.feature_dim, cosines.room(driver, classes)?)?;
        gpu_total(driver, cosines.view(), Total::Sum, 1.0 / classes as f32, reports.place(mean))?;
        gpu_total(driver, cosines.view(), Total::Least, 1.0, reports.place(least))?;
        reports.add("meta/cos_mean", "1", mean, weight);
        reports.add("meta/cos_min", "1", least, weight);
        Ok(())
    }
}
