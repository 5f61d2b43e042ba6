//! The gradient of batch normalisation with its residual and ReLU.

use rayon::prelude::*;

use super::{BatchNormShape, fill_tile, fold_tile, sum_blocks};
use crate::Real;
use crate::scratch::with_scratch;
use crate::simd::{Kernel, dispatch, multiply_add};

/// Gradients of `y = relu(γ·x̂ + β + residual)`, `x̂ = (x − mean)·inv_std`.
///
/// With `g = dy` where `y > 0` (everywhere without ReLU; NaN counts as positive): `dbeta = Σ g`,
/// `dgamma = Σ g·x̂`, `dresidual (+)= g`, and `dx = γ·inv_std·(g − dbeta/rows − x̂·dgamma/rows)`
/// when mean and variance came from this batch (`batch_stats`), else `dx = γ·inv_std·g`.
///
/// # Shapes
/// - `x`, `y`, `dy`, `dx`, `dresidual.0`: `(rows, channels)`; `y` is the output, given exactly when
///   there was a ReLU
/// - `dresidual.1`: add to it instead of overwriting it - the others: `(channels)`; `dgamma`,
///   `dbeta` are overwritten
pub fn batch_norm_backward<T: Real>(
    s: &BatchNormShape,
    x: &[T],
    y: Option<&[T]>,
    mean: &[T],
    inv_std: &[T],
    gamma: &[T],
    dy: &[T],
    dx: &mut [T],
    dgamma: &mut [T],
    dbeta: &mut [T],
    dresidual: Option<(&mut [T], bool)>,
    batch_stats: bool,
) {
    s.check(
        "batch_norm_backward",
        &[
            ("x", x.len()),
            ("y", y.map_or(s.len(), <[T]>::len)),
            ("dy", dy.len()),
            ("dx", dx.len()),
            ("dresidual", dresidual.as_ref().map_or(s.len(), |(d, _)| d.len())),
        ],
        &[
            ("mean", mean.len()),
            ("inv_std", inv_std.len()),
            ("gamma", gamma.len()),
            ("dgamma", dgamma.len()),
            ("dbeta", dbeta.len()),
        ],
    );
    let (channels, tile_len, block) = (s.channels, s.tile_len(), s.block_len());
    let slice = |all: Option<_>, i: usize, len: usize| all.map(|all: &'_ [T]| &all[i * block..i * block + len]);

    with_scratch(s.blocks() * 2 * channels, |partials| {
        partials.par_chunks_mut(2 * channels).enumerate().for_each(|(i, partial)| {
            let len = block.min(s.len() - i * block);
            let (x, dy) = (&x[i * block..i * block + len], &dy[i * block..i * block + len]);
            let y = slice(y, i, len);
            with_scratch(3 * tile_len, |tiles| dispatch(Sums { x, y, dy, mean, tiles, partial }));
        });
        for channel in 0..channels {
            dbeta[channel] = T::from_f64(sum_blocks(partials, 2 * channels, channel));
            let product = sum_blocks(partials, 2 * channels, channels + channel);
            dgamma[channel] = T::from_f64(product * inv_std[channel].to_f64());
        }
    });

    let rows = T::from_usize(s.rows);
    let (dgamma, dbeta) = (&*dgamma, &*dbeta);
    with_scratch(4 * tile_len, |tiles| {
        let (scale, rest) = tiles.split_at_mut(tile_len);
        let (centre, rest) = rest.split_at_mut(tile_len);
        let (slope, offset) = rest.split_at_mut(tile_len);
        let a = |c: usize| gamma[c] * inv_std[c];
        fill_tile(scale, channels, a);
        fill_tile(centre, channels, |c| mean[c]);
        let gate = |v: T| if batch_stats { v } else { T::ZERO };
        fill_tile(slope, channels, |c| gate(-(a(c) * inv_std[c] * dgamma[c]) / rows));
        fill_tile(offset, channels, |c| gate(-(a(c) * dbeta[c]) / rows));
        let per_channel = Coefficients { scale, centre, slope, offset };
        let task = |i: usize, dx: &mut [T], dresidual: Option<(&mut [T], bool)>| {
            let at = i * block..i * block + dx.len();
            let (x, dy, y) = (&x[at.clone()], &dy[at.clone()], slice(y, i, dx.len()));
            dispatch(InputGradient { x, y, dy, dx, dresidual, per_channel: &per_channel, batch_stats });
        };
        match dresidual {
            None => dx.par_chunks_mut(block).enumerate().for_each(|(i, dx)| task(i, dx, None)),
            Some((dr, add)) => dx
                .par_chunks_mut(block)
                .zip(dr.par_chunks_mut(block))
                .enumerate()
                .for_each(|(i, (dx, dr))| task(i, dx, Some((dr, add)))),
        }
    });
}

/// `dy` where the ReLU let through.
#[inline(always)]
fn gate<T: Real>(dy: T, y: T) -> T {
    if y <= T::ZERO { T::ZERO } else { dy }
}

/// One block's `Σ g` and `Σ g·(x − mean)`.
struct Sums<'a, T> {
    x: &'a [T],
    y: Option<&'a [T]>,
    dy: &'a [T],
    mean: &'a [T],
    tiles: &'a mut [T],
    partial: &'a mut [T],
}

impl<T: Real> Kernel for Sums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { x, y, dy, mean, tiles, partial } = self;
        let channels = mean.len();
        let tile = tiles.len() / 3;
        let (sums, rest) = tiles.split_at_mut(tile);
        let (products, centre) = rest.split_at_mut(tile);
        sums.fill(T::ZERO);
        products.fill(T::ZERO);
        fill_tile(centre, channels, |c| mean[c]);
        match y {
            None => {
                for (x, dy) in x.chunks(tile).zip(dy.chunks(tile)) {
                    for ((((sum, product), &x), &g), &m) in
                        sums.iter_mut().zip(&mut *products).zip(x).zip(dy).zip(&*centre)
                    {
                        *sum += g;
                        *product = multiply_add::<T, FUSED>(g, x - m, *product);
                    }
                }
            }
            Some(y) => {
                for ((x, dy), y) in x.chunks(tile).zip(dy.chunks(tile)).zip(y.chunks(tile)) {
                    let columns = sums.iter_mut().zip(&mut *products).zip(x).zip(dy).zip(y).zip(&*centre);
                    for (((((sum, product), &x), &dy), &y), &m) in columns {
                        let g = gate(dy, y);
                        *sum += g;
                        *product = multiply_add::<T, FUSED>(g, x - m, *product);
                    }
                }
            }
        }
        let (sum, product) = partial.split_at_mut(channels);
        fold_tile(sums, channels, sum);
        fold_tile(products, channels, product);
    }
}

/// Tiles of `dx = scale·g + slope·(x − centre) + offset`.
struct Coefficients<'a, T> {
    scale: &'a [T],
    centre: &'a [T],
    slope: &'a [T],
    offset: &'a [T],
}

struct InputGradient<'a, T> {
    x: &'a [T],
    y: Option<&'a [T]>,
    dy: &'a [T],
    dx: &'a mut [T],
    dresidual: Option<(&'a mut [T], bool)>,
    per_channel: &'a Coefficients<'a, T>,
    batch_stats: bool,
}

impl<T: Real> Kernel for InputGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { x, y, dy, dx, dresidual, per_channel, batch_stats } = self;
        let Coefficients { scale, centre, slope, offset } = *per_channel;
        let tile = scale.len();
        if let Some((dresidual, add)) = dresidual {
            residual_gradient(dy, y, dresidual, add);
        }
        let masked = |i: usize| y.map(|y| &y[i * tile..(i * tile + tile).min(y.len())]);
        for (i, ((dx, dy), x)) in dx.chunks_mut(tile).zip(dy.chunks(tile)).zip(x.chunks(tile)).enumerate() {
            match masked(i) {
                None => {
                    for ((dx, &g), &a) in dx.iter_mut().zip(dy).zip(scale) {
                        *dx = a * g;
                    }
                }
                Some(y) => {
                    for (((dx, &dy), &y), &a) in dx.iter_mut().zip(dy).zip(y).zip(scale) {
                        *dx = a * gate(dy, y);
                    }
                }
            }
            // With running statistics x must not enter at all: 0·∞ would make a NaN that the
            // derivative does not have.
            if batch_stats {
                for ((((dx, &x), &m), &b), &c) in dx.iter_mut().zip(x).zip(centre).zip(slope).zip(offset) {
                    *dx = multiply_add::<T, FUSED>(b, x - m, *dx + c);
                }
            }
        }
    }
}

#[inline(always)]
fn residual_gradient<T: Real>(dy: &[T], y: Option<&[T]>, dresidual: &mut [T], add: bool) {
    match (y, add) {
        (None, false) => dresidual.copy_from_slice(dy),
        (None, true) => {
            for (d, &g) in dresidual.iter_mut().zip(dy) {
                *d += g;
            }
        }
        (Some(y), false) => {
            for ((d, &g), &y) in dresidual.iter_mut().zip(dy).zip(y) {
                *d = gate(g, y);
            }
        }
        (Some(y), true) => {
            for ((d, &g), &y) in dresidual.iter_mut().zip(dy).zip(y) {
                *d += gate(g, y);
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
        let (mut dx, mut dgamma, mut dbeta, mut dr) = ([0.0f64; 2], [0.0], [0.0], [1.0; 2]);
        let y = [5.0, 0.0];
        batch_norm_backward(
            &s,
            &[4.0, 6.0],
            Some(&y),
            &[2.0],
            &[0.5],
            &[3.0],
            &[10.0, 20.0],
            &mut dx,
            &mut dgamma,
            &mut dbeta,
            Some((&mut dr, true)),
            false,
        );
        assert_eq!((dx, dgamma, dbeta, dr), ([15.0, 0.0], [10.0], [10.0], [11.0, 1.0]));
    }
}
