//! The loops over tiles, compiled for each path and element type.

use super::lanes::Lanes;
use super::transform::{Chunk, ROW, SIDE, Stretch, gradient_tiles, input_tiles};
use super::{BLOCK, Blocked, MOST_CHUNK};
use crate::Real;
use crate::conv::direct::vector::{Four, Vector};
use crate::simd::{SimdPath, simd_path};

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

/// The kernels of one path for one element type.
pub struct KernelSet<T: 'static> {
    correlate: unsafe fn(Correlate<'_, T>),
    add_gradient: unsafe fn(AddGradient<'_, T>),
}

impl<T> KernelSet<T> {
    /// # Safety
    /// The job must keep what the fields of [`Correlate`] promise.
    #[allow(unsafe_code)]
    pub(super) unsafe fn correlate(&self, job: Correlate<'_, T>) {
        // SAFETY: a set is handed out by `winograd_kernels` only for the path in use, which this
        // processor has; the caller vouches for the job.
        unsafe { (self.correlate)(job) }
    }

    /// # Safety
    /// The job must keep what the fields of [`AddGradient`] promise.
    #[allow(unsafe_code)]
    pub(super) unsafe fn add_gradient(&self, job: AddGradient<'_, T>) {
        // SAFETY: as for `correlate`.
        unsafe { (self.add_gradient)(job) }
    }
}

/// Element types that there are Winograd kernels for. An implementation detail of [`crate::Real`].
pub trait WinogradKernels: Sized {
    #[doc(hidden)]
    fn winograd_kernels() -> &'static KernelSet<Self>;
}

/// The rows of frequencies in the order in which they are taken: the two that both output rows need
/// come first.
const ROW_ORDER: [usize; SIDE] = [1, 2, 0, 3];

/// # Safety
/// The processor must have the instructions of `V`, the caller must be compiled for them, and the
/// job must keep what its fields promise.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn correlate<T: Real, V: Lanes<T>, const MOST_TILES: usize>(job: Correlate<'_, T>) {
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
                    weight = weight.add(ROW);
                }
            }
            let mut pairs = [[V::splat(T::ZERO); 2]; TILES];
            for t in 0..TILES {
                let [a, b, c, d] = sums[t];
                pairs[t] = [a.add(b).add(c), b.sub(c).sub(d)];
            }
            // Loops this short are unrolled, so that no sum has an address and all stay in registers.
            let partial = self.partial;
            match (self.row, self.accumulate) {
                (1, _) => {
                    for t in 0..TILES {
                        pairs[t][0].store(partial.add(t * 4 * V::LANES));
                        pairs[t][1].store(partial.add((t * 4 + 1) * V::LANES));
                    }
                }
                (2, _) => {
                    for t in 0..TILES {
                        for x in 0..2 {
                            let at = partial.add((t * 4 + x) * V::LANES);
                            let before = V::load(at);
                            before.add(pairs[t][x]).store(at);
                            before.sub(pairs[t][x]).store(at.add(2 * V::LANES));
                        }
                    }
                }
                (0, false) => {
                    for t in 0..TILES {
                        for x in 0..2 {
                            let before = V::load(partial.add((t * 4 + x) * V::LANES));
                            before.add(pairs[t][x]).store((*self.to.add(t))[x].add(self.channel));
                        }
                    }
                }
                (_, false) => {
                    for t in 0..TILES {
                        for x in 0..2 {
                            let before = V::load(partial.add((t * 4 + 2 + x) * V::LANES));
                            before.sub(pairs[t][x]).store((*self.to.add(t))[2 + x].add(self.channel));
                        }
                    }
                }
                (0, true) => {
                    for t in 0..TILES {
                        for x in 0..2 {
                            let to = (*self.to.add(t))[x].add(self.channel);
                            let before = V::load(partial.add((t * 4 + x) * V::LANES));
                            V::load(to).add(before.add(pairs[t][x])).store(to);
                        }
                    }
                }
                (_, true) => {
                    for t in 0..TILES {
                        for x in 0..2 {
                            let to = (*self.to.add(t))[2 + x].add(self.channel);
                            let before = V::load(partial.add((t * 4 + 2 + x) * V::LANES));
                            V::load(to).add(before.sub(pairs[t][x])).store(to);
                        }
                    }
                }
            }
        }
    }
}

/// # Safety
/// As [`correlate`].
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn add_gradient<T: Real, V: Lanes<T>, const ROWS: usize, const VECTORS: usize>(job: AddGradient<'_, T>) {
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
/// As [`correlate`]; the pointers must reach `tiles` tiles and `ROWS` rows.
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

/// Declares one path's kernels for one element type as a static table: the most tiles of a product
/// and the rows × vectors of the gradient, sized to the registers of the path.
macro_rules! kernel_set {
    ($name:ident, $t:ty, $vector:ty, [$($feature:literal)?], tiles $tiles:literal, gradient $rows:literal x $vectors:literal) => {
        mod $name {
            use super::*;

            $(#[target_feature(enable = $feature)])?
            #[allow(unsafe_code)]
            unsafe fn run_correlate(job: Correlate<'_, $t>) {
                // SAFETY: this function is compiled for the vector's instructions; the caller
                // vouches for the processor and the job.
                unsafe { correlate::<$t, $vector, $tiles>(job) }
            }

            $(#[target_feature(enable = $feature)])?
            #[allow(unsafe_code)]
            unsafe fn run_add_gradient(job: AddGradient<'_, $t>) {
                const { assert!(BLOCK.is_multiple_of($rows)) };
                const { assert!(BLOCK.is_multiple_of($vectors * <$vector as Vector<$t>>::LANES)) };
                // SAFETY: as above.
                unsafe { add_gradient::<$t, $vector, $rows, $vectors>(job) }
            }

            pub(super) static SET: KernelSet<$t> =
                KernelSet { correlate: run_correlate, add_gradient: run_add_gradient };
        }
    };
}

kernel_set!(portable_f32, f32, Four<f32>, [], tiles 2, gradient 8 x 1);
kernel_set!(portable_f64, f64, Four<f64>, [], tiles 1, gradient 4 x 1);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

    use super::*;

    kernel_set!(avx2_f32, f32, __m256, ["avx2,fma"], tiles 3, gradient 4 x 2);
    kernel_set!(avx2_f64, f64, __m256d, ["avx2,fma"], tiles 3, gradient 4 x 2);
    kernel_set!(avx512_f32, f32, __m512, ["avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"], tiles 7, gradient 16 x 1);
    kernel_set!(avx512_f64, f64, __m512d, ["avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"], tiles 7, gradient 8 x 2);

    impl WinogradKernels for f32 {
        fn winograd_kernels() -> &'static KernelSet<f32> {
            match simd_path() {
                SimdPath::Portable => &portable_f32::SET,
                SimdPath::Avx2 => &avx2_f32::SET,
                SimdPath::Avx512 => &avx512_f32::SET,
            }
        }
    }

    impl WinogradKernels for f64 {
        fn winograd_kernels() -> &'static KernelSet<f64> {
            match simd_path() {
                SimdPath::Portable => &portable_f64::SET,
                SimdPath::Avx2 => &avx2_f64::SET,
                SimdPath::Avx512 => &avx512_f64::SET,
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl WinogradKernels for f32 {
    fn winograd_kernels() -> &'static KernelSet<f32> {
        &portable_f32::SET
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl WinogradKernels for f64 {
    fn winograd_kernels() -> &'static KernelSet<f64> {
        &portable_f64::SET
    }
}
