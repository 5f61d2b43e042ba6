//! Direct convolution with register blocking, for ungrouped kernels.
//!
//! Forward and input gradient are both *correlations* of a padded source with packed weights (see
//! [`Pass`]): forward is one pass over the image; the gradient for the input is one pass over `dy`
//! for each of the stride² residue classes of input pixels, with the kernel flipped and only the
//! taps that reach that class. No multiplication by an inserted zero takes place.

mod kernels;
mod pass;
mod source;
mod tile;
pub(in crate::conv) mod vector;
mod weight;

pub use kernels::DirectKernels;
pub(super) use weight::{backward_weight, takes_backward_weight};

use rayon::prelude::*;

use self::kernels::KernelSet;
use self::pass::{Pass, Taps};
use self::source::Source;
use self::tile::Tile;
use super::{ConvShape, Workspace};
use crate::Real;
use crate::scratch::{aligned, with_scratch};

/// How many vectors of output channels a tile spans: two when that leaves none half used.
fn vectors(lanes: usize, channels: usize) -> usize {
    if channels.div_ceil(lanes).is_multiple_of(2) { 2 } else { 1 }
}

/// The tile size that covers `columns` pixels at the least cost; neighbouring tiles may overlap.
fn tile_pixels(sizes: &[usize], columns: usize) -> usize {
    // A tile costs its pixels plus about one for its weights and its start.
    let cost = |&&size: &&usize| columns.div_ceil(size) * (size + 1);
    *sizes.iter().filter(|&&size| size <= columns).min_by_key(cost).expect("every path has a tile of one pixel")
}

pub(super) fn takes_forward(s: &ConvShape) -> bool {
    s.groups == 1 && !s.is_pointwise()
}

pub(super) fn takes_backward_input(s: &ConvShape) -> bool {
    s.groups == 1 && !s.is_pointwise() && (s.dilation == 1 || s.stride == 1)
}

pub(super) fn forward<T: Real>(s: &ConvShape, x: &[T], weight: &[T], y: &mut [T], ws: &mut Workspace<T>) {
    let source = Source::of_input(s);
    let taps = s.kernel * s.kernel;
    let value = |o: usize, i: usize, tap: usize| weight[(o * s.in_channels + i) * taps + tap];
    correlate(s, &source, (1, |_| Pass::forward(s)), s.out_channels, value, x, y, false, ws);
}

pub(super) fn backward_input<T: Real>(
    s: &ConvShape,
    dy: &[T],
    weight: &[T],
    dx: &mut [T],
    accumulate: bool,
    ws: &mut Workspace<T>,
) {
    // Along one axis, input pixel stride·j + residue gets tap first + stride·m from output j +
    // shift − m. Read from the smallest output on, the taps run backwards.
    let axis = |residue: usize| {
        let first = (residue + s.padding) % s.stride;
        let count = s.kernel.saturating_sub(first).div_ceil(s.stride);
        let last = first as isize + s.stride as isize * (count as isize - 1);
        let shift = (residue + s.padding) / s.stride;
        (Taps { first: last, step: -(s.stride as isize), count }, shift)
    };
    let span = |residue: usize| s.dilation * axis(residue).0.count.saturating_sub(1);
    let pixels = |residue: usize, size: usize| size.saturating_sub(residue).div_ceil(s.stride);
    let before = (0..s.stride).map(|r| span(r).saturating_sub(axis(r).1)).max().unwrap_or(0);
    // The last output under the last input pixel of each residue, and all of dy, must lie inside.
    let padded = |size: usize, out: usize| {
        let reach = (0..s.stride).map(|r| (pixels(r, size) + axis(r).1).max(span(r) + 1));
        before + reach.max().unwrap_or(0).max(out)
    };
    let source = Source {
        height: s.out_height(),
        width: s.out_width(),
        channels: s.out_channels,
        before,
        padded_height: padded(s.height, s.out_height()),
        padded_width: padded(s.width, s.out_width()),
    };
    let pass = |index: usize| {
        let (residue_y, residue_x) = (index / s.stride, index % s.stride);
        let ((taps_y, shift_y), (taps_x, shift_x)) = (axis(residue_y), axis(residue_x));
        Pass {
            taps_y,
            taps_x,
            dilation: s.dilation,
            source_step: 1,
            origin: (before + shift_y - span(residue_y), before + shift_x - span(residue_x)),
            rows: pixels(residue_y, s.height),
            columns: pixels(residue_x, s.width),
            out_origin: (residue_y * s.width + residue_x) * s.in_channels,
            out_row: s.stride * s.width * s.in_channels,
            out_pixel: s.stride * s.in_channels,
        }
    };
    let taps = s.kernel * s.kernel;
    let value = |i: usize, o: usize, tap: usize| weight[(o * s.in_channels + i) * taps + tap];
    correlate(s, &source, (s.stride * s.stride, pass), s.in_channels, value, dy, dx, accumulate, ws);
}

/// Runs the passes, given as their number and each by its index, over every image.
/// `weight(output channel, source channel, tap)` gives the weight to pack.
fn correlate<T: Real>(
    s: &ConvShape,
    source: &Source,
    (passes, pass): (usize, impl Fn(usize) -> Pass + Sync),
    out_channels: usize,
    weight: impl Fn(usize, usize, usize) -> T,
    input: &[T],
    output: &mut [T],
    accumulate: bool,
    ws: &mut Workspace<T>,
) {
    let kernels = T::kernels();
    let vectors = vectors(kernels.lanes, out_channels);
    let block = vectors * kernels.lanes;
    let rows: usize = (0..passes).map(|i| pass(i).weight_rows(source)).sum();
    let packed = aligned(&mut ws.packed, rows * out_channels.next_multiple_of(block));
    ws.runs.clear();
    let mut rows = packed.chunks_exact_mut(block);
    for i in 0..passes {
        let pass = pass(i);
        pass.push_runs(source, &mut ws.runs);
        for first in (0..out_channels).step_by(block) {
            pack(&pass, source, s.kernel, first..out_channels, &weight, &mut rows);
        }
    }

    let (packed, runs) = (&*packed, &ws.runs[..]);
    let (input_len, output_len) = (input.len() / s.batch.max(1), output.len() / s.batch.max(1));
    output.par_chunks_mut(output_len.max(1)).zip(input.par_chunks(input_len.max(1))).for_each(|(output, input)| {
        with_scratch(source.len(), |padded| {
            source.fill(input, padded);
            let (mut weight, mut runs) = (packed, runs);
            for i in 0..passes {
                let pass = pass(i);
                let weight_rows = pass.weight_rows(source);
                let (these_runs, rest) = runs.split_at(weight_rows / pass.run_len(source).max(1));
                runs = rest;
                for first in (0..out_channels).step_by(block) {
                    let (this, rest) = weight.split_at(weight_rows * block);
                    weight = rest;
                    let part = Part { pass: &pass, source, padded, runs: these_runs, weight: this, first };
                    part.run(kernels, vectors, out_channels, output, accumulate);
                }
            }
        });
    });
}

/// Packs one block of output channels as rows of (source block, tap, source channel), in the order
/// of the runs.
fn pack<'a, T: Real>(
    pass: &Pass,
    source: &Source,
    kernel: usize,
    channels: std::ops::Range<usize>,
    weight: impl Fn(usize, usize, usize) -> T,
    rows: &mut impl Iterator<Item = &'a mut [T]>,
) {
    for source_block in 0..source.blocks() {
        for ky in pass.taps_y.indices() {
            for kx in pass.taps_x.indices() {
                for c in source_block * source.block()..(source_block + 1) * source.block() {
                    let row = rows.next().expect("the packed weight has a row for every tap and channel");
                    for (o, slot) in (channels.start..).zip(row) {
                        let exists = o < channels.end && c < source.channels;
                        *slot = if exists { weight(o, c, ky * kernel + kx) } else { T::ZERO };
                    }
                }
            }
        }
    }
}

/// One pass over one image for one block of output channels.
struct Part<'a, T> {
    pass: &'a Pass,
    source: &'a Source,
    padded: &'a [T],
    runs: &'a [usize],
    weight: &'a [T],
    /// First output channel of the block.
    first: usize,
}

impl<T: Real> Part<'_, T> {
    fn run(&self, kernels: &KernelSet<T>, vectors: usize, out_channels: usize, output: &mut [T], accumulate: bool) {
        let (pass, source) = (self.pass, self.source);
        if pass.rows == 0 || pass.columns == 0 {
            return;
        }
        let pixels = tile_pixels(kernels.pixels[vectors - 1], pass.columns);
        for y in 0..pass.rows {
            for wanted in (0..pass.columns).step_by(pixels) {
                // The last tile of a row moves back into it and leaves alone what is there already.
                let x = wanted.min(pass.columns - pixels);
                let from = source.at(0, pass.origin.0 + y * pass.source_step, pass.origin.1 + x * pass.source_step);
                let to = pass.out_origin + y * pass.out_row + x * pass.out_pixel + self.first;
                let job = Tile {
                    source: &self.padded[from..],
                    runs: self.runs,
                    run_len: pass.run_len(source),
                    pixel_step: pass.source_step * source.block(),
                    weight: self.weight,
                    out: &mut output[to..],
                    out_step: pass.out_pixel,
                    channels: (vectors * kernels.lanes).min(out_channels - self.first),
                    skip: wanted - x,
                    accumulate,
                };
                kernels.run_tile(pixels, vectors, job);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fit_the_usual_widths() {
        let sizes = [16, 14, 12, 10, 8, 7, 6, 4, 2, 1];
        assert_eq!([32, 28, 16, 14, 8, 7, 3, 1].map(|w| tile_pixels(&sizes, w)), [16, 14, 16, 14, 8, 7, 2, 1]);
    }

    #[test]
    fn two_vectors_where_none_is_wasted() {
        assert_eq!([1, 16, 17, 32, 48, 64].map(|c| vectors(16, c)), [1, 1, 2, 2, 1, 2]);
    }
}
