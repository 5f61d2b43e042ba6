//! candle's own kernels, at the shapes of [`crate::ops`], in candle's layout (N, C, H, W).

use anyhow::Result;
use candle_core::{Device, Tensor, Var};
use candle_nn::{BatchNorm, ModuleT};

use crate::case::{Case, Repetition, timed};

fn noise(shape: impl Into<candle_core::Shape>) -> candle_core::Result<Tensor> {
    Tensor::randn(0f32, 1f32, shape, &Device::Cpu)
}

/// The gradients are the calls that candle's `backward` makes for a convolution.
pub fn convolution(case: &Case) -> Result<Repetition> {
    let number = |name| case.number(name);
    let (batch, size, kernel) = (number("batch")?, number("size")?, number("kernel")?);
    let (inputs, outputs) = (number("in")?, number("out")?);
    let (stride, groups, padding) = (number("stride")?, number("groups")?, kernel / 2);
    let out_size = (size + 2 * padding - kernel) / stride + 1;
    let x = noise((batch, inputs, size, size))?;
    let weight = noise((outputs, inputs / groups, kernel, kernel))?;
    let dy = noise((batch, outputs, out_size, out_size))?;
    let kind = case.kind.clone();
    Ok(Box::new(move || {
        timed(|| match kind.as_str() {
            "conv-forward" => x.conv2d(&weight, padding, stride, 1, groups).map(drop),
            "conv-input" => {
                let short = size - ((out_size - 1) * stride + kernel - 2 * padding);
                each_group(groups, &[&dy, &weight], &[1, 0], |parts| {
                    parts[0].conv_transpose2d(&parts[1], padding, short, stride, 1)
                })
            }
            _ => each_group(groups, &[&x, &dy], &[1, 1], |parts| {
                let (x, dy) = (parts[0].transpose(0, 1)?, parts[1].transpose(0, 1)?);
                let full = x.conv2d(&dy, padding, 1, stride, 1)?.transpose(0, 1)?;
                full.narrow(2, 0, kernel)?.narrow(3, 0, kernel)
            }),
        })
    }))
}

/// candle's convolution is one of each group; so are its gradients.
fn each_group(
    groups: usize,
    tensors: &[&Tensor],
    dims: &[usize],
    work: impl Fn(&[Tensor]) -> candle_core::Result<Tensor>,
) -> candle_core::Result<()> {
    if groups == 1 {
        let whole: Vec<Tensor> = tensors.iter().map(|&tensor| tensor.clone()).collect();
        return work(&whole).map(drop);
    }
    for group in 0..groups {
        let parts: Vec<Tensor> = tensors
            .iter()
            .zip(dims)
            .map(|(tensor, &dim)| {
                let width = tensor.dim(dim)? / groups;
                tensor.narrow(dim, group * width, width)?.contiguous()
            })
            .collect::<candle_core::Result<_>>()?;
        work(&parts)?;
    }
    Ok(())
}

/// Forward in training; backward over a graph that is kept.
pub fn norm(case: &Case) -> Result<Repetition> {
    let (channels, size) = (case.number("channels")?, case.number("size")?);
    let x = Var::from_tensor(&noise((case.number("batch")?, channels, size, size))?)?;
    let zeros = Tensor::zeros(channels, candle_core::DType::F32, &Device::Cpu)?;
    let ones = zeros.ones_like()?;
    let (gamma, beta) = (Var::from_tensor(&ones)?, Var::from_tensor(&zeros)?);
    let norm = BatchNorm::new(channels, zeros, ones, gamma.as_tensor().clone(), beta.as_tensor().clone(), 1e-5)?;
    if case.kind == "norm-forward" {
        return Ok(Box::new(move || timed(|| norm.forward_t(&x.as_detached_tensor(), true).map(drop))));
    }
    let y = norm.forward_t(x.as_tensor(), true)?;
    Ok(Box::new(move || timed(|| y.backward().map(drop))))
}
