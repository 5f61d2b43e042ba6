//! What a convolution reads: an activation that lies in memory, or one that is worked out from what
//! lies there while it is read.
//!
//! Batch norm, ReLU and their derivatives are maps of single elements once their sums are known. So
//! a convolution can apply them as it copies its source into the padded strip that it works on, and
//! the normalised activation, its gradient or its tangent need not be stored at all.

use super::source::Source;
use crate::Real;
use crate::simd::{Kernel, multiply_add};

/// An `(N, H, W, C)` activation as a convolution may be given it. Vectors named in the singular
/// hold one number a channel.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a, T> {
    /// It lies in memory.
    Stored(&'a [T]),
    /// `scale·x + shift`, then the ReLU where there is one: a batch norm's output. NaN passes.
    Normalized {
        /// `(N, H, W, C)`
        x: &'a [T],
        /// `γ/σ`
        scale: &'a [T],
        /// `β − μ·γ/σ`
        shift: &'a [T],
        /// Negative values become 0.
        relu: bool,
    },
    /// `scale·v + slope·(x − centre) + offset`, zero where the ReLU over `x` was shut: a gradient or
    /// a tangent on its way through a batch norm.
    Through {
        /// The gradient or tangent, `(N, H, W, C)`.
        v: &'a [T],
        /// What was normalised, `(N, H, W, C)`.
        x: &'a [T],
        /// Coefficients of the map.
        map: ThroughNorm<'a, T>,
        /// Scale and shift of the normalisation whose ReLU shuts.
        relu: Option<(&'a [T], &'a [T])>,
    },
}

/// Coefficients of `scale·v + slope·(x − centre) + offset`, one number a channel.
#[derive(Clone, Copy, Debug)]
pub struct ThroughNorm<'a, T> {
    /// Factor of what goes through.
    pub scale: &'a [T],
    /// Factor, centre and constant of the part that hangs on `x`. Without it `x` is not read: a NaN
    /// there does not enter.
    pub rest: Option<NormRest<'a, T>>,
}

/// See [`ThroughNorm::rest`].
#[derive(Clone, Copy, Debug)]
pub struct NormRest<'a, T> {
    /// Factor of `x − centre`.
    pub slope: &'a [T],
    /// Mean of each channel, `(C,)`.
    pub centre: &'a [T],
    /// Constant added to each channel, `(C,)`.
    pub offset: &'a [T],
}

impl<T: Real> Operand<'_, T> {
    /// Elements of the activation.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Stored(v) | Self::Normalized { x: v, .. } | Self::Through { v, .. } => v.len(),
        }
    }

    /// Panics in words when a part is not `len` long, or a vector not `channels`.
    pub(super) fn check(&self, name: &str, len: usize, channels: usize) {
        let check = |part: &str, found: usize, expected: usize| {
            assert!(
                found == expected,
                "conv2d: {part} of `{name}` has {found} elements, its shape asks for {expected}"
            );
        };
        check("the activation", self.len(), len);
        match self {
            Self::Stored(_) => {}
            Self::Normalized { scale, shift, .. } => {
                check("the scale", scale.len(), channels);
                check("the shift", shift.len(), channels);
            }
            Self::Through { x, map, relu, .. } => {
                check("the normalised activation", x.len(), len);
                check("the scale", map.scale.len(), channels);
                for part in map.rest.iter().flat_map(|rest| [rest.slope, rest.centre, rest.offset]) {
                    check("a coefficient", part.len(), channels);
                }
                for part in relu.iter().flat_map(|(scale, shift)| [scale, shift]) {
                    check("a coefficient of the ReLU", part.len(), channels);
                }
            }
        }
    }

    /// Writes a row of pixels: `block` channels each from channel `first` on, of which `count` exist; the rest is zero. `at` is
    /// the element of the first pixel and channel, `step` the elements from pixel to pixel.
    #[inline(always)]
    fn row<const FUSED: bool>(&self, at: usize, step: usize, first: usize, count: usize, row: &mut [T], block: usize) {
        if count == 16 && block == 16 {
            self.row_of::<FUSED, 16>(at, step, first, row);
        } else {
            for (pixel, to) in row.chunks_exact_mut(block).enumerate() {
                let (to, padding) = to.split_at_mut(count);
                padding.fill(T::ZERO);
                for (c, slot) in to.iter_mut().enumerate() {
                    let mut one = [T::ZERO];
                    self.row_of::<FUSED, 1>(at + pixel * step + c, step, first + c, &mut one);
                    *slot = one[0];
                }
            }
        }
    }

    /// The same for exactly `C` channels: lengths that the compiler knows become vector moves.
    #[inline(always)]
    fn row_of<const FUSED: bool, const C: usize>(&self, at: usize, step: usize, first: usize, row: &mut [T]) {
        let pixels = row.len() / C;
        let load =
            |from: &[T], pixel: usize| -> [T; C] { from[at + pixel * step..][..C].try_into().expect("C elements") };
        let vector = |from: &[T]| -> [T; C] { from[first..first + C].try_into().expect("C elements") };
        match *self {
            Self::Stored(v) => {
                for (pixel, to) in row.chunks_exact_mut(C).enumerate().take(pixels) {
                    to.copy_from_slice(&load(v, pixel));
                }
            }
            Self::Normalized { x, scale, shift, relu } => {
                let (scale, shift) = (vector(scale), vector(shift));
                for (pixel, to) in row.chunks_exact_mut(C).enumerate() {
                    let x = load(x, pixel);
                    for c in 0..C {
                        let y = multiply_add::<T, FUSED>(x[c], scale[c], shift[c]);
                        to[c] = if relu && y < T::ZERO { T::ZERO } else { y };
                    }
                }
            }
            Self::Through { v, x, map, relu } => {
                let scale = vector(map.scale);
                let zero = [T::ZERO; C];
                let rest = map.rest.map(|r| (vector(r.slope), vector(r.centre), vector(r.offset)));
                let relu = relu.map(|(scale, shift)| (vector(scale), vector(shift)));
                for (pixel, to) in row.chunks_exact_mut(C).enumerate() {
                    let v = load(v, pixel);
                    let x = if rest.is_some() || relu.is_some() { load(x, pixel) } else { zero };
                    let mut out = zero;
                    for c in 0..C {
                        out[c] = scale[c] * v[c];
                    }
                    if let Some((slope, centre, offset)) = &rest {
                        for c in 0..C {
                            out[c] = multiply_add::<T, FUSED>(slope[c], x[c] - centre[c], out[c] + offset[c]);
                        }
                    }
                    if let Some((scale, shift)) = &relu {
                        for c in 0..C {
                            let y = multiply_add::<T, FUSED>(x[c], scale[c], shift[c]);
                            out[c] = if y <= T::ZERO { T::ZERO } else { out[c] };
                        }
                    }
                    to.copy_from_slice(&out);
                }
            }
        }
    }
}

/// Writes a strip of an operand into its padded source.
pub(super) struct Fill<'a, T> {
    pub operand: &'a Operand<'a, T>,
    pub source: &'a Source,
    /// Index of the image in the batch.
    pub image: usize,
    /// Row of the image under the source's first row; rows outside the image are zero.
    pub first_row: isize,
    pub padded: &'a mut [T],
}

impl<T: Real> Kernel for Fill<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { operand, source, image, first_row, padded } = self;
        let (block, channels, width) = (source.block, source.channels, source.width);
        let row_len = source.padded_width * block;
        if row_len == 0 {
            return;
        }
        let image_start = image * source.height * width * channels;
        for (i, row) in padded[..source.len()].chunks_exact_mut(row_len).enumerate() {
            let (b, y) = (i / source.padded_height, first_row + (i % source.padded_height) as isize);
            if y < 0 || y >= source.height as isize {
                row.fill(T::ZERO);
                continue;
            }
            let (left, rest) = row.split_at_mut(source.before * block);
            let (inside, right) = rest.split_at_mut(width * block);
            left.fill(T::ZERO);
            right.fill(T::ZERO);
            let first = b * block;
            let at = image_start + y as usize * width * channels + first;
            operand.row::<FUSED>(at, channels, first, block.min(channels - first), inside, block);
        }
    }
}
