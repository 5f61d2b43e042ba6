//! The weight gradient by register blocking: rows of (tap, input channel) against vectors of output
//! channels.

use rayon::prelude::*;

use super::pass::Pass;
use super::source::Source;
use super::tile::GradTile;
use super::vectors;
use crate::Real;
use crate::conv::{ConvShape, Workspace, images_per_partial};
use crate::scratch::{aligned, with_scratch};

/// Pixels of a strip: its source and its `dy` stay in the first cache while all taps pass over
/// them.
const STRIP_PIXELS: usize = 128;

pub(in crate::conv) fn takes_backward_weight(s: &ConvShape) -> bool {
    s.groups == 1 && !s.is_pointwise()
}

pub(in crate::conv) fn backward_weight<T: Real>(
    s: &ConvShape,
    x: &[T],
    dy: &[T],
    dweight: &mut [T],
    ws: &mut Workspace<T>,
) {
    let source = Source::of_input(s);
    let pass = Pass::forward(s);
    let run_len = pass.run_len(&source);
    ws.runs.clear();
    pass.push_runs(&source, &mut ws.runs);
    let runs = &ws.runs[..];
    let kernels = T::kernels();
    let vectors = vectors(kernels.lanes, s.out_channels);
    let block = vectors * kernels.lanes;
    let padded_channels = s.out_channels.next_multiple_of(block);
    let (rows, columns) = (s.out_height(), s.out_width());
    let strip = (STRIP_PIXELS / columns).clamp(1, rows);

    let gradient_len = runs.len() * run_len * padded_channels;
    let images = images_per_partial(s);
    // An empty batch still has one sum: of nothing.
    let partials = s.batch.div_ceil(images).max(1);
    let (x_len, dy_len) = (s.height * s.width * s.in_channels, rows * columns * s.out_channels);
    // A vector may not read past the last channel, so channels that do not fill their vectors are
    // copied out first.
    let copy_len = if padded_channels == s.out_channels { 0 } else { rows * columns * padded_channels };
    let sums = aligned(&mut ws.partial, partials * gradient_len);
    sums.par_chunks_mut(gradient_len).enumerate().for_each(|(partial, gradient)| {
        gradient.fill(T::ZERO);
        with_scratch(source.len() + copy_len, |scratch| {
            let (padded, copy) = scratch.split_at_mut(source.len());
            for image in partial * images..((partial + 1) * images).min(s.batch) {
                source.fill(&x[image * x_len..(image + 1) * x_len], padded);
                let mut dy = &dy[image * dy_len..(image + 1) * dy_len];
                if !copy.is_empty() {
                    for (to, from) in copy.chunks_exact_mut(padded_channels).zip(dy.chunks_exact(s.out_channels)) {
                        to[..s.out_channels].copy_from_slice(from);
                        to[s.out_channels..].fill(T::ZERO);
                    }
                    dy = &*copy;
                }
                for top in (0..rows).step_by(strip) {
                    let mut at = 0;
                    for first in (0..padded_channels).step_by(block) {
                        for &run in runs {
                            let mut done = 0;
                            while done < run_len {
                                let sizes = kernels.rows[vectors - 1];
                                let count = *sizes
                                    .iter()
                                    .find(|&&size| size <= run_len - done)
                                    .expect("every path has a gradient tile of one row");
                                let job = GradTile {
                                    source: &padded[run + source.at(0, top * s.stride, 0) + done..],
                                    row_step: s.stride * source.padded_width * source.block(),
                                    pixel_step: s.stride * source.block(),
                                    dy: &dy[top * columns * padded_channels + first..],
                                    dy_step: padded_channels,
                                    rows: strip.min(rows - top),
                                    columns,
                                    gradient: &mut gradient[at..at + count * block],
                                };
                                kernels.run_grad(count, vectors, job);
                                done += count;
                                at += count * block;
                            }
                        }
                    }
                }
            }
        });
    });
    sum_partials(s, &source, sums, gradient_len, block, dweight);
}

/// Adds the partial gradients in their order and puts them into PyTorch's layout.
fn sum_partials<T: Real>(
    s: &ConvShape,
    source: &Source,
    sums: &mut [T],
    gradient_len: usize,
    block: usize,
    dweight: &mut [T],
) {
    let (total, others) = sums.split_at_mut(gradient_len);
    for partial in others.chunks_exact(gradient_len) {
        for (sum, &v) in total.iter_mut().zip(partial) {
            *sum += v;
        }
    }
    // Rows are (block of output channels, source block, tap, source channel), as the forward weight
    // is packed.
    let taps = s.kernel * s.kernel;
    let mut rows = total.chunks_exact(block);
    for first in (0..s.out_channels).step_by(block) {
        for source_block in 0..source.blocks() {
            for tap in 0..taps {
                for c in source_block * source.block()..(source_block + 1) * source.block() {
                    let row = rows.next().expect("the gradient has a row for every tap and channel");
                    if c < s.in_channels {
                        for (o, &v) in (first..s.out_channels).zip(row) {
                            dweight[(o * s.in_channels + c) * taps + tap] = v;
                        }
                    }
                }
            }
        }
    }
}
