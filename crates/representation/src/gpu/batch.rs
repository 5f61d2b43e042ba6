//! A batch on the device: copied there, or made there of images that it holds.

use longtail_ops::gpu::{Driver, GpuVec, Placement, StoredImages, Uploads, View};
use longtail_training::TrainingError;

use super::buffer::Buffer;
use super::not_on_device;
use crate::RepresentationError;

/// The images of a batch on their way to a device.
#[derive(Debug, Clone, Copy)]
pub enum Pixels<'a> {
    /// (n, H, W, C), normalised.
    Values(&'a [f32]),
    /// (n), of the images of [`DevicePlan::stored`](super::DevicePlan::stored).
    Placed(&'a [Placement]),
}

/// Images on the device.
pub(super) struct DeviceImages<D: Driver> {
    values: Uploads<f32, D>,
    places: GpuVec<i32, D>,
}

impl<D: Driver> Default for DeviceImages<D> {
    fn default() -> Self {
        Self { values: Uploads::default(), places: GpuVec::default() }
    }
}

impl<D: Driver> DeviceImages<D> {
    pub(super) fn write(
        &mut self,
        driver: &D,
        stored: Option<&StoredImages<D>>,
        images: Pixels<'_>,
    ) -> Result<(), RepresentationError> {
        match (images, stored) {
            (Pixels::Values(values), _) => Ok(self.values.write(driver, values)?),
            (Pixels::Placed(placed), Some(stored)) => {
                let to = self.values.room(driver, placed.len() * stored.image_len())?;
                Ok(stored.place(driver, placed, &mut self.places, to)?)
            }
            (Pixels::Placed(_), None) => Err(not_on_device("a batch of places", "the device was given no images")),
        }
    }

    /// (n, H, W, C)
    pub(super) fn view(&self) -> View<'_, f32> {
        self.values.view()
    }
}

/// A batch on the device.
pub(super) struct DeviceBatch<D: Driver> {
    pub(super) images: DeviceImages<D>,
    pub(super) labels: Buffer<i32, D>,
    /// The labels as places among the seen classes, −1 for the others.
    pub(super) targets: Buffer<i32, D>,
    /// What a loss summed over it is multiplied with to be a mean, where it has been worked out.
    pub(super) factor: f32,
}

impl<D: Driver> Default for DeviceBatch<D> {
    fn default() -> Self {
        Self { images: DeviceImages::default(), labels: Buffer::default(), targets: Buffer::default(), factor: 0.0 }
    }
}

impl<D: Driver> DeviceBatch<D> {
    pub(super) fn write(
        &mut self,
        driver: &D,
        stored: Option<&StoredImages<D>>,
        (images, labels): (Pixels<'_>, &[u32]),
        classes: usize,
    ) -> Result<(), RepresentationError> {
        TrainingError::check_labels(labels, classes)?;
        self.images.write(driver, stored, images)?;
        let labels: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
        Ok(self.labels.write(driver, &labels)?)
    }
}
