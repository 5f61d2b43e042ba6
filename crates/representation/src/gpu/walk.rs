//! The train batch through the network, whole or in parts (`micro_batch`), with its losses and the gradient of all weights.
//!
//! As on the CPU ([`longtail_training::step`]): losses and gradients are those of the whole batch, batch norm sees each part by itself, and where
//! a batch is cut every walk runs the forward passes again.

use std::ops::Range;

use longtail_backbone::NormMode;
use longtail_ops::gpu::{Driver, gpu_axpy};

use super::loss::{Batch, Contrast, Gradients, classification, contrast, unit_features};
use super::reports::Slot;
use super::{DeviceWeights, GpuTrainer};
use crate::RepresentationError;

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
    pub(super) classification: Slot,
    /// L_PC, and its pull on the features.
    pub(super) contrast: Option<(Slot, Slot)>,
}

/// Which forward passes a walk runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// Batch norm's.
    pub(super) mode: NormMode,
    /// The tape holds the batch at these weights, where it is whole.
    pub(super) is_there: bool,
}

impl<D: Driver + Clone> GpuTrainer<D> {
    /// The gradient of L_CE + λ·L_PC to the weights' gradient, the batch's features to `whole`, the losses to slots.
    pub(super) fn walk(
        &mut self,
        labels: &[u32],
        walk: Walk,
        against: Option<Against>,
    ) -> Result<LossSlots, RepresentationError> {
        let slots = LossSlots {
            classification: self.reports.slot(),
            contrast: against.map(|_| {
                let value = self.reports.slot();
                (value, self.reports.slot())
            }),
        };
        let parts = self.micro.parts(labels.len());
        let is_there = walk.is_there && parts.len() == 1;
        self.whole.room(&self.driver, labels.len() * self.head.feature_dim)?;
        if parts.len() > 1 {
            self.part_gradient.reserve(&self.driver, self.weights.gradient.len())?;
        }
        for part in parts {
            if !is_there {
                self.forward(walk.mode, part.clone())?;
            }
            self.part(labels, part, walk.mode == NormMode::Running, against, slots)?;
        }
        Ok(slots)
    }

    /// Images `part` of the train batch through the network, onto the tape of that mode.
    pub(super) fn forward(&mut self, mode: NormMode, part: Range<usize>) -> Result<(), RepresentationError> {
        let Self { network, weights, batch, tape, meta, image, .. } = self;
        let tape = match meta {
            Some(meta) if mode == NormMode::Running => &mut meta.on_running,
            _ => tape,
        };
        let images = batch.images.view().part(part.start * *image..part.end * *image);
        let params = weights.values.view().part(0..weights.backbone);
        Ok(network.forward(params, weights.running.view_mut(), images, part.len(), mode, tape)?)
    }

    /// The share of a part that is on the tape.
    fn part(
        &mut self,
        labels: &[u32],
        part: Range<usize>,
        on_running: bool,
        against: Option<Against>,
        slots: LossSlots,
    ) -> Result<(), RepresentationError> {
        let Self { driver, network, head, weights, loss, room, reports, tape, dfeatures, meta, mpcl, .. } = self;
        let tape = match &*meta {
            Some(meta) if on_running => &meta.on_running,
            _ => tape,
        };
        let (dim, more) = (head.feature_dim, part.start > 0);
        let of_part = Batch { features: tape.features(), labels: self.batch.labels.view().part(part.clone()) };
        self.whole.view_mut().part(part.start * dim..part.end * dim).copy_from(driver, of_part.features)?;
        let DeviceWeights { values, gradient, backbone, .. } = weights;
        let sum = gradient;
        let here = if more { &mut self.part_gradient } else { &mut *sum };
        let (dparams, dhead) = here.view_mut().part(0..values.len()).split_at(*backbone);
        let (params, head_weights) = (values.view().part(0..*backbone), values.view().part(*backbone..values.len()));
        let gradients = Gradients { features: dfeatures.room(driver, of_part.features.len())?, head: dhead };
        let (of_loss, value) = ((&*loss, loss.factor(labels)), (reports.place(slots.classification), more));
        classification(driver, head, head_weights, of_part, of_loss, room, value, Some(gradients))?;
        if let (Some(against), Some((value, pull)), Some(settings)) = (against, slots.contrast, mpcl) {
            unit_features(driver, of_part, dim, room)?;
            let moved = meta.as_ref().filter(|_| against.meta).map(|meta| meta.network.unit.view());
            let with = Contrast {
                prototypes: moved.unwrap_or(self.prototypes.unit()),
                targets: self.batch.targets.view().part(part),
                tau: settings.tau as f32,
                batch: labels.len(),
            };
            let (value, pull) = reports.places(value, pull);
            contrast(driver, dim, with, room, (value, more), Some((against.lambda, dfeatures.view_mut(), pull)))?;
        }
        network.backward(params, tape, dfeatures.view(), dparams)?;
        if more {
            gpu_axpy(driver, sum.view_mut(), 1.0, self.part_gradient.view())?;
        }
        Ok(())
    }
}
