//! Both gradients in one go, strip by strip: they read the same padded output gradient.

use rayon::prelude::*;

use super::direct::{Correlation, FilledStrip, WeightGradient};
use super::operand::Fill;
use super::strips::Strips;
use super::{ConvShape, Operand, Tally, Workspace, check_len, without_borders};
use crate::Real;
use crate::scratch::{aligned, with_scratch};
use crate::simd::dispatch;

/// What [`conv2d_backward`] is to make of the gradient for the input.
#[derive(Debug)]
pub struct InputGradient<'a, T> {
    /// `(O, I/groups, k, k)`
    pub weight: &'a [T],
    /// `(N, H, W, I)`
    pub dx: &'a mut [T],
    /// Add to `dx` instead of overwriting it.
    pub accumulate: bool,
    /// What to sum over the finished `dx`. A mask shuts `dx` in place.
    pub tally: Tally<'a, T>,
}

/// The gradients of [`super::conv2d`] for its weight (given the input, and where the gradient goes) and for its input.
///
/// # Shapes
/// - `dy`: `(N, H', W', O)` - input: `(N, H, W, I)` - weight and its gradient, overwritten: `(O, I/groups, k, k)`
/// # Panics
/// As [`super::conv2d`].
pub fn conv2d_backward<T: Real>(
    s: &ConvShape,
    dy: Operand<'_, T>,
    weight: Option<(Operand<'_, T>, &mut [T])>,
    input: Option<InputGradient<'_, T>>,
    ws: &mut Workspace<T>,
) {
    s.check();
    dy.check("dy", s.output_len(), s.out_channels);
    if let Some((x, dweight)) = &weight {
        x.check("x", s.input_len(), s.in_channels);
        check_len("dweight", dweight.len(), s.weight_len());
    }
    if let Some(input) = &input {
        check_len("weight", input.weight.len(), s.weight_len());
        check_len("dx", input.dx.len(), s.input_len());
        input.tally.check(input.dx.len(), s.in_channels);
    }
    let s = &without_borders(s);
    if s.output_len() == 0 {
        weight.into_iter().for_each(|(_, dweight)| dweight.fill(T::ZERO));
        input.into_iter().for_each(|input| input.tally.finish(&[], |_| 0));
        return;
    }
    let row = s.out_width() * s.out_channels;
    let in_row = s.width * s.in_channels;
    let strips = Strips::new(s, row + 2 * s.stride * in_row);
    let in_rows = (0..strips.count).map(|i| strips.strip(i).in_rows).max().unwrap_or(0);
    let forward = Correlation::<T>::forward(s, strips.rows);
    let back = Correlation::<T>::backward(s, strips.rows, in_rows);
    let gradient =
        WeightGradient::<T>::new(s, forward.source, back.source, strips.count == 1 || strips.rows.is_multiple_of(2));
    let at_once = if weight.is_some() { gradient.strips_at_once() } else { 1 };
    let wanted = if weight.is_some() {
        strips.total().div_ceil(partial_sums(gradient.len())).next_multiple_of(at_once.min(strips.total()))
    } else {
        1
    };
    let per_task = strips.per_task(wanted);
    let tasks = strips.total().div_ceil(per_task);

    ws.runs.clear();
    gradient.push_runs(&mut ws.runs);
    let gradient_runs = ws.runs.len();
    let packed = aligned(&mut ws.packed, if input.is_some() { back.packed_len() } else { 0 });
    let (x, mut dweight) = weight.unzip();
    let (mut dx, mut accumulate, mut tally) = (None, false, Tally::None);
    if let Some(input) = input {
        back.pack(input.weight, packed, &mut ws.runs);
        (dx, accumulate, tally) = (Some(input.dx), input.accumulate, input.tally);
    }
    let (packed, (weight_runs, runs)) = (&*packed, ws.runs.split_at(gradient_runs));
    let partials = aligned(&mut ws.partial, if x.is_some() { tasks * gradient.len() } else { 0 });
    let tallies = aligned(&mut ws.tallies, strips.total() * 2 * s.in_channels);
    let sums = tally.input();

    let task = |task: usize, mut dx: Option<&mut [T]>, mut partial: Option<&mut [T]>, tallies: &mut [T]| {
        let (source_len, dy_len) = (forward.source.len(), back.source.len());
        if let Some(partial) = &mut partial {
            partial.fill(T::ZERO);
        }
        let scratch_len = back.scratch_len().max(gradient.scratch_len(strips.rows));
        with_scratch(at_once * (source_len + dy_len) + scratch_len, |scratch| {
            let (sources, scratch) = scratch.split_at_mut(at_once * source_len);
            let (dys, scratch) = scratch.split_at_mut(at_once * dy_len);
            let last = ((task + 1) * per_task).min(strips.total());
            let mut tallies = tallies.chunks_exact_mut(2 * s.in_channels);
            for first in (task * per_task..last).step_by(at_once) {
                let indices = first..(first + at_once).min(last);
                for (slot, index) in indices.clone().enumerate() {
                    let strip = strips.strip(index);
                    let padded = &mut dys[slot * dy_len..(slot + 1) * dy_len];
                    let first_row = back.first_row(strip.first);
                    dispatch(Fill { operand: &dy, source: &back.source, image: strip.image, first_row, padded });
                    if let Some(all) = dx.take() {
                        let (this, rest) = all.split_at_mut(strip.in_rows * in_row);
                        back.run(padded, packed, runs, this, strip.in_rows, accumulate, scratch);
                        let at = (strip.image * s.height + strip.in_first) * in_row;
                        sums.run(this, at, s.in_channels, tallies.next().expect("a tally for every strip"));
                        dx = Some(rest);
                    }
                    if let Some(x) = &x {
                        let padded = &mut sources[slot * source_len..(slot + 1) * source_len];
                        let first_row = forward.first_row(strip.first);
                        dispatch(Fill { operand: x, source: &forward.source, image: strip.image, first_row, padded });
                    }
                }
                if let Some(partial) = &mut partial {
                    let filled = indices.enumerate().map(|(slot, index)| FilledStrip {
                        source: &sources[slot * source_len..(slot + 1) * source_len],
                        dy: &dys[slot * dy_len..(slot + 1) * dy_len],
                        rows: strips.strip(index).rows,
                    });
                    gradient.add(weight_runs, filled, partial, scratch);
                }
            }
        });
    };
    let tally_chunks = tallies.par_chunks_mut(per_task * 2 * s.in_channels);
    let dx_len = strips.task_rows(per_task).1 * in_row;
    match (dx, dweight.is_some()) {
        (Some(dx), true) => dx
            .par_chunks_mut(dx_len)
            .zip(partials.par_chunks_mut(gradient.len()))
            .zip(tally_chunks)
            .enumerate()
            .for_each(|(i, ((dx, partial), tallies))| task(i, Some(dx), Some(partial), tallies)),
        (Some(dx), false) => dx
            .par_chunks_mut(dx_len)
            .zip(tally_chunks)
            .enumerate()
            .for_each(|(i, (dx, tallies))| task(i, Some(dx), None, tallies)),
        (None, true) => partials
            .par_chunks_mut(gradient.len())
            .zip(tally_chunks)
            .enumerate()
            .for_each(|(i, (partial, tallies))| task(i, None, Some(partial), tallies)),
        (None, false) => {}
    }
    if let Some(dweight) = &mut dweight {
        gradient.finish(partials, dweight);
    }
    tally.finish(&*tallies, |strip| strips.strip(strip).in_rows * s.width);
}

/// How many partial sums a weight gradient has: a function of its size only, so that the number of threads changes no bit. Fewer
/// when it is so large that they would fill memory.
fn partial_sums(gradient_len: usize) -> usize {
    const MOST_PARTIALS: usize = 16;
    const MOST_ELEMENTS: usize = 1 << 24;
    let most = (MOST_ELEMENTS / gradient_len.max(1)).clamp(4, MOST_PARTIALS);
    1 << most.ilog2()
}
