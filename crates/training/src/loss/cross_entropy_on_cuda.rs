//! The kernel of a GPU below [`CrossEntropyOp`](super::CrossEntropyOp).

use candle_core::{CudaStorage, Layout, Result, Shape, Tensor};
use longtail_backbone::device::{Driver, done, read, view, write};
use longtail_ops::gpu::{GpuCrossEntropy, GpuError, GpuVec, View, ViewMut, gpu_cross_entropy, gpu_sum};

use super::CrossEntropy;

/// The mean, a scalar there.
pub(super) fn value(
    loss: &CrossEntropy,
    labels: &[u32],
    storage: &CudaStorage,
    layout: &Layout,
) -> Result<(CudaStorage, Shape)> {
    let mut value = storage.device.alloc_zeros::<f32>(1)?;
    view(storage, layout, |driver, logits| {
        done(run(loss, labels, driver, logits, driver.lend_mut(&mut value, 0..1), None))
    })??;
    Ok((CudaStorage::wrap_cuda_slice(value, storage.device.clone()), Shape::from(())))
}

/// The gradient of the mean for the logits, (N, K).
pub(super) fn gradient(loss: &CrossEntropy, labels: &[u32], logits: &Tensor) -> Result<Tensor> {
    let (dlogits, value) = (logits.zeros_like()?, Tensor::zeros(1, logits.dtype(), logits.device())?);
    read(logits, |driver, logits| {
        write(&dlogits, |_, dlogits| {
            write(&value, |_, value| done(run(loss, labels, driver, logits, value, Some(dlogits))))
        })
    })????;
    Ok(dlogits)
}

fn run(
    loss: &CrossEntropy,
    labels: &[u32],
    driver: &Driver,
    logits: View<'_, f32>,
    value: ViewMut<'_, f32>,
    dlogits: Option<ViewMut<'_, f32>>,
) -> std::result::Result<(), GpuError> {
    let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
    let on_device = |values: Option<&[f64]>| values.map(|values| GpuVec::of(driver, &narrow(values))).transpose();
    let (offsets, weights) = (on_device(loss.logit_offsets())?, on_device(loss.class_weights())?);
    let factor = (1.0 / loss.sum_of_weights(labels)) as f32;
    let labels = GpuVec::of(driver, &labels.iter().map(|&label| label as i32).collect::<Vec<i32>>())?;
    let spec = GpuCrossEntropy {
        labels: labels.view(),
        offsets: offsets.as_ref().map(GpuVec::view),
        class_weights: weights.as_ref().map(GpuVec::view),
        row_weights: None,
        smoothing: loss.smoothing() as f32,
        factor,
    };
    let mut losses = GpuVec::zeros(driver, labels.len())?;
    gpu_cross_entropy(driver, &spec, logits, logits.len() / labels.len(), losses.view_mut(), dlogits)?;
    gpu_sum(driver, losses.view(), factor, value)
}
