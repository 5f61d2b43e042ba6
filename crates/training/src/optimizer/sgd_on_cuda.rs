//! SGD's steps by the kernels of a GPU.

use std::ops::Range;

use candle_core::Tensor;
use longtail_backbone::device::{read, write};
use longtail_ops::gpu::{SgdNumbers, View, VirtualKind, gpu_sgd, gpu_virtual_step};
use longtail_recipe::VirtualStep;

use super::SgdSettings;
use crate::TrainingError;

/// Of each weight whether it decays, on the weights' GPU; none on the CPU.
pub(super) fn decays(weights: &Tensor, ranges: Option<&[Range<usize>]>) -> Result<Option<Tensor>, TrainingError> {
    if !weights.device().is_cuda() {
        return Ok(None);
    }
    let mut decays = vec![u8::from(ranges.is_none()); weights.elem_count()];
    for range in ranges.unwrap_or_default() {
        decays[range.clone()].fill(1);
    }
    Ok(Some(Tensor::from_vec(decays, weights.elem_count(), weights.device())?))
}

fn numbers<'a>(settings: SgdSettings, rate: View<'a, f32>, decays: View<'a, u8>) -> SgdNumbers<'a> {
    SgdNumbers {
        rate,
        momentum: settings.momentum as f32,
        nesterov: settings.nesterov,
        weight_decay: settings.weight_decay as f32,
        decays,
    }
}

/// One step, in place.
pub(super) fn step(
    lr: f64,
    settings: SgdSettings,
    weights: &Tensor,
    gradient: &Tensor,
    buffer: &Tensor,
    decays: &Tensor,
) -> Result<(), TrainingError> {
    for (what, tensor) in [("weights", weights), ("gradient", gradient)] {
        TrainingError::check_size(what, tensor.elem_count(), buffer.elem_count())?;
    }
    let rate = Tensor::new(&[lr as f32], weights.device())?;
    write(weights, |driver, weights| {
        write(buffer, |_, buffer| {
            read(gradient, |_, gradient| {
                read(&rate, |_, rate| {
                    read(decays, |_, decays| {
                        gpu_sgd(driver, weights, gradient, buffer, &numbers(settings, rate, decays))
                    })
                })
            })
        })
    })??????;
    Ok(())
}

/// Ŵ into `there`, of (weights, gradient, momentum buffer, which weights decay).
pub(super) fn ahead(
    kind: VirtualStep,
    lr: f64,
    settings: SgdSettings,
    (weights, gradient, buffer, decays): (&Tensor, &Tensor, &Tensor, &Tensor),
    there: &Tensor,
) -> Result<(), TrainingError> {
    let kind = match kind {
        VirtualStep::Sgd => VirtualKind::Plain,
        VirtualStep::Momentum => VirtualKind::Momentum,
        VirtualStep::Nesterov => VirtualKind::Nesterov,
    };
    let rate = Tensor::new(&[lr as f32], weights.device())?;
    write(there, |driver, there| {
        read(weights, |_, weights| {
            read(gradient, |_, gradient| {
                read(buffer, |_, buffer| {
                    read(&rate, |_, rate| {
                        read(decays, |_, decays| {
                            gpu_virtual_step(
                                driver,
                                kind,
                                weights,
                                gradient,
                                buffer,
                                &numbers(settings, rate, decays),
                                there,
                            )
                        })
                    })
                })
            })
        })
    })???????;
    Ok(())
}
