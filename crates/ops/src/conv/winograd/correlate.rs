//! The correlation: input tiles to frequencies, products, and output tiles back, with the products
//! in registers from the first input channel to the output pixel.

use super::lanes::Lanes;
use super::transform::{Chunk, ROW, SIDE, Stretch, input_tiles};
use super::{BLOCK, Blocked, MOST_CHUNK};
use crate::Real;

/// One strip's correlation. [`super::Winograd::correlate`] checks what the kernel relies on.
pub struct Correlate<'a, T> {
    pub(super) source: Blocked<'a, T>,
    /// Blocks of input and of output channels.
    pub(super) blocks: (usize, usize),
    pub(super) tiles: (usize, usize),
    /// Tiles taken at once, at most `MOST_CHUNK`.
    pub(super) chunk: usize,
    pub(super) packed: &'a [T],
    pub(super) out: &'a mut [T],
    pub(super) out_row: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) accumulate: bool,
    /// `chunk · SIDE · ROW` elements for each block of input channels.
    pub(super) values: &'a mut [T],
    /// `chunk · ROW` elements: four pixels of one block of output channels.
    pub(super) partial: &'a mut [T],
    /// As many elements as a pixel of the output has: where pixels beyond the output go.
    pub(super) discard: &'a mut [T],
}

/// The rows of frequencies in the order in which they are taken: the two that both output rows need
/// come first.
const ROW_ORDER: [usize; SIDE] = [1, 2, 0, 3];

/// # Safety
/// The processor must have the instructions of `V`, the caller must be compiled for them, and the
/// job must keep what its fields promise.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn correlate<T: Real, V: Lanes<T>, const MOST_TILES: usize>(job: Correlate<'_, T>) {
    let (in_blocks, out_blocks) = job.blocks;
    let out_channels = out_blocks * BLOCK;
    let total = job.tiles.0 * job.tiles.1;
    let (values, partial) = (job.values.as_mut_ptr(), job.partial.as_mut_ptr());
    let (out, discard) = (job.out.as_mut_ptr(), job.discard.as_mut_ptr());
    let mut to = [[discard; 4]; MOST_CHUNK];
    for first in (0..total).step_by(job.chunk) {
        let count = job.chunk.min(total - first);
        let chunk = Chunk { columns: job.tiles.1, first, count };
        for Stretch { row, column, index, length } in chunk.stretches() {
            let upper = out.wrapping_add(2 * row * job.out_row + 2 * column * out_channels);
            let lower = if 2 * row + 1 < job.rows { upper.wrapping_add(job.out_row) } else { discard };
            let upper = if 2 * row < job.rows { upper } else { discard };
            let step = |pixel: *mut T| if pixel == discard { 0 } else { out_channels };
            let (upper_step, lower_step) = (step(upper), step(lower));
            for (t, to) in to[index..index + length].iter_mut().enumerate() {
                let (upper, lower) = (upper.wrapping_add(2 * t * upper_step), lower.wrapping_add(2 * t * lower_step));
                *to = [upper, upper.wrapping_add(upper_step), lower, lower.wrapping_add(lower_step)];
            }
            // Tiles from the first one that does not lie inside whole.
            let whole = (job.columns / 2).saturating_sub(column).min(length);
            for t in whole..length {
                for x in 0..2 {
                    if 2 * (column + t) + x >= job.columns {
                        (to[index + t][x], to[index + t][2 + x]) = (discard, discard);
                    }
                }
            }
        }
        let groups = count.div_ceil(MOST_TILES);
        let (tiles_each, larger) = (count / groups, count % groups);
        // SAFETY: the job's source has every pixel of every tile, its values room for a chunk; its
        // packed weight has a row for every input channel and frequency of every block; `to` holds
        // pointers to pixels of the output and to `discard`, all `out_channels` long.
        unsafe {
            input_tiles::<T, V>(job.source, chunk, in_blocks, values);
            for vector in 0..out_channels / V::LANES {
                let channel = vector * V::LANES;
                for row in ROW_ORDER {
                    let block = channel / BLOCK * SIDE + row;
                    let weight = job.packed.as_ptr().add(block * in_blocks * BLOCK * ROW + channel % BLOCK);
                    let values = values.add(row * in_blocks * count * ROW);
                    let mut done = 0;
                    for group in 0..groups {
                        let size = tiles_each + usize::from(group < larger);
                        let product = Product {
                            values: values.add(done * ROW).cast_const(),
                            block_step: count * ROW,
                            blocks: in_blocks,
                            weight,
                            row,
                            partial: partial.add(done * 4 * V::LANES),
                            to: to.as_ptr().add(done),
                            channel,
                            accumulate: job.accumulate,
                        };
                        match size {
                            7 if MOST_TILES >= 7 => product.run::<V, 7>(),
                            6 if MOST_TILES >= 6 => product.run::<V, 6>(),
                            5 if MOST_TILES >= 5 => product.run::<V, 5>(),
                            4 if MOST_TILES >= 4 => product.run::<V, 4>(),
                            3 if MOST_TILES >= 3 => product.run::<V, 3>(),
                            2 if MOST_TILES >= 2 => product.run::<V, 2>(),
                            _ => product.run::<V, 1>(),
                        }
                        done += size;
                    }
                }
            }
        }
    }
}

/// One row of frequencies of a few tiles for one vector of output channels: the products of all
/// input channels, and what they add to the tiles' pixels.
struct Product<T> {
    /// The row's values from the first tile on.
    values: *const T,
    /// Elements from one block of input channels to the next.
    block_step: usize,
    /// Blocks of input channels.
    blocks: usize,
    /// `(input channel, frequency column, 16)`
    weight: *const T,
    /// Which row of frequencies.
    row: usize,
    /// `(tile, pixel, LANES)`: what the rows before this one left.
    partial: *mut T,
    /// Where each tile's four pixels go.
    to: *const [*mut T; 4],
    /// First output channel.
    channel: usize,
    accumulate: bool,
}

impl<T: Real> Product<T> {
    /// # Safety
    /// The processor must have the instructions of `V`, the caller must be compiled for them, and
    /// the pointers must reach `TILES` tiles.
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn run<V: Lanes<T>, const TILES: usize>(&self) {
        // SAFETY: the caller vouches for instructions and pointers.
        unsafe {
            let mut sums = [[V::splat(T::ZERO); SIDE]; TILES];
            let mut weight = self.weight;
            for block in 0..self.blocks {
                let mut values = self.values.add(block * self.block_step);
                for _ in 0..BLOCK {
                    for x in 0..SIDE {
                        let row = V::load(weight.add(x * BLOCK));
                        for t in 0..TILES {
                            sums[t][x] = sums[t][x].fma(V::splat(*values.add(t * ROW + x * BLOCK)), row);
                        }
                    }
                    values = values.add(1);
                    weight = weight.wrapping_add(ROW);
                }
            }
            // Loops this short are unrolled, so that no sum has an address and all stay in registers.
            let mut pairs = [[V::splat(T::ZERO); 2]; TILES];
            for t in 0..TILES {
                let [a, b, c, d] = sums[t];
                pairs[t] = [a.add(b).add(c), b.sub(c).sub(d)];
            }
            let partial = |t: usize, pixel: usize| self.partial.wrapping_add((t * 4 + pixel) * V::LANES);
            let first = match self.row {
                1 => {
                    for t in 0..TILES {
                        pairs[t][0].store(partial(t, 0));
                        pairs[t][1].store(partial(t, 1));
                    }
                    return;
                }
                2 => {
                    for t in 0..TILES {
                        for x in 0..2 {
                            let before = V::load(partial(t, x));
                            before.add(pairs[t][x]).store(partial(t, x));
                            before.sub(pairs[t][x]).store(partial(t, 2 + x));
                        }
                    }
                    return;
                }
                0 => {
                    for t in 0..TILES {
                        for x in 0..2 {
                            pairs[t][x] = V::load(partial(t, x)).add(pairs[t][x]);
                        }
                    }
                    0
                }
                _ => {
                    for t in 0..TILES {
                        for x in 0..2 {
                            pairs[t][x] = V::load(partial(t, 2 + x)).sub(pairs[t][x]);
                        }
                    }
                    2
                }
            };
            if self.accumulate {
                for t in 0..TILES {
                    for x in 0..2 {
                        let to = (*self.to.add(t))[first + x].add(self.channel);
                        V::load(to).add(pairs[t][x]).store(to);
                    }
                }
            } else {
                for t in 0..TILES {
                    for x in 0..2 {
                        pairs[t][x].store((*self.to.add(t))[first + x].add(self.channel));
                    }
                }
            }
        }
    }
}
