//! Our kernels: a convolution and its two gradients, batch norm and its gradient.

use anyhow::Result;
use longtail_ops::{
    BatchNormShape, ConvShape, Workspace, batch_norm_apply, batch_norm_backward, batch_norm_statistics, conv2d,
    conv2d_backward_input, conv2d_backward_weight, inverse_std, normal, stream, update_running,
};

use crate::case::{Case, Repetition, timed};

/// `len` normal numbers, the same in every run.
pub fn noise(purpose: &str, len: usize) -> Vec<f32> {
    let mut rng = stream(0, purpose, 0, 0);
    (0..len).map(|_| normal(&mut rng) as f32).collect()
}

pub fn convolution(case: &Case) -> Result<Repetition> {
    let (size, kernel) = (case.number("size")?, case.number("kernel")?);
    let shape = ConvShape {
        batch: case.number("batch")?,
        height: size,
        width: size,
        in_channels: case.number("in")?,
        out_channels: case.number("out")?,
        kernel,
        stride: case.number("stride")?,
        padding: kernel / 2,
        dilation: 1,
        groups: case.number("groups")?,
    };
    let mut x = noise("bench/x", shape.input_len());
    let mut weight = noise("bench/weight", shape.weight_len());
    let mut y = noise("bench/y", shape.output_len());
    let mut workspace = Workspace::default();
    let kind = case.kind.clone();
    Ok(Box::new(move || {
        timed(|| {
            match kind.as_str() {
                "conv-forward" => conv2d(&shape, &x, &weight, &mut y, &mut workspace),
                "conv-input" => conv2d_backward_input(&shape, &y, &weight, &mut x, false, &mut workspace),
                _ => conv2d_backward_weight(&shape, &x, &y, &mut weight, &mut workspace),
            }
            Ok::<_, anyhow::Error>(())
        })
    }))
}

/// Forward: statistics, their running means, the normalised values. Backward: all three gradients.
pub fn norm(case: &Case) -> Result<Repetition> {
    let (channels, size) = (case.number("channels")?, case.number("size")?);
    let shape = BatchNormShape { rows: case.number("batch")? * size * size, channels };
    let (x, dy) = (noise("bench/x", shape.len()), noise("bench/dy", shape.len()));
    let mut out = vec![0f32; shape.len()];
    let (mut mean, mut var, mut inv_std) = (vec![0f32; channels], vec![0f32; channels], vec![1f32; channels]);
    let (gamma, mut beta) = (vec![1f32; channels], vec![0f32; channels]);
    let (mut running_mean, mut running_var, mut dgamma) = (mean.clone(), gamma.clone(), gamma.clone());
    batch_norm_statistics(&shape, &x, &mut mean, &mut var);
    inverse_std(&var, 1e-5, &mut inv_std);
    let is_forward = case.kind == "norm-forward";
    Ok(Box::new(move || {
        timed(|| {
            if is_forward {
                batch_norm_statistics(&shape, &x, &mut mean, &mut var);
                inverse_std(&var, 1e-5, &mut inv_std);
                update_running(&mut running_mean, &mut running_var, &mean, &var, shape.rows, 0.1);
                batch_norm_apply(&shape, &x, &mean, &inv_std, &gamma, &beta, None, false, &mut out);
            } else {
                let (dgamma, dbeta) = (&mut dgamma, &mut beta);
                batch_norm_backward(
                    &shape, &x, None, &mean, &inv_std, &gamma, &dy, &mut out, dgamma, dbeta, None, true,
                );
            }
            Ok::<_, anyhow::Error>(())
        })
    }))
}
