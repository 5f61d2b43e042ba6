//! Operations on whole vectors, in place, wherever they lie.

use candle_core::Tensor;
use longtail_backbone::by_float;
use longtail_backbone::host::{read, write};
use longtail_ops::{Real, axpy};

use crate::TrainingError;

/// `sum += factor·other`
///
/// # Errors
/// If sizes or types differ.
pub(crate) fn add(sum: &Tensor, factor: f64, other: &Tensor) -> Result<(), TrainingError> {
    TrainingError::check_size("vector", other.elem_count(), sum.elem_count())?;
    #[cfg(feature = "cuda")]
    if sum.device().is_cuda() {
        use longtail_backbone::device;
        device::write(sum, |driver, sum| {
            device::read(other, |_, other| longtail_ops::gpu::gpu_axpy(driver, sum, factor as f32, other))
        })???;
        return Ok(());
    }
    by_float!(sum, T => {
        write(sum, |sum: &mut [T]| read(other, |other: &[T]| axpy(sum, T::from_f64(factor), other)))??
    });
    Ok(())
}
