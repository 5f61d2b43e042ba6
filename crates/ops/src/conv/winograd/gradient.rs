//! The weight gradient: tiles of the input and of the output gradient to frequencies, and their
//! outer products.

use super::lanes::Lanes;
use super::transform::{Chunk, ROW, SIDE, gradient_tiles, input_tiles};
use super::{BLOCK, Blocked};
use crate::Real;

/// One strip's share of the weight gradient. [`super::Winograd::add_gradient`] checks what the
/// kernel relies on.
pub struct AddGradient<'a, T> {
    pub(super) source: Blocked<'a, T>,
    pub(super) dy: Blocked<'a, T>,
    /// Blocks of input and of output channels.
    pub(super) blocks: (usize, usize),
    pub(super) tiles: (usize, usize),
    /// Tiles taken at once.
    pub(super) chunk: usize,
    /// `(frequency, input block, output block, input channel, output channel)`, added to.
    pub(super) gradient: &'a mut [T],
    /// `chunk · SIDE · ROW` elements for each block of input channels.
    pub(super) values: &'a mut [T],
    /// The same for each block of output channels.
    pub(super) dy_values: &'a mut [T],
}

/// # Safety
/// The processor must have the instructions of `V`, the caller must be compiled for them, and the
/// job must keep what its fields promise.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn add_gradient<T: Real, V: Lanes<T>, const ROWS: usize, const VECTORS: usize>(
    job: AddGradient<'_, T>,
) {
    let (in_blocks, out_blocks) = job.blocks;
    let total = job.tiles.0 * job.tiles.1;
    let (values, dy_values) = (job.values.as_mut_ptr(), job.dy_values.as_mut_ptr());
    let mut gradient;
    for first in (0..total).step_by(job.chunk) {
        let count = job.chunk.min(total - first);
        let chunk = Chunk { columns: job.tiles.1, first, count };
        // SAFETY: the job's sources have every pixel of every tile, its values room for a chunk,
        // its gradient a square of BLOCK × BLOCK for every frequency and pair of blocks.
        unsafe {
            input_tiles::<T, V>(job.source, chunk, in_blocks, values);
            gradient_tiles::<T, V>(job.dy, chunk, out_blocks, dy_values);
            gradient = job.gradient.as_mut_ptr();
            for frequency in 0..SIDE * SIDE {
                let (row, x) = (frequency / SIDE, frequency % SIDE);
                for in_block in 0..in_blocks {
                    let values = values.add((row * in_blocks + in_block) * count * ROW + x * BLOCK);
                    for out_block in 0..out_blocks {
                        let dy_values = dy_values.add((row * out_blocks + out_block) * count * ROW + x * BLOCK);
                        for channel in (0..BLOCK).step_by(ROWS) {
                            for out_channel in (0..BLOCK).step_by(VECTORS * V::LANES) {
                                outer_products::<T, V, ROWS, VECTORS>(
                                    values.add(channel),
                                    dy_values.add(out_channel),
                                    count,
                                    gradient.add(channel * BLOCK + out_channel),
                                );
                            }
                        }
                        gradient = gradient.add(BLOCK * BLOCK);
                    }
                }
            }
        }
    }
}

/// `gradient[i, :] += Σ_tile values[tile, i] · dy[tile, :]` for `ROWS` input channels and
/// `VECTORS·LANES` output channels.
///
/// # Safety
/// As [`add_gradient`]; the pointers must reach `tiles` tiles and `ROWS` rows.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn outer_products<T: Real, V: Lanes<T>, const ROWS: usize, const VECTORS: usize>(
    mut values: *const T,
    mut dy: *const T,
    tiles: usize,
    gradient: *mut T,
) {
    // SAFETY: the caller vouches for instructions and pointers.
    unsafe {
        let mut sums = [[V::splat(T::ZERO); VECTORS]; ROWS];
        for _ in 0..tiles {
            let mut row = [V::splat(T::ZERO); VECTORS];
            for v in 0..VECTORS {
                row[v] = V::load(dy.add(v * V::LANES));
            }
            for i in 0..ROWS {
                let value = V::splat(*values.add(i));
                for v in 0..VECTORS {
                    sums[i][v] = sums[i][v].fma(value, row[v]);
                }
            }
            values = values.wrapping_add(ROW);
            dy = dy.wrapping_add(ROW);
        }
        for i in 0..ROWS {
            for v in 0..VECTORS {
                let to = gradient.add(i * BLOCK + v * V::LANES);
                V::load(to).add(sums[i][v]).store(to);
            }
        }
    }
}
