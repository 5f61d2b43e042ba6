//! Direct convolution with register blocking, for ungrouped kernels.
//!
//! Forward and input gradient are both *correlations* of a padded source with packed weights (see [`Pass`]): forward is one pass
//! over the image; the gradient for the input is one pass over `dy` for each of the stride² residue classes of input pixels, with
//! the kernel flipped and only the taps that reach that class. No multiplication by an inserted zero takes place.

mod kernels;
mod source;
mod tile;
mod vector;
mod weight;

pub use kernels::DirectKernels;
pub(super) use weight::{backward_weight, takes_backward_weight};

use rayon::prelude::*;

use self::source::Source;
use self::tile::Tile;
use super::{ConvShape, Workspace};
use crate::Real;
use crate::scratch::{aligned, with_scratch};

/// One correlation with its own taps over a part of the output.
struct Pass {
    /// Kernel rows and columns, as indices into the weight, in the order in which the source is read.
    taps_y: Vec<usize>,
    taps_x: Vec<usize>,
    /// Source pixels between neighbouring taps.
    dilation: usize,
    /// Source pixels between neighbouring outputs.
    source_step: usize,
    /// Padded source pixel under the first tap of the first output.
    origin: (usize, usize),
    /// Output pixels of this pass.
    rows: usize,
    columns: usize,
    /// Output elements: of the first pixel, between rows, between pixels.
    out_origin: usize,
    out_row: usize,
    out_pixel: usize,
}

impl Pass {
    /// The one pass of the forward direction.
    fn forward(s: &ConvShape) -> Self {
        Self {
            taps_y: (0..s.kernel).collect(),
            taps_x: (0..s.kernel).collect(),
            dilation: s.dilation,
            source_step: s.stride,
            origin: (0, 0),
            rows: s.out_height(),
            columns: s.out_width(),
            out_origin: 0,
            out_row: s.out_width() * s.out_channels,
            out_pixel: s.out_channels,
        }
    }

    /// Where each run of consecutive source elements begins, and how long it is.
    fn runs(&self, source: &Source) -> (Vec<usize>, usize) {
        let mut runs = Vec::with_capacity(source.blocks() * self.taps_y.len() * self.taps_x.len());
        let joined = self.dilation == 1;
        for block in 0..source.blocks() {
            for y in 0..self.taps_y.len() {
                for x in 0..if joined { self.taps_x.len().min(1) } else { self.taps_x.len() } {
                    runs.push(source.at(block, y * self.dilation, x * self.dilation));
                }
            }
        }
        (runs, source.block() * if joined { self.taps_x.len() } else { 1 })
    }
}

/// How many vectors of output channels a tile spans: two when that leaves none half used.
fn vectors(lanes: usize, channels: usize) -> usize {
    if channels.div_ceil(lanes) % 2 == 0 { 2 } else { 1 }
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
    correlate(s, &source, &[Pass::forward(s)], s.out_channels, value, x, y, false, ws);
}

pub(super) fn backward_input<T: Real>(
    s: &ConvShape,
    dy: &[T],
    weight: &[T],
    dx: &mut [T],
    accumulate: bool,
    ws: &mut Workspace<T>,
) {
    // Along one axis: input pixel stride·j + residue gets tap first + stride·m from output j + shift − m.
    let axis = |residue: usize| {
        let first = (residue + s.padding) % s.stride;
        let taps: Vec<usize> = (first..s.kernel).step_by(s.stride).rev().collect();
        let shift = (residue + s.padding) / s.stride;
        (taps, shift)
    };
    let span = |taps: &[usize]| s.dilation * taps.len().saturating_sub(1);
    let count = |residue: usize, size: usize| size.saturating_sub(residue).div_ceil(s.stride);
    let before = (0..s.stride).map(|r| (span(&axis(r).0)).saturating_sub(axis(r).1)).max().unwrap_or(0);
    // The last output under the last input pixel of each residue, and all of dy, must lie inside.
    let padded = |size: usize, out: usize| {
        let reach = (0..s.stride).map(|r| (count(r, size) + axis(r).1).max(span(&axis(r).0) + 1));
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
    let mut passes = Vec::with_capacity(s.stride * s.stride);
    for residue_y in 0..s.stride {
        for residue_x in 0..s.stride {
            let ((taps_y, shift_y), (taps_x, shift_x)) = (axis(residue_y), axis(residue_x));
            passes.push(Pass {
                dilation: s.dilation,
                source_step: 1,
                origin: (before + shift_y - span(&taps_y), before + shift_x - span(&taps_x)),
                rows: count(residue_y, s.height),
                columns: count(residue_x, s.width),
                out_origin: (residue_y * s.width + residue_x) * s.in_channels,
                out_row: s.stride * s.width * s.in_channels,
                out_pixel: s.stride * s.in_channels,
                taps_y,
                taps_x,
            });
        }
    }
    let taps = s.kernel * s.kernel;
    let value = |i: usize, o: usize, tap: usize| weight[(o * s.in_channels + i) * taps + tap];
    correlate(s, &source, &passes, s.in_channels, value, dy, dx, accumulate, ws);
}

/// Runs the passes over every image. `weight(output channel, source channel, tap)` gives the weight to pack.
fn correlate<T: Real>(
    s: &ConvShape,
    source: &Source,
    passes: &[Pass],
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
    let rows_of = |pass: &Pass| source.blocks() * pass.taps_y.len() * pass.taps_x.len() * source.block();
    let packed_rows: usize = passes.iter().map(rows_of).sum();
    let packed = aligned(&mut ws.packed, packed_rows * out_channels.next_multiple_of(block));

    // (pass, block of output channels, source block, tap, source channel) rows of `block` output channels.
    let mut rows = packed.chunks_exact_mut(block);
    for pass in passes {
        for first in (0..out_channels).step_by(block) {
            for source_block in 0..source.blocks() {
                for &ky in &pass.taps_y {
                    for &kx in &pass.taps_x {
                        for c in source_block * source.block()..(source_block + 1) * source.block() {
                            let row = rows.next().expect("the packed weight has a row for every tap and channel");
                            for (o, slot) in (first..).zip(row) {
                                let exists = o < out_channels && c < source.channels;
                                *slot = if exists { weight(o, c, ky * s.kernel + kx) } else { T::ZERO };
                            }
                        }
                    }
                }
            }
        }
    }

    let packed = &*packed;
    let runs: Vec<_> = passes.iter().map(|pass| pass.runs(source)).collect();
    let (input_len, output_len) = (input.len() / s.batch.max(1), output.len() / s.batch.max(1));
    output.par_chunks_mut(output_len.max(1)).zip(input.par_chunks(input_len.max(1))).for_each(|(output, input)| {
        with_scratch(source.len(), |padded| {
            source.fill(input, padded);
            let mut weight = packed;
            for (pass, (runs, run_len)) in passes.iter().zip(&runs) {
                if pass.rows == 0 || pass.columns == 0 {
                    weight = &weight[rows_of(pass) * out_channels.next_multiple_of(block)..];
                    continue;
                }
                let pixels = tile_pixels(kernels.pixels[vectors - 1], pass.columns);
                for first in (0..out_channels).step_by(block) {
                    let (this, rest) = weight.split_at(rows_of(pass) * block);
                    weight = rest;
                    for y in 0..pass.rows {
                        for wanted in (0..pass.columns).step_by(pixels) {
                            let x = wanted.min(pass.columns - pixels);
                            let from =
                                source.at(0, pass.origin.0 + y * pass.source_step, pass.origin.1 + x * pass.source_step);
                            let to = pass.out_origin + y * pass.out_row + x * pass.out_pixel + first;
                            let job = Tile {
                                source: &padded[from..],
                                runs,
                                run_len: *run_len,
                                pixel_step: pass.source_step * source.block(),
                                weight: this,
                                out: &mut output[to..],
                                out_step: pass.out_pixel,
                                channels: block.min(out_channels - first),
                                skip: wanted - x,
                                accumulate,
                            };
                            kernels.run_tile(pixels, vectors, job);
                        }
                    }
                }
            }
        });
    });
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
