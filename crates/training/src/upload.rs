//! Values on their way from host memory to where tensors lie.

use candle_core::{Device, Shape, Tensor};

use crate::{Compute, TrainingError};

/// Makes tensors of values, batch after batch. On a GPU the values go there through page-locked memory, beside the work that was
/// asked for before; loaders that work at once have one each.
pub struct Upload {
    device: Device,
    #[cfg(feature = "cuda")]
    slots: longtail_ops::gpu::Uploads<f32, longtail_backbone::device::Driver>,
}

impl Upload {
    /// To a device. A GPU must be [prepared](Compute::prepare) on this thread.
    pub fn new(compute: &Compute) -> Self {
        Self {
            device: compute.device().clone(),
            #[cfg(feature = "cuda")]
            slots: longtail_ops::gpu::Uploads::default(),
        }
    }

    /// A tensor of these values, row-major; on the CPU their memory is taken over.
    ///
    /// # Errors
    /// If the shape holds another number of values; the device's.
    pub fn tensor(&mut self, values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor, TrainingError> {
        #[cfg(feature = "cuda")]
        if self.device.is_cuda() {
            let tensor = Tensor::zeros(shape, candle_core::DType::F32, &self.device)?;
            TrainingError::check_size("values", values.len(), tensor.elem_count())?;
            longtail_backbone::device::write(&tensor, |driver, to| {
                self.slots.write(driver, &values)?;
                to.copy_from(driver, self.slots.view())
            })??;
            return Ok(tensor);
        }
        Ok(Tensor::from_vec(values, shape, &self.device)?)
    }
}
