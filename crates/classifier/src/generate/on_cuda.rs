//! Rows drawn on a GPU, and left there.

use candle_core::{DType, Device, Tensor};
use longtail_backbone::device::{Driver, driver, write};
use longtail_training::Compute;

use super::draw::DrawRows;
use super::gpu::{GpuModel, GpuSampler};
use super::low_rank::{FeatureModel, LowRankSampler};
use crate::ClassifierError;

/// [`GpuSampler`] on candle's device.
pub struct OnCuda {
    device: Device,
    driver: Driver,
    model: GpuModel<Driver>,
    sampler: GpuSampler<Driver>,
}

impl OnCuda {
    /// Takes a copy of `model` there; none on the CPU.
    ///
    /// # Errors
    /// No room for it; a GPU that was not [prepared](Compute::prepare) on this thread.
    pub fn new(compute: &Compute, model: &FeatureModel) -> Result<Option<Self>, ClassifierError> {
        let Device::Cuda(cuda) = compute.device() else { return Ok(None) };
        let driver = driver(cuda)?;
        let model = GpuModel::new(&driver, model)?;
        Ok(Some(Self { device: compute.device().clone(), driver, model, sampler: GpuSampler::default() }))
    }
}

impl DrawRows for OnCuda {
    fn draw(&mut self, sampler: &LowRankSampler<'_>, ids: &[u32], normalized: bool) -> Result<Tensor, ClassifierError> {
        let block = Tensor::zeros((ids.len(), self.model.dim()), DType::F32, &self.device)?;
        let Self { driver, model, sampler: there, .. } = self;
        write(&block, |_, to| there.fill_rows(driver, model, sampler, ids, normalized, to))??;
        Ok(block)
    }
}
