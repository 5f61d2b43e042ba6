//! One step on the device: the meta-network's, then the real one, and what it measured.

use longtail_backbone::NormMode;
use longtail_ops::gpu::{Driver, Total, gpu_dots, gpu_sgd, gpu_total};
use longtail_training::{EpochMeter, StepAt};

use super::loss::{Batch, Contrast, contrast, unit_features};
use super::walk::{Against, LossSlots, Walk};
use super::{DeviceWeights, GpuTrainer, Pixels, sgd_numbers};
use crate::RepresentationError;
use crate::method::Phase;

/// More numbers than a step measures.
const MOST_NUMBERS: usize = 16;

impl<D: Driver + Clone> GpuTrainer<D> {
    pub(super) fn take_step(
        &mut self,
        (images, labels): (Pixels<'_>, &[u32]),
        at: &StepAt,
        meter: &mut EpochMeter,
    ) -> Result<(), RepresentationError> {
        if self.reports.is_full(MOST_NUMBERS) {
            self.reports.fetch(&self.driver, meter)?;
        }
        self.batch.write(&self.driver, self.stored.as_ref(), (images, labels), self.head.num_classes)?;
        self.weights.rate.view_mut().write(&self.driver, &[at.lr as f32])?;
        let settings = self.mpcl.clone();
        let phase = settings.as_ref().map_or(Phase::Plain, |settings| settings.phase(at));
        let any_seen = phase != Phase::Plain && self.find_targets(labels)?;

        let mut walk = Walk { mode: NormMode::Batch { track: true }, is_there: false };
        if let (Phase::Meta { lambda }, Some(settings)) = (phase, &settings)
            && settings.moves_theta(at)
            && !self.prototypes.seen().classes().is_empty()
        {
            self.move_theta(settings, labels, at, lambda)?;
            walk = Walk { mode: NormMode::Batch { track: false }, is_there: true }; // running statistics move once a batch
        }

        let against = match phase {
            Phase::Empirical { lambda } if any_seen => Some(Against { lambda, meta: false }),
            Phase::Meta { lambda } if any_seen => Some(Against { lambda, meta: true }),
            _ => None,
        };
        if against.is_some_and(|against| against.meta) {
            self.apply_meta_network()?; // Θ may have moved
        }
        let slots = self.walk(labels, walk, against)?;
        self.report(slots, against, labels.len(), at)?;
        let DeviceWeights { values, momentum, gradient, decays, rate, sgd, .. } = &mut self.weights;
        let numbers = sgd_numbers(sgd, rate, decays);
        gpu_sgd(&self.driver, values.view_mut(), gradient.view(), momentum.view_mut(), &numbers)?;
        if settings.is_none_or(|settings| settings.moves_prototypes(at)) {
            let of_batch = Batch { features: self.whole.view(), labels: self.batch.labels.view() };
            self.prototypes.update(&self.driver, of_batch, labels)?;
        }
        Ok(())
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
        let with = Contrast {
            prototypes: empirical,
            targets: self.batch.targets.view(),
            tau: settings.tau as f32,
            batch: images,
        };
        let of_batch = Batch { features: self.whole.view(), labels: self.batch.labels.view() };
        unit_features(driver, of_batch, head.feature_dim, room)?;
        contrast(driver, head.feature_dim, with, room, (reports.place(under_empirical), false), None)?;
        reports.add("train/pc_empirical", "nats", under_empirical, weight);
        gpu_dots(driver, moved, empirical, head.feature_dim, cosines.room(driver, classes)?)?;
        gpu_total(driver, cosines.view(), Total::Sum, 1.0 / classes as f32, false, reports.place(mean))?;
        gpu_total(driver, cosines.view(), Total::Least, 1.0, false, reports.place(least))?;
        reports.add("meta/cos_mean", "1", mean, weight);
        reports.add("meta/cos_min", "1", least, weight);
        Ok(())
    }
}
