//! The derivative of batch normalisation along a direction.

use rayon::prelude::*;

use super::{BatchNormShape, fill_tile, fold_tile, sum_blocks};
use crate::Real;
use crate::conv::NormRest;
use crate::scratch::with_scratch;
use crate::simd::{Kernel, dispatch, multiply_add};

/// How `y = relu(γ·x̂ + β + residual)` moves when its inputs do: `ẏ = γ·x̂' + γ̇·x̂ + β̇ +
/// residual_dot`, zero where the ReLU was shut, with `x̂' = inv_std·(ẋ − mean(ẋ) − x̂·mean(x̂·ẋ))`
/// on this batch's statistics (`batch_stats`), else `inv_std·ẋ`.
///
/// # Shapes
/// - `x`, `x_dot`, `residual_dot`, `relu_y` (the output, given exactly when there was a ReLU),
///   `y_dot`: `(rows, channels)`
/// - the others: `(channels)`
pub fn batch_norm_jvp<T: Real>(
    s: &BatchNormShape,
    x: &[T],
    x_dot: &[T],
    mean: &[T],
    inv_std: &[T],
    gamma: &[T],
    gamma_dot: &[T],
    beta_dot: &[T],
    residual_dot: Option<&[T]>,
    relu_y: Option<&[T]>,
    y_dot: &mut [T],
    batch_stats: bool,
) {
    s.check(
        "batch_norm_jvp",
        &[
            ("x", x.len()),
            ("x_dot", x_dot.len()),
            ("residual_dot", residual_dot.map_or(s.len(), <[T]>::len)),
            ("relu_y", relu_y.map_or(s.len(), <[T]>::len)),
            ("y_dot", y_dot.len()),
        ],
        &[
            ("mean", mean.len()),
            ("inv_std", inv_std.len()),
            ("gamma", gamma.len()),
            ("gamma_dot", gamma_dot.len()),
            ("beta_dot", beta_dot.len()),
        ],
    );
    let (channels, tile_len, block) = (s.channels, s.tile_len(), s.block_len());
    with_scratch(4 * tile_len, |tiles| {
        let (scale, rest) = tiles.split_at_mut(tile_len);
        let (centre, rest) = rest.split_at_mut(tile_len);
        let (slope, offset) = rest.split_at_mut(tile_len);
        fill_tile(centre, channels, |c| mean[c]);
        fill_tile(scale, channels, |c| gamma[c] * inv_std[c]);
        fill_tile(slope, channels, |c| gamma_dot[c] * inv_std[c]);
        fill_tile(offset, channels, |c| beta_dot[c]);
        if batch_stats {
            tangent_means(s, x, x_dot, mean, inv_std, |c, mean_dot, projection| {
                // Only the first row of each tile is set here; the rows below it follow.
                slope[c] -= gamma[c] * inv_std[c] * inv_std[c] * projection;
                offset[c] -= gamma[c] * inv_std[c] * mean_dot;
            });
            repeat_first_row(slope, channels);
            repeat_first_row(offset, channels);
        }
        let (scale, centre, slope, offset) = (&*scale, &*centre, &*slope, &*offset);
        y_dot.par_chunks_mut(block).enumerate().for_each(|(i, y_dot)| {
            let at = i * block..i * block + y_dot.len();
            let residual_dot = residual_dot.map(|r| &r[at.clone()]);
            let relu_y = relu_y.map(|y| &y[at.clone()]);
            dispatch(Tangent {
                x: &x[at.clone()],
                x_dot: &x_dot[at],
                scale,
                centre,
                slope,
                offset,
                residual_dot,
                relu_y,
                y_dot,
            });
        });
    });
}

/// `ẏ = scale·ẋ + slope·(x − centre) + offset + residual_dot`, zero where the ReLU's output `relu_y` is not positive: the
/// tangent of a batch norm whose coefficients are known.
///
/// # Shapes
/// - `x`, `x_dot`, `residual_dot`, `relu_y` (given exactly when there was a ReLU), `y_dot`: `(rows, channels)`
/// # Panics
/// When a length does not fit.
pub fn batch_norm_tangent<T: Real>(
    s: &BatchNormShape,
    x: &[T],
    x_dot: &[T],
    scale: &[T],
    rest: &NormRest<'_, T>,
    residual_dot: Option<&[T]>,
    relu_y: Option<&[T]>,
    y_dot: &mut [T],
) {
    s.check(
        "batch_norm_tangent",
        &[
            ("x", x.len()),
            ("x_dot", x_dot.len()),
            ("residual_dot", residual_dot.map_or(s.len(), <[T]>::len)),
            ("relu_y", relu_y.map_or(s.len(), <[T]>::len)),
            ("y_dot", y_dot.len()),
        ],
        &[
            ("scale", scale.len()),
            ("slope", rest.slope.len()),
            ("centre", rest.centre.len()),
            ("offset", rest.offset.len()),
        ],
    );
    let (tile_len, block) = (s.tile_len(), s.block_len());
    with_scratch(4 * tile_len, |tiles| {
        let mut parts = tiles.chunks_exact_mut(tile_len);
        let mut tile = |values: &[T]| {
            let part = parts.next().expect("four tiles");
            fill_tile(part, s.channels, |c| values[c]);
            &*part
        };
        let (scale, centre, slope, offset) = (tile(scale), tile(rest.centre), tile(rest.slope), tile(rest.offset));
        y_dot.par_chunks_mut(block).enumerate().for_each(|(i, y_dot)| {
            let at = i * block..i * block + y_dot.len();
            let residual_dot = residual_dot.map(|r| &r[at.clone()]);
            let relu_y = relu_y.map(|y| &y[at.clone()]);
            let x = &x[at.clone()];
            dispatch(Tangent { x, x_dot: &x_dot[at], scale, centre, slope, offset, residual_dot, relu_y, y_dot });
        });
    });
}

/// Calls `take(channel, mean(ẋ), mean(x̂·ẋ))` for every channel.
fn tangent_means<T: Real>(
    s: &BatchNormShape,
    x: &[T],
    x_dot: &[T],
    mean: &[T],
    inv_std: &[T],
    mut take: impl FnMut(usize, T, T),
) {
    let (channels, block) = (s.channels, s.block_len());
    with_scratch(s.blocks() * 2 * channels, |partials| {
        let blocks = x.par_chunks(block).zip(x_dot.par_chunks(block));
        partials.par_chunks_mut(2 * channels).zip(blocks).for_each(|(partial, (x, x_dot))| {
            with_scratch(3 * s.tile_len(), |tiles| dispatch(TangentSums { x, x_dot, mean, tiles, partial }));
        });
        let rows = s.rows as f64;
        for c in 0..channels {
            let mean_dot = sum_blocks(partials, 2 * channels, c) / rows;
            let projection = sum_blocks(partials, 2 * channels, channels + c) / rows * inv_std[c].to_f64();
            take(c, T::from_f64(mean_dot), T::from_f64(projection));
        }
    });
}

fn repeat_first_row<T: Real>(tile: &mut [T], channels: usize) {
    let (first, rest) = tile.split_at_mut(channels);
    for row in rest.chunks_exact_mut(channels) {
        row.copy_from_slice(first);
    }
}

/// One block's `Σ ẋ` and `Σ ẋ·(x − mean)`.
struct TangentSums<'a, T> {
    x: &'a [T],
    x_dot: &'a [T],
    mean: &'a [T],
    tiles: &'a mut [T],
    partial: &'a mut [T],
}

impl<T: Real> Kernel for TangentSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { x, x_dot, mean, tiles, partial } = self;
        let channels = mean.len();
        let tile = tiles.len() / 3;
        let (sums, rest) = tiles.split_at_mut(tile);
        let (products, centre) = rest.split_at_mut(tile);
        sums.fill(T::ZERO);
        products.fill(T::ZERO);
        fill_tile(centre, channels, |c| mean[c]);
        for (x, x_dot) in x.chunks(tile).zip(x_dot.chunks(tile)) {
            for ((((sum, product), &x), &d), &m) in sums.iter_mut().zip(&mut *products).zip(x).zip(x_dot).zip(&*centre)
            {
                *sum += d;
                *product = multiply_add::<T, FUSED>(d, x - m, *product);
            }
        }
        let (sum, product) = partial.split_at_mut(channels);
        fold_tile(sums, channels, sum);
        fold_tile(products, channels, product);
    }
}

/// `ẏ = scale·ẋ + slope·(x − centre) + offset (+ residual_dot)`, shut where `relu_y ≤ 0`.
struct Tangent<'a, T> {
    x: &'a [T],
    x_dot: &'a [T],
    scale: &'a [T],
    centre: &'a [T],
    slope: &'a [T],
    offset: &'a [T],
    residual_dot: Option<&'a [T]>,
    relu_y: Option<&'a [T]>,
    y_dot: &'a mut [T],
}

impl<T: Real> Kernel for Tangent<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let tile = self.scale.len();
        for (i, y_dot) in self.y_dot.chunks_mut(tile).enumerate() {
            let at = i * tile..i * tile + y_dot.len();
            let (x, x_dot) = (&self.x[at.clone()], &self.x_dot[at.clone()]);
            let columns =
                y_dot.iter_mut().zip(x).zip(x_dot).zip(self.scale).zip(self.centre).zip(self.slope).zip(self.offset);
            for ((((((y_dot, &x), &d), &a), &m), &b), &c) in columns {
                *y_dot = multiply_add::<T, FUSED>(a, d, multiply_add::<T, FUSED>(b, x - m, c));
            }
            if let Some(residual) = self.residual_dot {
                for (y_dot, &r) in y_dot.iter_mut().zip(&residual[at.clone()]) {
                    *y_dot += r;
                }
            }
            if let Some(relu_y) = self.relu_y {
                for (y_dot, &y) in y_dot.iter_mut().zip(&relu_y[at.clone()]) {
                    *y_dot = if y <= T::ZERO { T::ZERO } else { *y_dot };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_statistics_by_hand() {
        let s = BatchNormShape { rows: 2, channels: 1 };
        let mut y_dot = [0.0f64; 2];
        batch_norm_jvp(
            &s,
            &[4.0, 6.0],
            &[1.0, 1.0],
            &[2.0],
            &[0.5],
            &[3.0],
            &[10.0],
            &[100.0],
            Some(&[1000.0, 0.0]),
            None,
            &mut y_dot,
            false,
        );
        assert_eq!(y_dot, [1.5 + 10.0 + 100.0 + 1000.0, 1.5 + 20.0 + 100.0]);
    }
}
