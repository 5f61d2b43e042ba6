//! Steps 1 to 6 of the bi-level step on the device: from the train batch to a new Θ (the host's: `method/mpcl/meta_step.rs`).

use std::rc::Rc;

use longtail_backbone::NormMode;
use longtail_backbone::gpu::{GpuNetwork, GpuTape};
use longtail_backbone::host::read;
use longtail_datasets::PlacedBatch;
use longtail_ops::gpu::{
    AdamNumbers, Driver, GemmSize, GpuVec, Matrix, MatrixMut, StoredImages, Total, VirtualKind, gpu_adam, gpu_axpy,
    gpu_contrast_direction, gpu_scale, gpu_shrink_step, gpu_total, gpu_unit_rows_tangent, gpu_virtual_step,
};
use longtail_recipe::{MetaOptimizer, MetaScale, VirtualStep};
use longtail_training::{ImageBatch, StepAt};

use super::buffer::Buffer;
use super::loss::{Batch, DeviceLoss, Gradients, classification, unit_features};
use super::meta_network::{DeviceMetaNetwork, add_proximity};
use super::reports::Slot;
use super::walk::{Against, Walk};
use super::{DeviceBatch, DeviceWeights, GpuTrainer, Pixels, meta_norm_mode, sgd_numbers};
use crate::RepresentationError;
use crate::method::{LOSS_BEFORE_EVERY, MetaBatches, MpclSettings};

/// Θ, its optimiser, and what the meta batch needs.
pub(super) struct Meta<D: Driver + Clone> {
    batches: Rc<dyn MetaBatches>,
    loss: DeviceLoss<D>,
    pub(super) network: DeviceMetaNetwork<D>,
    pub(super) theta: GpuVec<f32, D>,
    gradient: GpuVec<f32, D>,
    /// Moments of Adam; absent with the plain step.
    pub(super) adam: Option<Adam<D>>,
    rate: GpuVec<f32, D>,
    /// How often Θ has moved; also the index of the next meta batch.
    pub(super) steps: u64,
    batch: DeviceBatch<D>,
    tape: GpuTape<D>,
    /// The train batch on running statistics, with `meta_bn: running`.
    pub(super) on_running: GpuTape<D>,
    virtual_weights: GpuVec<f32, D>,
    dfeatures: Buffer<f32, D>,
    features_dot: Buffer<f32, D>,
    unit_dot: Buffer<f32, D>,
    s: Buffer<f32, D>,
    s_dot: Buffer<f32, D>,
    values: Buffer<f32, D>,
    dunit: Buffer<f32, D>,
}

/// Adam's state.
pub(super) struct Adam<D: Driver> {
    pub(super) first: GpuVec<f32, D>,
    pub(super) second: GpuVec<f32, D>,
    pub(super) steps: u64,
    corrections: GpuVec<f32, D>,
}

impl<D: Driver + Clone> Meta<D> {
    pub(super) fn new(
        driver: &D,
        network: &GpuNetwork<D>,
        settings: &MpclSettings,
        batches: Rc<dyn MetaBatches>,
        weights: usize,
    ) -> Result<Self, RepresentationError> {
        let len = settings.network.len();
        let adam = match settings.theta_optimizer {
            MetaOptimizer::Adam => Some(Adam {
                first: GpuVec::zeros(driver, len)?,
                second: GpuVec::zeros(driver, len)?,
                steps: 0,
                corrections: GpuVec::zeros(driver, 2)?,
            }),
            MetaOptimizer::Sgd => None,
        };
        Ok(Self {
            batches,
            loss: DeviceLoss::new(driver, &*settings.meta_classification)?,
            network: DeviceMetaNetwork::new(&settings.network),
            theta: GpuVec::zeros(driver, len)?,
            gradient: GpuVec::zeros(driver, len)?,
            adam,
            rate: GpuVec::zeros(driver, 1)?,
            steps: 0,
            batch: DeviceBatch::default(),
            tape: GpuTape::new(network)?,
            on_running: GpuTape::new(network)?,
            virtual_weights: GpuVec::zeros(driver, weights)?,
            dfeatures: Buffer::default(),
            features_dot: Buffer::default(),
            unit_dot: Buffer::default(),
            s: Buffer::default(),
            s_dot: Buffer::default(),
            values: Buffer::default(),
            dunit: Buffer::default(),
        })
    }

    /// The meta batch of the step, to the device; how many images it has.
    fn next_batch(
        &mut self,
        driver: &D,
        stored: Option<&StoredImages<D>>,
        classes: usize,
    ) -> Result<usize, RepresentationError> {
        let labels = match stored.and_then(|_| self.batches.placed(self.steps)) {
            Some(PlacedBatch { placements, labels }) => {
                self.batch.write(driver, stored, (Pixels::Placed(&placements), &labels), classes)?;
                labels
            }
            None => {
                let ImageBatch { images, labels, .. } = self.batches.batch_ahead(self.steps)?;
                read(&images, |images: &[f32]| {
                    self.batch.write(driver, stored, (Pixels::Values(images), &labels), classes)
                })??;
                labels
            }
        };
        self.batch.factor = self.loss.factor(&labels);
        Ok(labels.len())
    }

    /// One step of Θ's optimiser.
    fn move_theta(&mut self, driver: &D, settings: &MpclSettings, rate: f64) -> Result<(), RepresentationError> {
        let Self { theta, gradient, adam, rate: device_rate, .. } = self;
        let keep = (1.0 - rate * settings.adam.weight_decay) as f32;
        let Some(Adam { first, second, steps, corrections }) = adam else {
            return Ok(gpu_shrink_step(driver, theta.view_mut(), gradient.view(), keep, rate as f32)?);
        };
        *steps += 1;
        let of = |beta: f64| (1.0 - beta.powi(i32::try_from(*steps).unwrap_or(i32::MAX))) as f32;
        let (beta1, beta2) = (settings.adam.beta1, settings.adam.beta2);
        corrections.view_mut().write(driver, &[of(beta1), of(beta2)])?;
        device_rate.view_mut().write(driver, &[rate as f32])?;
        let numbers = AdamNumbers {
            rate: device_rate.view(),
            corrections: corrections.view(),
            betas: (beta1 as f32, beta2 as f32),
            epsilon: settings.adam.epsilon as f32,
            shrink: keep,
            l2: 0.0,
        };
        Ok(gpu_adam(driver, theta.view_mut(), gradient.view(), first.view_mut(), second.view_mut(), &numbers)?)
    }
}

impl<D: Driver + Clone> GpuTrainer<D> {
    /// ĉ' of the seen classes under Θ as it is now.
    pub(super) fn apply_meta_network(&mut self) -> Result<(), RepresentationError> {
        let Self { driver, meta, prototypes, .. } = self;
        match meta {
            Some(meta) => meta.network.forward(driver, meta.theta.view(), prototypes.current()),
            None => Ok(()),
        }
    }

    /// Steps 1 to 6 with the next meta batch. The train forward is left on its tape.
    pub(super) fn move_theta(
        &mut self,
        settings: &MpclSettings,
        labels: &[u32],
        at: &StepAt,
        lambda: f64,
    ) -> Result<(), RepresentationError> {
        let (n, mode) = (labels.len(), meta_norm_mode(settings));
        let on_running = mode == NormMode::Running;

        // 1  The train forward; with batch statistics it is the walk of step 2.
        let mut walk = Walk { mode: NormMode::Batch { track: true }, is_there: false };
        if on_running {
            for part in self.micro.parts(n) {
                self.forward(walk.mode, part)?;
            }
            walk.mode = mode;
        }

        // 2  g at Θ.
        self.apply_meta_network()?;
        self.walk(labels, walk, Some(Against { lambda, meta: true }))?;

        // 3  Ŵ, 4  v = ∇L_meta there, where g was.
        let rate = self.virtual_step(settings, at.lr)?;
        let after = self.meta_direction(mode)?;

        // 5  u̇ along v, on the train batch at W, and 6  ∇_Θ.
        let factor = match settings.scale {
            MetaScale::WithLr => rate,
            MetaScale::Unit if at.lr > 0.0 => rate / at.lr,
            MetaScale::Unit => 1.0,
        };
        let directional = self.theta_gradient(settings, (n, lambda), factor, on_running)?;
        self.report_and_move(settings, at, mode, after, directional)
    }

    /// Ŵ from g; the factor of −∂g/∂Θ in ∂Ŵ/∂Θ.
    fn virtual_step(&mut self, settings: &MpclSettings, lr: f64) -> Result<f64, RepresentationError> {
        let Self { driver, weights, meta, .. } = self;
        let meta = meta.as_mut().ok_or(RepresentationError::NoMetaSet)?;
        let DeviceWeights { values, momentum, gradient, decays, rate, sgd, .. } = weights;
        let (kind, factor) = match settings.virtual_step {
            VirtualStep::Momentum => (VirtualKind::Momentum, lr),
            VirtualStep::Nesterov => (VirtualKind::Nesterov, lr * (1.0 + sgd.momentum)),
            VirtualStep::Sgd => (VirtualKind::Plain, lr),
        };
        let (numbers, to) = (sgd_numbers(sgd, rate, decays), meta.virtual_weights.view_mut());
        gpu_virtual_step(driver, kind, values.view(), gradient.view(), momentum.view(), &numbers, to)?;
        Ok(factor)
    }

    /// The meta batch at Ŵ: L_meta to a slot, its gradient to the weights' gradient, of which the backbone's part is v.
    fn meta_direction(&mut self, mode: NormMode) -> Result<Slot, RepresentationError> {
        let slot = self.reports.slot();
        let Self { driver, network, weights, meta, stored, room, reports, head, image, part_gradient, .. } = self;
        let meta = meta.as_mut().ok_or(RepresentationError::NoMetaSet)?;
        let images = meta.next_batch(driver, stored.as_ref(), head.num_classes)?;
        let there = meta.virtual_weights.view();
        let (backbone, rest) = (there.part(0..weights.backbone), there.part(weights.backbone..there.len()));
        let parts = self.micro.parts(images);
        if parts.len() > 1 {
            part_gradient.reserve(driver, weights.gradient.len())?;
        }
        for part in parts {
            let more = part.start > 0;
            let here = if more { &mut *part_gradient } else { &mut weights.gradient };
            let (dparams, dhead) = here.view_mut().part(0..there.len()).split_at(weights.backbone);
            let pixels = meta.batch.images.view().part(part.start * *image..part.end * *image);
            network.forward(backbone, weights.running.view_mut(), pixels, part.len(), mode, &mut meta.tape)?;
            let of_part = Batch { features: meta.tape.features(), labels: meta.batch.labels.view().part(part) };
            let gradients = Gradients { features: meta.dfeatures.room(driver, of_part.features.len())?, head: dhead };
            let (loss, value) = ((&meta.loss, meta.batch.factor), (reports.place(slot), more));
            classification(driver, head, rest, of_part, loss, room, value, Some(gradients))?;
            network.backward(backbone, &meta.tape, meta.dfeatures.view(), dparams)?;
            if more {
                gpu_axpy(driver, weights.gradient.view_mut(), 1.0, part_gradient.view())?;
            }
        }
        Ok(slot)
    }

    /// The gradient of the meta objective for Θ, and G in a slot.
    fn theta_gradient(
        &mut self,
        settings: &MpclSettings,
        (n, lambda): (usize, f64),
        factor: f64,
        on_running: bool,
    ) -> Result<Slot, RepresentationError> {
        self.features_along(n, on_running)?;
        let Self { driver, meta, room, reports, prototypes, batch, head, whole, .. } = self;
        let meta = meta.as_mut().ok_or(RepresentationError::NoMetaSet)?;
        let (dim, tau) = (head.feature_dim, settings.tau as f32);
        unit_features(driver, Batch { features: whole.view(), labels: batch.labels.view() }, dim, room)?;
        let (unit, norms) = (room.contrast.unit.view(), room.contrast.norms.view());
        let to = meta.unit_dot.room(driver, n * dim)?;
        gpu_unit_rows_tangent(driver, meta.features_dot.view(), unit, norms, dim, 1.0, false, to)?;

        let moved = Matrix::plain(meta.network.unit.view(), dim);
        let classes = moved.view.len() / dim;
        let size = GemmSize { m: n, n: classes, k: dim, batch: 1 };
        let (rows, rows_dot) = (Matrix::plain(unit, dim), Matrix::plain(meta.unit_dot.view(), dim));
        for (rows, out) in [(rows, &mut meta.s), (rows_dot, &mut meta.s_dot)] {
            let out = MatrixMut::plain(out.room(driver, n * classes)?, classes);
            driver.gemm(size, 1.0 / tau, rows, moved.turned(), 0.0, out)?;
        }
        let share = (lambda / n as f64) as f32;
        let (s, s_dot, values) = (meta.s.view_mut(), meta.s_dot.view_mut(), meta.values.room(driver, n)?);
        gpu_contrast_direction(driver, s, s_dot, batch.targets.view(), share, values)?;
        let directional = reports.slot();
        gpu_total(driver, meta.values.view(), Total::Sum, 1.0, false, reports.place(directional))?;

        let size = GemmSize { m: classes, n: dim, k: n, batch: 1 };
        let mut dunit = meta.dunit.room(driver, classes * dim)?;
        for (weights, rows, keep) in [(&meta.s, rows_dot, 0.0), (&meta.s_dot, rows, 1.0)] {
            let weights = Matrix::plain(weights.view(), classes).turned();
            driver.gemm(size, 1.0 / tau, weights, rows, keep, MatrixMut::plain(dunit.again(), dim))?;
        }
        gpu_scale(driver, dunit.again(), -factor as f32)?;
        if settings.proximity > 0.0 {
            let both = (meta.network.unit.view(), prototypes.unit());
            add_proximity(driver, settings.proximity, both, classes, dunit)?;
        }
        let Meta { network, theta, gradient, dunit, .. } = meta;
        network.backward(driver, theta.view(), prototypes.current(), dunit.view(), gradient.view_mut())?;
        Ok(directional)
    }

    /// How the train batch's features move along v, part by part: to `features_dot`, (n, d).
    fn features_along(&mut self, n: usize, on_running: bool) -> Result<(), RepresentationError> {
        let (dim, parts) = (self.head.feature_dim, self.micro.parts(n));
        let mode = if on_running { NormMode::Running } else { NormMode::Batch { track: false } };
        let are_gone = parts.len() > 1;
        for part in parts {
            if are_gone {
                self.forward(mode, part.clone())?;
            }
            let Self { driver, network, weights, tape, meta, .. } = self;
            let meta = meta.as_mut().ok_or(RepresentationError::NoMetaSet)?;
            let tape = if on_running { &meta.on_running } else { &*tape };
            let params = weights.values.view().part(0..weights.backbone);
            let direction = weights.gradient.view().part(0..weights.backbone);
            let to = meta.features_dot.room(driver, n * dim)?.part(part.start * dim..part.end * dim);
            network.jvp(params, tape, direction, to)?;
        }
        Ok(())
    }

    fn report_and_move(
        &mut self,
        settings: &MpclSettings,
        at: &StepAt,
        mode: NormMode,
        after: Slot,
        directional: Slot,
    ) -> Result<(), RepresentationError> {
        self.reports.check("meta/loss_after", after, at);
        let steps = self.meta.as_ref().map_or(0, |meta| meta.steps);
        if steps.is_multiple_of(LOSS_BEFORE_EVERY) {
            let before = self.meta_loss_before(mode)?;
            self.reports.add("meta/loss_before", "nats", before, 1.0);
            self.reports.add_difference("meta/loss_drop", "nats", before, after);
        }
        let Self { driver, meta, reports, .. } = self;
        let meta = meta.as_mut().ok_or(RepresentationError::NoMetaSet)?;
        let norm = reports.slot();
        gpu_total(driver, meta.gradient.view(), Total::Norm, 1.0, false, reports.place(norm))?;
        reports.check("meta/gradient_norm", norm, at);
        let rate = settings.meta_lr * if settings.follow_schedule { at.relative_lr } else { 1.0 };
        meta.move_theta(driver, settings, rate)?;
        meta.steps += 1;
        reports.add("meta/loss_after", "nats", after, 1.0);
        reports.add("meta/gradient_norm", "1", norm, 1.0);
        reports.add("meta/directional", "nats", directional, 1.0);
        reports.add_known("meta/lr", "1", rate, 1.0);
        Ok(())
    }

    /// L_meta of the batch that is there, at W.
    fn meta_loss_before(&mut self, mode: NormMode) -> Result<Slot, RepresentationError> {
        let slot = self.reports.slot();
        let Self { driver, network, weights, meta, room, reports, head, image, .. } = self;
        let meta = meta.as_mut().ok_or(RepresentationError::NoMetaSet)?;
        let all = weights.values.view();
        let (backbone, rest) = (all.part(0..weights.backbone), all.part(weights.backbone..all.len()));
        for part in self.micro.parts(meta.batch.labels.len()) {
            let (value, pixels) = ((reports.place(slot), part.start > 0), part.start * *image..part.end * *image);
            let pixels = meta.batch.images.view().part(pixels);
            network.forward(backbone, weights.running.view_mut(), pixels, part.len(), mode, &mut meta.tape)?;
            let of_part = Batch { features: meta.tape.features(), labels: meta.batch.labels.view().part(part) };
            classification(driver, head, rest, of_part, (&meta.loss, meta.batch.factor), room, value, None)?;
        }
        Ok(slot)
    }
}
