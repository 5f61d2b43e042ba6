//! Winograd's F(2×2, 3×3): a 2×2 tile of outputs from a 4×4 tile of inputs with 16 multiplications
//! for each pair of channels, where the direct way takes 36.
//!
//! Tiles and weights are carried into a domain of 4×4 frequencies, where the convolution is one
//! matrix product for each frequency. A few tiles at a time keep one row of four frequencies in
//! registers over all input channels, and leave as the two output columns that the row adds to, so
//! that products never go through memory.
//!
//! An infinite or NaN input makes every output of its tile NaN.

mod correlate;
mod gradient;
mod kernels;
mod lanes;
#[cfg(test)]
mod tests;
mod transform;

pub use kernels::WinogradKernels;

use rayon::prelude::*;

use self::correlate::Correlate;
use self::gradient::AddGradient;
use self::transform::{ROW, SIDE};
use super::ConvShape;
use crate::Real;
use crate::simd::{SimdPath, simd_path};

/// Channels of a block.
const BLOCK: usize = 16;
/// Most tiles that are transformed at once.
const MOST_CHUNK: usize = 64;
/// Elements of transformed tiles that are held at once: they stay in the second cache.
const CHUNK_ELEMENTS: usize = 1 << 16;

/// Pixels in blocks of 16 channels: element `(b, y, x, c)` lies at `b·block_step + y·row_step + 16·x
/// + c`.
#[derive(Clone, Copy)]
pub(in crate::conv) struct Blocked<'a, T> {
    pub data: &'a [T],
    pub block_step: usize,
    pub row_step: usize,
}

impl<T> Blocked<'_, T> {
    /// Every pixel of `blocks` × `rows` × `columns` is there.
    fn reaches(&self, blocks: usize, rows: usize, columns: usize) -> bool {
        (blocks - 1) * self.block_step + (rows - 1) * self.row_step + columns * BLOCK <= self.data.len()
    }
}

/// The core for one strip of output rows of one image: kernel 3, stride 1, no dilation, no groups,
/// channels in multiples of 16.
#[derive(Clone, Copy, Debug)]
pub(in crate::conv) struct Winograd {
    pub in_channels: usize,
    pub out_channels: usize,
}

/// The tiles of 2×2 pixels that cover so many rows and columns.
pub(in crate::conv) fn tiles(rows: usize, columns: usize) -> (usize, usize) {
    (rows.div_ceil(2), columns.div_ceil(2))
}

impl Winograd {
    pub fn new(in_channels: usize, out_channels: usize) -> Self {
        Self { in_channels, out_channels }
    }

    /// Whether its weight gradient is faster than the direct one: on all but the smallest images, where tiles reach far beyond
    /// the border (measured: docs/kernels.md).
    pub fn pays_for_weight(s: &ConvShape) -> bool {
        #[cfg(test)]
        if tests::DIRECT_ONLY.get() {
            return false;
        }
        Self::takes(s) && s.height.min(s.width) >= 4
    }

    /// Whether its correlation is faster than the direct one. A transformed weight that leaves the caches is read again for
    /// every image, which only the widest vectors make up for.
    pub fn pays<T: Real>(s: &ConvShape) -> bool {
        const CACHED_BYTES: usize = 8 << 20;
        let weight = SIDE * SIDE * s.in_channels * s.out_channels * size_of::<T>();
        Self::pays_for_weight(s) && (weight <= CACHED_BYTES || simd_path() == SimdPath::Avx512)
    }

    /// Whether a shape is possible here at all.
    pub fn takes(s: &ConvShape) -> bool {
        s.kernel == 3
            && s.stride == 1
            && s.dilation == 1
            && s.groups == 1
            && s.in_channels.is_multiple_of(BLOCK)
            && s.out_channels.is_multiple_of(BLOCK)
    }

    fn blocks(&self) -> (usize, usize) {
        assert!(
            [self.in_channels, self.out_channels].iter().all(|&c| c > 0 && c.is_multiple_of(BLOCK)),
            "winograd: the channels of {self:?} are not multiples of {BLOCK}"
        );
        (self.in_channels / BLOCK, self.out_channels / BLOCK)
    }

    /// Elements of the packed weight.
    pub fn weight_len(&self) -> usize {
        SIDE * SIDE * self.in_channels * self.out_channels
    }

    /// Elements of the gradient in the transformed domain.
    pub fn gradient_len(&self) -> usize {
        self.weight_len()
    }

    /// `packed ← G g Gᵀ` for the weight `value(output channel, input channel, 3·ky + kx)`, as
    /// (output block, frequency row, input channel, frequency column, output channel).
    pub fn pack<T: Real>(&self, value: impl Fn(usize, usize, usize) -> T + Sync, packed: &mut [T]) {
        self.blocks();
        assert!(packed.len() == self.weight_len(), "winograd: `packed` has {} elements", packed.len());
        let row_len = self.in_channels * ROW;
        packed.par_chunks_exact_mut(SIDE * row_len).enumerate().for_each(|(block, packed)| {
            for i in 0..self.in_channels {
                let taps = std::array::from_fn(|tap| std::array::from_fn(|o| value(block * BLOCK + o, i, tap)));
                let frequencies = transform::weight(&taps);
                for (frequency, from) in frequencies.iter().enumerate() {
                    let at = frequency / SIDE * row_len + i * ROW + frequency % SIDE * BLOCK;
                    packed[at..at + BLOCK].copy_from_slice(from);
                }
            }
        });
    }

    /// Most tiles taken at once: `channels` of each stay in cache.
    fn most(&self, tiles: usize, channels: usize) -> usize {
        (CHUNK_ELEMENTS / (SIDE * SIDE * channels)).clamp(16, MOST_CHUNK).min(tiles.max(1))
    }

    /// Tiles taken at once: as equal shares of the strip as there are.
    fn chunk(&self, tiles: usize, channels: usize) -> usize {
        tiles.max(1).div_ceil(tiles.max(1).div_ceil(self.most(tiles, channels)))
    }

    fn correlate_chunk(&self, tiles: usize) -> usize {
        self.chunk(tiles, self.in_channels)
    }

    fn gradient_chunk(&self, tiles: usize) -> usize {
        self.chunk(tiles, self.in_channels + self.out_channels)
    }

    /// Elements of scratch that a strip of at most `tiles` tiles asks for, in either function.
    pub fn scratch_len(&self, tiles: usize) -> usize {
        let correlate = self.most(tiles, self.in_channels) * (SIDE * SIDE * self.in_channels + ROW) + self.out_channels;
        let both = self.in_channels + self.out_channels;
        correlate.max(self.most(tiles, both) * SIDE * SIDE * both)
    }

    /// One strip of the correlation of a padded source with a packed weight.
    ///
    /// Every pixel of (2·tiles.0 + 2) × (2·tiles.1 + 2) of `source` is read. Pixel `(y, x)` of the
    /// output lies at `y·out_row + x·out_channels`; those with `y < rows` and `x < columns` are
    /// overwritten, or added to when `accumulate`.
    pub fn correlate<T: Real>(
        &self,
        source: Blocked<'_, T>,
        tiles: (usize, usize),
        packed: &[T],
        out: &mut [T],
        out_row: usize,
        rows: usize,
        columns: usize,
        accumulate: bool,
        scratch: &mut [T],
    ) {
        let blocks = self.blocks();
        let total = tiles.0 * tiles.1;
        if total == 0 || rows == 0 || columns == 0 {
            return;
        }
        assert!(
            source.reaches(blocks.0, 2 * tiles.0 + 2, 2 * tiles.1 + 2)
                && packed.len() == self.weight_len()
                && rows <= 2 * tiles.0
                && columns <= 2 * tiles.1
                && (rows - 1) * out_row + columns * self.out_channels <= out.len()
                && scratch.len() >= self.scratch_len(total),
            "winograd: a strip lies inside its source, weight, output and scratch"
        );
        let chunk = self.correlate_chunk(total);
        let (values, scratch) = scratch.split_at_mut(chunk * SIDE * SIDE * self.in_channels);
        let (partial, discard) = scratch.split_at_mut(chunk * ROW);
        let job = Correlate {
            source,
            blocks,
            tiles,
            chunk,
            packed,
            out,
            out_row,
            rows,
            columns,
            accumulate,
            values,
            partial,
            discard: &mut discard[..self.out_channels],
        };
        // SAFETY: asserted and cut above to what the fields promise.
        #[allow(unsafe_code)]
        unsafe {
            T::winograd_kernels().correlate(job)
        }
    }

    /// Adds one strip's share of the weight gradient, in the transformed domain: `Σ_tiles (Bᵀ x B) ⊗
    /// (A dy Aᵀ)`. Every pixel of (2·tiles.0 + 2) × (2·tiles.1 + 2) of `source` and of 2·tiles.0 ×
    /// 2·tiles.1 of `dy` is read. Sums over at most 64 tiles are taken on their own and then added.
    pub fn add_gradient<T: Real>(
        &self,
        source: Blocked<'_, T>,
        dy: Blocked<'_, T>,
        tiles: (usize, usize),
        gradient: &mut [T],
        scratch: &mut [T],
    ) {
        let blocks = self.blocks();
        let total = tiles.0 * tiles.1;
        if total == 0 {
            return;
        }
        assert!(
            source.reaches(blocks.0, 2 * tiles.0 + 2, 2 * tiles.1 + 2)
                && dy.reaches(blocks.1, 2 * tiles.0, 2 * tiles.1)
                && gradient.len() == self.gradient_len()
                && scratch.len() >= self.scratch_len(total),
            "winograd: a strip lies inside its sources, gradient and scratch"
        );
        let chunk = self.gradient_chunk(total);
        let (values, scratch) = scratch.split_at_mut(chunk * SIDE * SIDE * self.in_channels);
        let dy_values = &mut scratch[..chunk * SIDE * SIDE * self.out_channels];
        let job = AddGradient { source, dy, blocks, tiles, chunk, gradient, values, dy_values };
        // SAFETY: asserted and cut above to what the fields promise.
        #[allow(unsafe_code)]
        unsafe {
            T::winograd_kernels().add_gradient(job)
        }
    }

    /// `dweight ← Gᵀ gradient G`, in PyTorch's layout `(O, I, 3, 3)`.
    pub fn finish_gradient<T: Real>(&self, gradient: &[T], dweight: &mut [T]) {
        let (in_blocks, out_blocks) = self.blocks();
        assert!(
            gradient.len() == self.gradient_len() && dweight.len() == 9 * self.in_channels * self.out_channels,
            "winograd: the gradient has {} elements, the weight {}",
            gradient.len(),
            dweight.len()
        );
        let square = BLOCK * BLOCK;
        dweight.par_chunks_exact_mut(BLOCK * self.in_channels * 9).enumerate().for_each(|(out_block, dweight)| {
            for i in 0..self.in_channels {
                let at = (i / BLOCK * out_blocks + out_block) * square + i % BLOCK * BLOCK;
                let frequencies = std::array::from_fn(|frequency| {
                    let at = frequency * in_blocks * out_blocks * square + at;
                    std::array::from_fn(|o| gradient[at + o])
                });
                for (tap, from) in transform::weight_gradient(&frequencies).iter().enumerate() {
                    for (o, &v) in from.iter().enumerate() {
                        dweight[(o * self.in_channels + i) * 9 + tap] = v;
                    }
                }
            }
        });
    }
}
