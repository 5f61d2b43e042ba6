//! Statistics, normalisation, running statistics.

use rayon::prelude::*;

use super::{BatchNormShape, fill_tile};
use crate::Real;
use crate::conv::{BlockMoments, merge_moments};
use crate::scratch::with_scratch;
use crate::simd::{Kernel, dispatch, multiply_add};

/// Mean and biased variance of every channel.
///
/// A block's mean comes first, then its squared deviations from that mean while the block is still
/// in cache; blocks merge in their order by Chan's formula in f64. So there is one pass over memory
/// and no cancellation.
///
/// # Shapes
/// - `x`: `(rows, channels)` - `mean`, `var`: `(channels)`, overwritten
pub fn batch_norm_statistics<T: Real>(s: &BatchNormShape, x: &[T], mean: &mut [T], var: &mut [T]) {
    s.check("batch_norm_statistics", &[("x", x.len())], &[("mean", mean.len()), ("var", var.len())]);
    let channels = s.channels;
    with_scratch(s.blocks() * 2 * channels, |partials| {
        partials.par_chunks_mut(2 * channels).zip(x.par_chunks(s.block_len())).for_each(|(partial, x)| {
            with_scratch(2 * s.tile_len(), |tiles| dispatch(BlockMoments { channels, x, tiles, partial }));
        });
        let rows = |block: usize| s.block_len().min(s.len() - block * s.block_len()) / channels;
        merge_moments(&*partials, rows, mean, var);
    });
}

/// `inv_std[c] = 1/√(var[c] + eps)`.
pub fn inverse_std<T: Real>(var: &[T], eps: f64, inv_std: &mut [T]) {
    assert!(var.len() == inv_std.len(), "inverse_std: {} variances for {} results", var.len(), inv_std.len());
    for (out, &v) in inv_std.iter_mut().zip(var) {
        *out = T::from_f64(1.0 / (v.to_f64() + eps).sqrt());
    }
}

/// `y ← relu((x − mean)·inv_std·gamma + beta + residual)`, with residual and ReLU as asked. NaN
/// passes through the ReLU.
///
/// # Shapes
/// - `x`, `residual`, `y`: `(rows, channels)` - the others: `(channels)`
pub fn batch_norm_apply<T: Real>(
    s: &BatchNormShape,
    x: &[T],
    mean: &[T],
    inv_std: &[T],
    gamma: &[T],
    beta: &[T],
    residual: Option<&[T]>,
    relu: bool,
    y: &mut [T],
) {
    s.check(
        "batch_norm_apply",
        &[("x", x.len()), ("y", y.len()), ("residual", residual.map_or(s.len(), <[T]>::len))],
        &[("mean", mean.len()), ("inv_std", inv_std.len()), ("gamma", gamma.len()), ("beta", beta.len())],
    );
    let (block, tile_len) = (s.block_len(), s.tile_len());
    with_scratch(2 * tile_len, |tiles| {
        let (scale, shift) = tiles.split_at_mut(tile_len);
        fill_tile(scale, s.channels, |c| gamma[c] * inv_std[c]);
        fill_tile(shift, s.channels, |c| beta[c] - mean[c] * inv_std[c] * gamma[c]);
        let (scale, shift) = (&*scale, &*shift);
        y.par_chunks_mut(block).enumerate().for_each(|(i, y)| {
            let at = i * block..i * block + y.len();
            let residual = residual.map(|r| &r[at.clone()]);
            dispatch(Apply { x: &x[at], scale, shift, residual, relu, y });
        });
    });
}

struct Apply<'a, T> {
    x: &'a [T],
    scale: &'a [T],
    shift: &'a [T],
    residual: Option<&'a [T]>,
    relu: bool,
    y: &'a mut [T],
}

impl<T: Real> Kernel for Apply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        match (self.residual, self.relu) {
            (None, false) => self.rows::<FUSED, false>(),
            (None, true) => self.rows::<FUSED, true>(),
            (Some(residual), false) => self.rows_residual::<FUSED, false>(residual),
            (Some(residual), true) => self.rows_residual::<FUSED, true>(residual),
        }
    }
}

impl<T: Real> Apply<'_, T> {
    #[inline(always)]
    fn rows<const FUSED: bool, const RELU: bool>(self) {
        let tile = self.scale.len();
        for (y, x) in self.y.chunks_mut(tile).zip(self.x.chunks(tile)) {
            for (((y, &x), &a), &b) in y.iter_mut().zip(x).zip(self.scale).zip(self.shift) {
                *y = rectify::<T, RELU>(multiply_add::<T, FUSED>(x, a, b));
            }
        }
    }

    #[inline(always)]
    fn rows_residual<const FUSED: bool, const RELU: bool>(self, residual: &[T]) {
        let tile = self.scale.len();
        for ((y, x), r) in self.y.chunks_mut(tile).zip(self.x.chunks(tile)).zip(residual.chunks(tile)) {
            for ((((y, &x), &r), &a), &b) in y.iter_mut().zip(x).zip(r).zip(self.scale).zip(self.shift) {
                *y = rectify::<T, RELU>(multiply_add::<T, FUSED>(x, a, b) + r);
            }
        }
    }
}

/// ReLU that lets NaN through.
#[inline(always)]
fn rectify<T: Real, const RELU: bool>(v: T) -> T {
    if RELU && v < T::ZERO { T::ZERO } else { v }
}

/// `running ← (1 − momentum)·running + momentum·batch`, with the unbiased variance `var·rows/(rows
/// − 1)`.
///
/// A single row has no unbiased variance; its biased one is taken. Source: `torch.nn.BatchNorm2d`,
/// which refuses one row.
pub fn update_running<T: Real>(
    running_mean: &mut [T],
    running_var: &mut [T],
    mean: &[T],
    var_biased: &[T],
    rows: usize,
    momentum: f64,
) {
    let unbias = rows as f64 / rows.saturating_sub(1).max(1) as f64;
    let blend = |running: &mut [T], batch: &[T], scale: f64| {
        assert!(
            running.len() == batch.len(),
            "update_running: {} running and {} batch values",
            running.len(),
            batch.len()
        );
        for (running, &batch) in running.iter_mut().zip(batch) {
            *running = T::from_f64((1.0 - momentum) * running.to_f64() + momentum * scale * batch.to_f64());
        }
    };
    blend(running_mean, mean, 1.0);
    blend(running_var, var_biased, unbias);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_channels_by_hand() {
        let s = BatchNormShape { rows: 3, channels: 2 };
        let x = [1.0f64, 10.0, 2.0, 20.0, 3.0, 60.0];
        let (mut mean, mut var, mut inv) = ([0.0; 2], [0.0; 2], [0.0; 2]);
        batch_norm_statistics(&s, &x, &mut mean, &mut var);
        assert!((mean[0] - 2.0).abs() < 1e-15 && (mean[1] - 30.0).abs() < 1e-14);
        assert!((var[0] - 2.0 / 3.0).abs() < 1e-15 && (var[1] - 1400.0 / 3.0).abs() < 1e-12);
        inverse_std(&[0.75, 3.75], 0.25, &mut inv);
        assert_eq!(inv, [1.0, 0.5]);
        let mut y = [0.0; 6];
        let residual = [0.0, 0.0, 0.0, 0.0, 5.0, -100.0];
        batch_norm_apply(&s, &x, &[2.0, 30.0], &[1.0, 0.5], &[2.0, 1.0], &[1.0, 0.0], Some(&residual), true, &mut y);
        assert_eq!(y, [0.0, 0.0, 1.0, 0.0, 8.0, 0.0]);
    }

    #[test]
    fn running_takes_the_unbiased_variance() {
        let (mut mean, mut var) = ([0.0f64], [1.0]);
        update_running(&mut mean, &mut var, &[10.0], &[3.0], 4, 0.1);
        assert!((mean[0] - 1.0).abs() < 1e-15 && (var[0] - 1.3).abs() < 1e-15);
    }

    #[test]
    fn nan_passes_the_relu() {
        let s = BatchNormShape { rows: 1, channels: 1 };
        let mut y = [0.0f32];
        batch_norm_apply(&s, &[f32::NAN], &[0.0], &[1.0], &[1.0], &[0.0], None, true, &mut y);
        assert!(y[0].is_nan());
    }
}
