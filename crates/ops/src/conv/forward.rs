//! The forward pass, strip by strip.

use rayon::prelude::*;

use super::direct::Correlation;
use super::operand::Fill;
use super::strips::Strips;
use super::{ConvShape, Operand, Tally, Workspace, check_len, without_borders};
use crate::Real;
use crate::scratch::{aligned, with_scratch};
use crate::simd::dispatch;

/// `y ← Σ x ∗ weight` over the inputs (at least one, all of one shape), with `tally`'s sums over `y`.
///
/// Two inputs make a tangent: `ẋ ∗ w + x ∗ ẇ`.
///
/// # Shapes
/// - each input: `(N, H, W, I)` and `(O, I/groups, k, k)` - `y`: `(N, H', W', O)`, overwritten
/// # Panics
/// As [`super::conv2d`].
pub fn conv2d_fused<T: Real>(
    s: &ConvShape,
    inputs: &[(Operand<'_, T>, &[T])],
    y: &mut [T],
    tally: Tally<'_, T>,
    ws: &mut Workspace<T>,
) {
    s.check();
    for (x, weight) in inputs {
        x.check("x", s.input_len(), s.in_channels);
        check_len("weight", weight.len(), s.weight_len());
    }
    check_len("y", y.len(), s.output_len());
    tally.check(y.len(), s.out_channels);
    if y.is_empty() {
        return tally.finish(&[], |_| 0);
    }
    let s = &without_borders(s);
    let (channels, row) = (s.out_channels, s.out_width() * s.out_channels);
    let strips = Strips::new(s, row + (s.width + 2 * s.padding) * s.stride * s.in_channels);
    let core = Correlation::<T>::forward(s, strips.rows);
    let packed_len = core.packed_len();
    let packed = aligned(&mut ws.packed, inputs.len() * packed_len);
    for (packed, (_, weight)) in packed.chunks_exact_mut(packed_len).zip(inputs) {
        ws.runs.clear(); // the same for all inputs
        core.pack(weight, packed, &mut ws.runs);
    }
    let (packed, runs) = (&*packed, &ws.runs[..]);

    let per_task = strips.per_task(1);
    let task_len = strips.task_rows(per_task).0 * row;
    let tallies = aligned(&mut ws.tallies, strips.total() * 2 * channels);
    let sums = tally.input();
    y.par_chunks_mut(task_len).zip(tallies.par_chunks_mut(per_task * 2 * channels)).enumerate().for_each(
        |(task, (mut y, tallies))| {
            with_scratch(core.source.len() + core.scratch_len(), |scratch| {
                let (padded, scratch) = scratch.split_at_mut(core.source.len());
                for (index, partial) in (task * per_task..).zip(tallies.chunks_exact_mut(2 * channels)) {
                    let strip = strips.strip(index);
                    let (this, rest) = y.split_at_mut(strip.rows * row);
                    y = rest;
                    for (i, ((operand, _), packed)) in inputs.iter().zip(packed.chunks_exact(packed_len)).enumerate() {
                        let first_row = core.first_row(strip.first);
                        dispatch(Fill { operand, source: &core.source, image: strip.image, first_row, padded });
                        core.run(padded, packed, runs, this, strip.rows, i > 0, scratch);
                    }
                    let at = (strip.image * s.out_height() + strip.first) * row;
                    sums.run(this, at, channels, partial);
                }
            });
        },
    );
    let rows = |strip| strips.strip(strip).rows * s.out_width();
    tally.finish(&*tallies, rows);
}
