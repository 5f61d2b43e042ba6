//! The prototypes on the device: their values there, how often each class was met on the host, which knows it without asking.

use longtail_ops::gpu::{Driver, GpuVec, Places, View, gpu_gather, gpu_prototype_update, gpu_unit_rows};
use longtail_training::prototype::{PrototypeSettings, SeenClasses};

use super::buffer::Buffer;
use super::loss::Batch;
use crate::RepresentationError;

/// [`longtail_training::prototype::PrototypeBank`] on the device.
#[derive(Debug)]
pub(super) struct DevicePrototypes<D: Driver> {
    settings: PrototypeSettings,
    dim: usize,
    values: GpuVec<f32, D>,
    /// 1 − m of every class.
    rates: GpuVec<f32, D>,
    updates: Vec<u64>,
    seen: SeenClasses,
    places: GpuVec<i32, D>,
    scale: Buffer<f32, D>,
    /// c of the seen classes, (K_seen, d), and unit rows of it.
    current: Buffer<f32, D>,
    unit: Buffer<f32, D>,
    norms: Buffer<f32, D>,
    batch_unit: Buffer<f32, D>,
    batch_norms: Buffer<f32, D>,
}

impl<D: Driver> DevicePrototypes<D> {
    pub(super) fn new(driver: &D, settings: PrototypeSettings, dim: usize) -> Result<Self, RepresentationError> {
        let classes = settings.momentum.len();
        let rates: Vec<f32> = settings.momentum.iter().map(|&m| (1.0 - m) as f32).collect();
        Ok(Self {
            dim,
            values: GpuVec::zeros(driver, classes * dim)?,
            rates: GpuVec::of(driver, &rates)?,
            updates: vec![0; classes],
            seen: SeenClasses::new(Vec::new(), classes),
            places: GpuVec::zeros(driver, classes)?,
            scale: Buffer::default(),
            current: Buffer::default(),
            unit: Buffer::default(),
            norms: Buffer::default(),
            batch_unit: Buffer::default(),
            batch_norms: Buffer::default(),
            settings,
        })
    }

    /// Which classes have had a sample.
    pub(super) fn seen(&self) -> &SeenClasses {
        &self.seen
    }

    /// Works out c and ĉ of the seen classes for a step.
    pub(super) fn prepare(&mut self, driver: &D) -> Result<(), RepresentationError> {
        let (classes, rows) = (self.updates.len(), self.seen.classes().len());
        if rows == 0 {
            return Ok(());
        }
        let debias = self.settings.debias && !self.settings.on_sphere;
        if debias {
            let weight = |class: usize| 1.0 - self.settings.momentum[class].powi(self.updates[class] as i32);
            let scale: Vec<f32> = (0..classes)
                .map(|class| if weight(class) > 0.0 { (1.0 / weight(class)) as f32 } else { 1.0 })
                .collect();
            self.scale.write(driver, &scale)?;
        }
        let scale = debias.then(|| self.scale.view());
        let places = Places::write(driver, self.seen.classes(), classes, &mut self.places)?;
        let to = self.current.room(driver, rows * self.dim)?;
        gpu_gather(driver, self.values.view(), self.dim, &places, scale, to)?;
        let (unit, norms) = (self.unit.room(driver, rows * self.dim)?, self.norms.room(driver, rows)?);
        gpu_unit_rows(driver, self.current.view(), self.dim, unit, norms)?;
        Ok(())
    }

    /// c of the seen classes, (K_seen, d), as it was at [`Self::prepare`].
    pub(super) fn current(&self) -> View<'_, f32> {
        self.current.view()
    }

    /// ĉ of the seen classes, (K_seen, d).
    pub(super) fn unit(&self) -> View<'_, f32> {
        self.unit.view()
    }

    /// Takes in a batch.
    pub(super) fn update(&mut self, driver: &D, batch: Batch<'_>, labels: &[u32]) -> Result<(), RepresentationError> {
        let PrototypeSettings { per_sample, on_sphere, .. } = self.settings;
        let rows = if on_sphere {
            let unit = self.batch_unit.room(driver, batch.features.len())?;
            gpu_unit_rows(driver, batch.features, self.dim, unit, self.batch_norms.room(driver, labels.len())?)?;
            self.batch_unit.view()
        } else {
            batch.features
        };
        let (values, rates) = (self.values.view_mut(), self.rates.view());
        gpu_prototype_update(driver, values, rows, batch.labels, rates, per_sample, on_sphere)?;
        let before: Vec<u64> = self.updates.clone();
        for &label in labels {
            let label = label as usize;
            self.updates[label] = if per_sample { self.updates[label] + 1 } else { before[label] + 1 };
        }
        if self.updates.iter().zip(&before).any(|(now, before)| *before == 0 && *now > 0) {
            self.find_seen();
        }
        Ok(())
    }

    fn find_seen(&mut self) {
        let seen = (0..self.updates.len() as u32).filter(|&class| self.updates[class as usize] > 0).collect();
        self.seen = SeenClasses::new(seen, self.updates.len());
    }

    /// Values (K, d) and updates (K), for a checkpoint.
    pub(super) fn state(&self, driver: &D) -> Result<(Vec<f32>, &[u64]), RepresentationError> {
        Ok((self.values.to_vec(driver)?, &self.updates))
    }

    /// Puts back what [`Self::state`] gave.
    ///
    /// # Panics
    /// If a length differs; the host's own prototypes have refused that before.
    pub(super) fn restore(&mut self, driver: &D, values: &[f32], updates: Vec<u64>) -> Result<(), RepresentationError> {
        self.values.view_mut().write(driver, values)?;
        assert_eq!(updates.len(), self.updates.len(), "one number a class");
        self.updates = updates;
        self.find_seen();
        Ok(())
    }
}
