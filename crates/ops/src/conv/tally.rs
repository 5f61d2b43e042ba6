//! Sums over what a convolution has just written, taken while it is still in cache.

use crate::norm::{fill_tile, fold_tile};
use rayon::prelude::*;

use crate::Real;
use crate::scratch::with_scratch;
use crate::simd::{Kernel, dispatch, multiply_add};

/// What to sum over a convolution's result `v`, `(rows, channels)`. Vectors hold one number a
/// channel and are overwritten.
#[derive(Debug)]
pub enum Tally<'a, T> {
    /// No sums are taken.
    None,
    /// Mean and biased variance, by two passes over each strip; strips merge in their order by Chan's
    /// formula in f64.
    Moments {
        /// Receives the mean of each channel, `(C,)`.
        mean: &'a mut [T],
        /// Receives the biased variance of each channel, `(C,)`.
        var: &'a mut [T],
    },
    /// `Σ v` and `Σ v·(x − centre)`, after `v` was set to zero where the ReLU was shut.
    Products {
        /// `(rows, channels)`
        x: &'a [T],
        /// The mean of `x`.
        centre: &'a [T],
        /// Where the ReLU was shut.
        mask: Mask<'a, T>,
        /// `Σ v`
        sum: &'a mut [T],
        /// `Σ v·(x − centre)`
        product: &'a mut [T],
    },
}

/// Where a ReLU was shut. NaN counts as open.
#[derive(Clone, Copy, Debug)]
pub enum Mask<'a, T> {
    /// Nowhere: there was none.
    Open,
    /// Where its output, `(rows, channels)`, is 0.
    Output(&'a [T]),
    /// Where `scale·x + shift` is not positive, for the `x` of the products.
    Normalized {
        /// One number a channel.
        scale: &'a [T],
        /// One number a channel.
        shift: &'a [T],
    },
}

/// The part of a [`Tally`] that all threads read.
#[derive(Clone, Copy)]
pub(super) enum TallyInput<'a, T> {
    None,
    Moments,
    Products { x: &'a [T], centre: &'a [T], mask: Mask<'a, T> },
}

impl<'a, T: Real> Tally<'a, T> {
    pub(super) fn input(&self) -> TallyInput<'a, T> {
        match *self {
            Self::None => TallyInput::None,
            Self::Moments { .. } => TallyInput::Moments,
            Self::Products { x, centre, mask, .. } => TallyInput::Products { x, centre, mask },
        }
    }

    /// Panics in words when a part has the wrong length.
    pub(super) fn check(&self, len: usize, channels: usize) {
        let check = |part: &str, found: usize, expected: usize| {
            assert!(found == expected, "conv2d: the tally's {part} has {found} elements, expected {expected}");
        };
        match self {
            Self::None => {}
            Self::Moments { mean, var } => {
                check("mean", mean.len(), channels);
                check("variance", var.len(), channels);
            }
            Self::Products { x, centre, mask, sum, product } => {
                check("x", x.len(), len);
                for (part, vector) in [("centre", *centre), ("sum", sum), ("product", product)] {
                    check(part, vector.len(), channels);
                }
                match mask {
                    Mask::Open => {}
                    Mask::Output(y) => check("ReLU output", y.len(), len),
                    Mask::Normalized { scale, shift } => {
                        check("ReLU scale", scale.len(), channels);
                        check("ReLU shift", shift.len(), channels);
                    }
                }
            }
        }
    }

    /// Merges the strips' sums, `2·channels` numbers each, in their order. `rows` gives a strip's number of rows.
    pub(super) fn finish(self, partials: &[T], rows: impl Fn(usize) -> usize) {
        match self {
            Self::None => {}
            Self::Moments { mean, var } => merge_moments(partials, rows, mean, var),
            Self::Products { sum, product, .. } => {
                let channels = sum.len();
                for channel in 0..channels {
                    let total = |offset: usize| {
                        partials.chunks_exact(2 * channels).map(|p| p[offset + channel].to_f64()).sum::<f64>()
                    };
                    sum[channel] = T::from_f64(total(0));
                    product[channel] = T::from_f64(total(channels));
                }
            }
        }
    }
}

/// The sums of a [`Tally`] over `v`, `(rows, channels)`, which no convolution has just written. A mask shuts `v` in place.
///
/// # Panics
/// When a length does not fit.
pub fn tally_rows<T: Real>(channels: usize, v: &mut [T], tally: Tally<'_, T>) {
    assert!(
        channels > 0 && v.len().is_multiple_of(channels),
        "tally_rows: {} elements of {channels} channels",
        v.len()
    );
    tally.check(v.len(), channels);
    let (block, len) = (tile_len(channels) * (8192 / tile_len(channels)).max(1), v.len());
    let sums = tally.input();
    with_scratch(len.div_ceil(block) * 2 * channels, |partials| {
        partials.par_chunks_mut(2 * channels).zip(v.par_chunks_mut(block)).enumerate().for_each(|(i, (partial, v))| {
            sums.run(v, i * block, channels, partial);
        });
        tally.finish(partials, |i| block.min(len - i * block) / channels);
    });
}

/// Mean and biased variance of all blocks from each block's mean and summed squared deviations: Chan's formula in f64, in the
/// order of the blocks.
pub(crate) fn merge_moments<T: Real>(partials: &[T], rows: impl Fn(usize) -> usize, mean: &mut [T], var: &mut [T]) {
    let channels = mean.len();
    for channel in 0..channels {
        let (mut count, mut merged_mean, mut squares) = (0.0f64, 0.0f64, 0.0f64);
        for (block, partial) in partials.chunks_exact(2 * channels).enumerate() {
            let block_rows = rows(block) as f64;
            let delta = partial[channel].to_f64() - merged_mean;
            let total = count + block_rows;
            merged_mean += delta * (block_rows / total);
            squares += partial[channels + channel].to_f64() + delta * delta * (count * block_rows / total);
            count = total;
        }
        mean[channel] = T::from_f64(merged_mean);
        var[channel] = T::from_f64(squares / count);
    }
}

impl<T: Real> TallyInput<'_, T> {
    /// Sums over one strip, the elements from `at` on of the whole result, into `partial`, `2·channels` numbers.
    pub(super) fn run(&self, strip: &mut [T], at: usize, channels: usize, partial: &mut [T]) {
        let tile_len = tile_len(channels);
        let whole = at..at + strip.len();
        match *self {
            Self::None => {}
            Self::Moments => with_scratch(2 * tile_len, |tiles| {
                dispatch(BlockMoments { channels, x: strip, tiles, partial });
            }),
            Self::Products { x, centre, mask } => with_scratch(5 * tile_len, |tiles| {
                let mask = match mask {
                    Mask::Output(y) => Mask::Output(&y[whole.clone()]),
                    mask => mask,
                };
                dispatch(Products { v: strip, x: &x[whole], centre, mask, tiles, partial });
            }),
        }
    }
}

/// Elements of a tile: about 256, whole rows.
fn tile_len(channels: usize) -> usize {
    channels * (256 / channels).max(1)
}

/// Mean and summed squared deviations of one block of rows.
pub(crate) struct BlockMoments<'a, T> {
    pub channels: usize,
    pub x: &'a [T],
    /// Twice a tile's length.
    pub tiles: &'a mut [T],
    /// The channels' means, then their summed squares.
    pub partial: &'a mut [T],
}

impl<T: Real> Kernel for BlockMoments<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { channels, x, tiles, partial } = self;
        let tile_len = tiles.len() / 2;
        let (sums, means) = tiles.split_at_mut(tile_len);
        let (mean, squares) = partial.split_at_mut(channels);
        sums.fill(T::ZERO);
        for row in x.chunks(tile_len) {
            for (sum, &v) in sums.iter_mut().zip(row) {
                *sum += v;
            }
        }
        fold_tile(sums, channels, mean);
        let scale = T::ONE / T::from_usize(x.len() / channels);
        for m in mean.iter_mut() {
            *m *= scale;
        }
        fill_tile(means, channels, |channel| mean[channel]);
        sums.fill(T::ZERO);
        for row in x.chunks(tile_len) {
            for ((sum, &v), &m) in sums.iter_mut().zip(row).zip(means.iter()) {
                let d = v - m;
                *sum = multiply_add::<T, FUSED>(d, d, *sum);
            }
        }
        fold_tile(sums, channels, squares);
    }
}

struct Products<'a, T> {
    v: &'a mut [T],
    x: &'a [T],
    centre: &'a [T],
    mask: Mask<'a, T>,
    /// Buffer for five tiles.
    tiles: &'a mut [T],
    partial: &'a mut [T],
}

impl<T: Real> Kernel for Products<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { v, x, centre, mask, tiles, partial } = self;
        let channels = centre.len();
        let tile = tiles.len() / 5;
        let (sums, rest) = tiles.split_at_mut(tile);
        let (products, rest) = rest.split_at_mut(tile);
        let (centres, rest) = rest.split_at_mut(tile);
        let (scales, shifts) = rest.split_at_mut(tile);
        sums.fill(T::ZERO);
        products.fill(T::ZERO);
        fill_tile(centres, channels, |c| centre[c]);
        if let Mask::Normalized { scale, shift } = mask {
            fill_tile(scales, channels, |c| scale[c]);
            fill_tile(shifts, channels, |c| shift[c]);
        }
        for (i, (v, x)) in v.chunks_mut(tile).zip(x.chunks(tile)).enumerate() {
            let n = v.len().min(x.len());
            match mask {
                Mask::Open => {}
                Mask::Output(y) => {
                    let y = &y[i * tile..i * tile + n];
                    for (v, &y) in v.iter_mut().zip(y) {
                        *v = if y <= T::ZERO { T::ZERO } else { *v };
                    }
                }
                Mask::Normalized { .. } => {
                    for (((v, &x), &a), &b) in v.iter_mut().zip(x).zip(&*scales).zip(&*shifts) {
                        let y = multiply_add::<T, FUSED>(x, a, b);
                        *v = if y <= T::ZERO { T::ZERO } else { *v };
                    }
                }
            }
            let columns = sums.iter_mut().zip(&mut *products).zip(&*v).zip(x).zip(&*centres);
            for ((((sum, product), &v), &x), &m) in columns {
                *sum += v;
                *product = multiply_add::<T, FUSED>(v, x - m, *product);
            }
        }
        let (sum, product) = partial.split_at_mut(channels);
        fold_tile(sums, channels, sum);
        fold_tile(products, channels, product);
    }
}
