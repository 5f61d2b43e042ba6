//! The two microkernels, each one tile of outputs held in registers.
//!
//! Both multiply a number of the padded source, broadcast, by a vector of consecutive output
//! channels. They differ in what stays in registers: [`Tile`] keeps `P` pixels of one output row
//! and runs over taps and input channels; [`GradTile`] keeps `P` consecutive (tap, input channel)
//! rows of the weight gradient and runs over pixels.

use super::vector::Vector;
use crate::Real;

/// Most vectors of output channels that one tile spans.
pub(super) const MOST_VECTORS: usize = 2;
/// Most output channels that one tile spans, on any path.
const MOST_CHANNELS: usize = 16 * MOST_VECTORS;

/// One tile of a correlation: `P` pixels × `VECTORS·LANES` output channels.
///
/// Pixel `p` is `Σ_run Σ_t source[run + p·pixel_step + t] · weight[run, t, :]` with `t` in
/// `0..run_len`.
pub(super) struct Tile<'a, T> {
    /// The padded source from the tile's first tap on.
    pub source: &'a [T],
    /// Where each run of consecutive source elements begins.
    pub runs: &'a [usize],
    /// Elements of a run: taps of one kernel row × channels of a block.
    pub run_len: usize,
    /// Source elements from one output pixel to the next.
    pub pixel_step: usize,
    /// Packed weight of this block of output channels: `(runs, run_len, VECTORS·LANES)`.
    pub weight: &'a [T],
    /// Output from the tile's first element on.
    pub out: &'a mut [T],
    /// Output elements from one pixel to the next.
    pub out_step: usize,
    /// Output channels that exist; the rest of the vectors is padding.
    pub channels: usize,
    /// Pixels at the front that an earlier tile wrote already.
    pub skip: usize,
    /// Add to the output instead of overwriting it.
    pub accumulate: bool,
}

/// # Safety
/// The processor must have the instructions of `V`, and the caller must be compiled for them.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn tile<T: Real, V: Vector<T>, const P: usize, const VECTORS: usize, const STEP: usize>(
    job: Tile<'_, T>,
) {
    // A step known at compile time becomes a displacement in each instruction; 0 stands for any
    // other step.
    let step = if STEP == 0 { job.pixel_step } else { STEP };
    let block = VECTORS * V::LANES;
    let last_run = job.runs.iter().copied().max().unwrap_or(0);
    assert!(
        (job.runs.is_empty() || last_run + (P - 1) * step + job.run_len <= job.source.len())
            && job.runs.len() * job.run_len * block <= job.weight.len()
            && (P - 1) * job.out_step + job.channels <= job.out.len()
            && job.channels <= block
            && block <= MOST_CHANNELS
            && step == job.pixel_step,
        "a convolution tile lies inside its source, weight and output"
    );
    // SAFETY: the assertion bounds every index formed below: source indices by run + (P − 1)·step +
    // run_len, weight indices by runs·run_len·block, output indices by (P − 1)·out_step + channels
    // (full vectors are stored only when channels == block).
    unsafe {
        let mut sums = [[V::splat(T::ZERO); VECTORS]; P];
        let mut weight = job.weight.as_ptr();
        for &run in job.runs {
            let mut source = job.source.as_ptr().add(run);
            for _ in 0..job.run_len {
                let mut row = [V::splat(T::ZERO); VECTORS];
                for v in 0..VECTORS {
                    row[v] = V::load(weight.add(v * V::LANES));
                }
                for p in 0..P {
                    let value = V::splat(*source.add(p * step));
                    for v in 0..VECTORS {
                        sums[p][v] = sums[p][v].fma(value, row[v]);
                    }
                }
                source = source.add(1);
                weight = weight.add(block);
            }
        }
        let out = job.out.as_mut_ptr();
        if job.channels == block {
            for p in 0..P {
                if p >= job.skip {
                    for v in 0..VECTORS {
                        let to = out.add(p * job.out_step + v * V::LANES);
                        let value = if job.accumulate { V::load(to).add(sums[p][v]) } else { sums[p][v] };
                        value.store(to);
                    }
                }
            }
        } else {
            let mut whole = [T::ZERO; MOST_CHANNELS];
            for p in 0..P {
                if p >= job.skip {
                    for v in 0..VECTORS {
                        sums[p][v].store(whole.as_mut_ptr().add(v * V::LANES));
                    }
                    for c in 0..job.channels {
                        let to = &mut *out.add(p * job.out_step + c);
                        *to = if job.accumulate { *to + whole[c] } else { whole[c] };
                    }
                }
            }
        }
    }
}

/// One tile of a weight gradient: `P` rows × `VECTORS·LANES` output channels, over a strip of
/// output rows.
///
/// `gradient[p, :] += Σ_{y < rows, x < columns} source[y·row_step + x·pixel_step + p] · dy[y, x,
/// :]`.
pub(super) struct GradTile<'a, T> {
    /// The padded source from the tile's first row, tap and channel on.
    pub source: &'a [T],
    /// Source elements from one output row to the next.
    pub row_step: usize,
    /// Source elements from one output pixel to the next.
    pub pixel_step: usize,
    /// Output gradient from the first pixel and the tile's first channel on.
    pub dy: &'a [T],
    /// Elements of `dy` from one row to the next, from one pixel to the next, and from one vector of channels to the next.
    pub dy_row_step: usize,
    pub dy_step: usize,
    pub dy_vector_step: usize,
    /// Output rows of the strip.
    pub rows: usize,
    /// Output pixels of a row.
    pub columns: usize,
    /// `(P, VECTORS·LANES)`, added to.
    pub gradient: &'a mut [T],
}

/// # Safety
/// The processor must have the instructions of `V`, and the caller must be compiled for them.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn grad_tile<T: Real, V: Vector<T>, const P: usize, const VECTORS: usize>(job: GradTile<'_, T>) {
    let block = VECTORS * V::LANES;
    if job.rows == 0 || job.columns == 0 {
        return;
    }
    assert!(
        (job.rows - 1) * job.row_step + (job.columns - 1) * job.pixel_step + P <= job.source.len()
            && (job.rows - 1) * job.dy_row_step
                + (job.columns - 1) * job.dy_step
                + (VECTORS - 1) * job.dy_vector_step
                + V::LANES
                <= job.dy.len()
            && P * block <= job.gradient.len(),
        "a gradient tile lies inside its source, output gradient and result"
    );
    // SAFETY: the assertion bounds every index formed below by its largest value.
    unsafe {
        // A strip is summed on its own and then added: two short sums are more exact than one long
        // one.
        let mut sums = [[V::splat(T::ZERO); VECTORS]; P];
        for y in 0..job.rows {
            let mut source = job.source.as_ptr().add(y * job.row_step);
            let mut dy = job.dy.as_ptr().add(y * job.dy_row_step);
            for _ in 0..job.columns {
                let mut row = [V::splat(T::ZERO); VECTORS];
                for v in 0..VECTORS {
                    row[v] = V::load(dy.add(v * job.dy_vector_step));
                }
                for p in 0..P {
                    let value = V::splat(*source.add(p));
                    for v in 0..VECTORS {
                        sums[p][v] = sums[p][v].fma(value, row[v]);
                    }
                }
                source = source.wrapping_add(job.pixel_step);
                dy = dy.wrapping_add(job.dy_step);
            }
        }
        let gradient = job.gradient.as_mut_ptr();
        for p in 0..P {
            for v in 0..VECTORS {
                let to = gradient.add(p * block + v * V::LANES);
                V::load(to).add(sums[p][v]).store(to);
            }
        }
    }
}
