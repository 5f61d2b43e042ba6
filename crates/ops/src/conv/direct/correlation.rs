//! A correlation of a strip with packed weights: the forward pass, or the gradient for the input.
//!
//! The forward pass is one [`Pass`] over the strip. The gradient for the input is one pass over `dy`
//! for each of the stride² residue classes of input pixels, with the kernel flipped and only the
//! taps that reach that class: no multiplication by an inserted zero takes place.

use rayon::prelude::*;

use super::kernels::KernelSet;
use super::pass::{Pass, Taps};
use super::tile::Tile;
use super::{Panels, channel_block};
use crate::Real;
use crate::conv::ConvShape;
use crate::conv::source::{BLOCK, Source};
use crate::conv::winograd::{Winograd, tiles};

/// See the module.
pub(in crate::conv) struct Correlation<T: 'static> {
    s: ConvShape,
    backward: bool,
    /// The strip that it reads.
    pub source: Source,
    panels: Panels,
    out_width: usize,
    kernels: &'static KernelSet<T>,
    /// Takes the direct tiles' place where it is faster.
    winograd: Option<Winograd>,
}

/// The taps along one axis that reach input pixels of one residue, and the output under the first of them.
struct Axis {
    taps: Taps,
    /// Output row of the last tap under the first pixel of the residue.
    shift: isize,
    /// Source pixels from the first tap to the last.
    span: isize,
}

impl<T: Real> Correlation<T> {
    /// `y` from `x`, `rows` output rows a strip.
    pub fn forward(s: &ConvShape, rows: usize) -> Self {
        let kernels = T::kernels();
        let mut source = Source {
            height: s.height,
            width: s.width,
            channels: s.in_channels,
            block: channel_block(s.in_channels),
            before: s.padding,
            padded_height: (rows - 1) * s.stride + s.reach(),
            padded_width: s.width + 2 * s.padding,
        };
        let panels = Panels::new(kernels.lanes, &source, s.out_channels, s.groups);
        let winograd = Winograd::pays::<T>(s).then(|| Winograd::new(s.in_channels, s.out_channels));
        // The weight gradient may go by Winograd's tiles where this direction does not.
        if Winograd::takes(s) {
            source.make_room((0, 0), tiles(rows, s.out_width()), 2);
        }
        Self { s: *s, backward: false, source, panels, out_width: s.out_width(), kernels, winograd }
    }

    /// `dx` from `dy`, for strips of `rows` output rows and `in_rows` input rows.
    pub fn backward(s: &ConvShape, rows: usize, in_rows: usize) -> Self {
        let kernels = T::kernels();
        let axes = || (0..s.stride).map(|r| axis(s, r)).enumerate().filter(|(_, a)| a.taps.count > 0);
        let before = axes().map(|(_, a)| a.span - a.shift).max().unwrap_or(0).max(0);
        // The last output under the last input pixel of each residue, and all outputs of the strip, must lie inside.
        let padded = |size: usize, out: usize| {
            let reach = axes().map(|(r, a)| (pixels(s, r, size) as isize + a.shift).max(a.span + 1));
            (before + reach.max().unwrap_or(0).max(out as isize)) as usize
        };
        let mut source = Source {
            height: s.out_height(),
            width: s.out_width(),
            channels: s.out_channels,
            // The weight gradient reads vectors of these channels, so a block is always full.
            block: BLOCK,
            before: before as usize,
            padded_height: padded(in_rows, rows),
            padded_width: padded(s.width, s.out_width()),
        };
        let panels = Panels::new(kernels.lanes, &source, s.in_channels, s.groups);
        if Winograd::takes(s) {
            source.make_room((source.before, source.before), tiles(rows, s.out_width()), 0);
        }
        let winograd = Winograd::pays::<T>(s).then(|| Winograd::new(s.out_channels, s.in_channels));
        let mut this = Self { s: *s, backward: true, source, panels, out_width: s.width, kernels, winograd };
        if winograd.is_some() {
            this.source.make_room(this.pass(0).origin, tiles(in_rows, s.width), 2);
        }
        this
    }

    /// Elements of scratch that [`Self::run`] asks for.
    pub fn scratch_len(&self) -> usize {
        let rows = self.source.padded_height;
        self.winograd.map_or(0, |winograd| {
            let tiles = tiles(rows, self.out_width);
            winograd.scratch_len(tiles.0 * tiles.1)
        })
    }

    /// The row of the source's image under the first row of a strip's source.
    pub fn first_row(&self, first_output: usize) -> isize {
        let (s, before) = (&self.s, self.source.before as isize);
        if self.backward { first_output as isize - before } else { (first_output * s.stride) as isize - before }
    }

    fn passes(&self) -> usize {
        if self.backward { self.s.stride * self.s.stride } else { 1 }
    }

    fn pass(&self, index: usize) -> Pass {
        let s = &self.s;
        if !self.backward {
            return Pass::forward(s);
        }
        let residue = (index / s.stride, index % s.stride);
        let (y, x) = (axis(s, residue.0), axis(s, residue.1));
        // A residue without taps reads nothing, wherever that lies.
        let origin = |a: &Axis| (self.source.before as isize + a.shift - a.span).max(0) as usize;
        Pass {
            taps_y: y.taps,
            taps_x: x.taps,
            dilation: s.dilation / gcd(s.stride, s.dilation),
            source_step: 1,
            origin: (origin(&y), origin(&x)),
            residue,
            out_step: s.stride,
        }
    }

    /// Elements of the packed weight.
    pub fn packed_len(&self) -> usize {
        if let Some(winograd) = self.winograd {
            return winograd.weight_len();
        }
        let rows: usize = (0..self.passes()).map(|i| self.pass(i).weight_rows(&self.source, self.panels.blocks)).sum();
        rows * self.panels.width * self.panels.count()
    }

    /// Packs the weight, `(O, I/groups, k, k)`, for [`Self::run`], and appends the runs of all passes.
    pub fn pack(&self, weight: &[T], packed: &mut [T], runs: &mut Vec<usize>) {
        if let Some(winograd) = self.winograd {
            let inputs = self.s.in_channels;
            return match self.backward {
                false => winograd.pack(|o, i, tap| weight[(o * inputs + i) * 9 + tap], packed),
                true => winograd.pack(|i, o, tap| weight[(o * inputs + i) * 9 + 8 - tap], packed),
            };
        }
        let mut rest = packed;
        for i in 0..self.passes() {
            let pass = self.pass(i);
            pass.push_runs(&self.source, self.panels.blocks, runs);
            let panel_len = pass.weight_rows(&self.source, self.panels.blocks) * self.panels.width;
            let (these, others) = rest.split_at_mut(panel_len * self.panels.count());
            rest = others;
            if panel_len > 0 {
                these.par_chunks_mut(panel_len).enumerate().for_each(|(panel, packed)| {
                    self.pack_panel(&pass, panel * self.panels.width, weight, packed);
                });
            }
        }
    }

    /// Packs one panel as rows of (source block, tap, source channel), in the order of the runs.
    fn pack_panel(&self, pass: &Pass, first: usize, weight: &[T], packed: &mut [T]) {
        let (panels, block, kernel) = (&self.panels, self.source.block, self.s.kernel);
        let (count, all_taps, patch) = (pass.taps_y.count * pass.taps_x.count, kernel * kernel, self.s.patch_len());
        let first_block = panels.first_block(first);
        let outs = first..(first + panels.width).min(panels.out_channels);
        packed.fill(T::ZERO);
        for b in 0..panels.blocks {
            let channels = (first_block + b) * block..((first_block + b + 1) * block).min(self.source.channels);
            let part = &mut packed[b * count * block * panels.width..][..count * block * panels.width];
            // The filter and the taps of a pair lie at `filter · patch + input · k²` in the weight. Loops go in the order of the
            // weight in memory; the packed block is small enough for the first cache.
            if self.backward {
                for (c, filter) in channels.clone().enumerate() {
                    let group = filter / panels.group_in * panels.group_out;
                    let (from, to) = (outs.start.max(group), outs.end.min(group + panels.group_out));
                    for out in from..to {
                        let taps = &weight[filter * patch + (out - group) * all_taps..][..all_taps];
                        put(pass, kernel, taps, &mut part[c * panels.width + out - first..], block * panels.width);
                    }
                }
            } else {
                for (o, filter) in outs.clone().enumerate() {
                    let group = filter / panels.group_out * panels.group_in;
                    let (from, to) = (channels.start.max(group), channels.end.min(group + panels.group_in));
                    for channel in from..to {
                        let taps = &weight[filter * patch + (channel - group) * all_taps..][..all_taps];
                        let at = (channel - channels.start) * panels.width + o;
                        put(pass, kernel, taps, &mut part[at..], block * panels.width);
                    }
                }
            }
        }
    }

    /// Correlates one filled strip. `out`: the strip's `rows` rows of all output channels, overwritten or added to.
    pub fn run(
        &self,
        padded: &[T],
        packed: &[T],
        runs: &[usize],
        out: &mut [T],
        rows: usize,
        accumulate: bool,
        scratch: &mut [T],
    ) {
        if let Some(winograd) = self.winograd {
            let source = self.source.view(padded, self.pass(0).origin);
            let columns = self.out_width;
            let out_row = columns * self.panels.out_channels;
            let tiles = tiles(rows, columns);
            winograd.correlate(source, tiles, packed, out, out_row, rows, columns, accumulate, scratch);
            return;
        }
        let (panels, mut packed, mut runs) = (&self.panels, packed, runs);
        for i in 0..self.passes() {
            let pass = self.pass(i);
            let weight_rows = pass.weight_rows(&self.source, panels.blocks);
            let (these_runs, rest) = runs.split_at(weight_rows / pass.run_len(&self.source).max(1));
            runs = rest;
            for first in panels.firsts() {
                let (weight, rest) = packed.split_at(weight_rows * panels.width);
                packed = rest;
                let part = Part { correlation: self, pass: &pass, runs: these_runs, weight, first };
                part.run(padded, out, rows, accumulate);
            }
        }
    }
}

/// One pass over one strip for one panel.
struct Part<'a, T: 'static> {
    correlation: &'a Correlation<T>,
    pass: &'a Pass,
    runs: &'a [usize],
    weight: &'a [T],
    /// First output channel of the panel.
    first: usize,
}

impl<T: Real> Part<'_, T> {
    fn run(&self, padded: &[T], out: &mut [T], rows: usize, accumulate: bool) {
        let Correlation { source, panels, kernels, out_width, .. } = self.correlation;
        let (pass, out_channels) = (self.pass, panels.out_channels);
        let step = pass.out_step;
        let mut rows = rows.saturating_sub(pass.residue.0).div_ceil(step);
        let mut columns = out_width.saturating_sub(pass.residue.1).div_ceil(step);
        if rows == 0 || columns == 0 {
            return;
        }
        // Rows without a border between them are one long row.
        if step == 1 && pass.source_step == 1 && source.padded_width == *out_width {
            (rows, columns) = (1, rows * columns);
        }
        let out_pixel = step * out_channels;
        let out_origin = (pass.residue.0 * out_width + pass.residue.1) * out_channels + self.first;
        let base = source.at(panels.first_block(self.first), pass.origin.0, pass.origin.1);
        let pixels = tile_pixels(kernels.pixels[panels.vectors - 1], columns);
        for y in 0..rows {
            for wanted in (0..columns).step_by(pixels) {
                // The last tile of a row moves back into it and leaves alone what is there already.
                let x = wanted.min(columns - pixels);
                let from = base + y * pass.source_step * source.row_len() + x * pass.source_step * source.block;
                let to = out_origin + y * step * out_width * out_channels + x * out_pixel;
                let job = Tile {
                    // Without a tap nothing is read, and the strip may end before.
                    source: padded.get(from..).unwrap_or_default(),
                    runs: self.runs,
                    run_len: pass.run_len(source),
                    pixel_step: pass.source_step * source.block,
                    weight: self.weight,
                    out: &mut out[to..],
                    out_step: out_pixel,
                    channels: panels.width.min(out_channels - self.first),
                    skip: wanted - x,
                    accumulate,
                };
                kernels.run_tile(pixels, panels.vectors, job);
            }
        }
    }
}

/// Puts the taps of one filter and channel to every `step`-th place.
#[inline(always)]
fn put<T: Real>(pass: &Pass, kernel: usize, taps: &[T], to: &mut [T], step: usize) {
    if let [tap] = taps {
        to[0] = *tap;
        return;
    }
    let mut at = 0;
    for ky in pass.taps_y.indices() {
        for kx in pass.taps_x.indices() {
            to[at] = taps[ky * kernel + kx];
            at += step;
        }
    }
}

/// The tile size that covers `columns` pixels at the least cost; neighbouring tiles may overlap.
fn tile_pixels(sizes: &[usize], columns: usize) -> usize {
    // A tile costs its pixels plus about one for its weights and its start.
    let cost = |&&size: &&usize| columns.div_ceil(size) * (size + 1);
    *sizes.iter().filter(|&&size| size <= columns).min_by_key(cost).expect("every path has a tile of one pixel")
}

/// Input pixels of a residue class along an axis of that size.
fn pixels(s: &ConvShape, residue: usize, size: usize) -> usize {
    size.saturating_sub(residue).div_ceil(s.stride)
}

/// Input pixel `stride·j + residue` gets tap `t` from output `(stride·j + residue + padding − t·dilation)/stride` where that is
/// whole: every `stride/gcd`-th tap, `dilation/gcd` outputs apart.
fn axis(s: &ConvShape, residue: usize) -> Axis {
    let common = gcd(s.stride, s.dilation);
    let at = residue + s.padding;
    let reaches = |tap: usize| (tap * s.dilation) % s.stride == at % s.stride;
    let Some(first) = (0..s.kernel.min(s.stride)).find(|&tap| reaches(tap)) else {
        return Axis { taps: Taps { first: 0, step: 0, count: 0 }, shift: 0, span: 0 };
    };
    let step = s.stride / common;
    let count = (s.kernel - first).div_ceil(step);
    let shift = (at as isize - (first * s.dilation) as isize).div_euclid(s.stride as isize);
    // Read from the smallest output on, the taps run backwards.
    let last = first + step * (count - 1);
    let span = (s.dilation / common * (count - 1)) as isize;
    Axis { taps: Taps { first: last as isize, step: -(step as isize), count }, shift, span }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fit_the_usual_widths() {
        let sizes = [16, 14, 12, 10, 8, 7, 6, 4, 2, 1];
        assert_eq!([32, 28, 16, 14, 8, 7, 3, 1].map(|w| tile_pixels(&sizes, w)), [16, 14, 16, 14, 8, 7, 2, 1]);
    }
}
