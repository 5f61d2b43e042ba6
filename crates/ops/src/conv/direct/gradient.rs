//! The weight gradient by register blocking: rows of (tap, input channel) against vectors of output
//! channels.

use rayon::prelude::*;

use super::Panels;
use super::kernels::KernelSet;
use super::pass::Pass;
use super::tile::GradTile;
use crate::Real;
use crate::conv::ConvShape;
use crate::conv::source::Source;
use crate::conv::winograd::{Winograd, tiles};
use crate::flat::axpy;
use crate::scratch::with_scratch;

/// Pixels that all taps pass over before the next ones: their source and their `dy` stay in the
/// first cache.
const SEGMENT_PIXELS: usize = 128;
/// Elements of a gradient that stays in the second cache while pixels pass by; a larger one stays in
/// registers, tile by tile, while several strips pass by.
const CACHED_GRADIENT: usize = 1 << 16;

/// See the module.
pub(in crate::conv) struct WeightGradient<T: 'static> {
    s: ConvShape,
    source: Source,
    dy: Source,
    panels: Panels,
    pass: Pass,
    kernels: &'static KernelSet<T>,
    /// Takes the direct tiles' place where it is faster.
    winograd: Option<Winograd>,
}

/// A filled strip: the padded input, the padded output gradient, and where it begins.
#[derive(Clone, Copy)]
pub(in crate::conv) struct FilledStrip<'a, T> {
    pub source: &'a [T],
    pub dy: &'a [T],
    /// Number of output rows.
    pub rows: usize,
}

impl<T: Real> WeightGradient<T> {
    /// `source` and `dy`: how the strips of both are padded. `even`: whether every strip but an image's last has an even
    /// number of rows.
    pub fn new(s: &ConvShape, source: Source, dy: Source, even: bool) -> Self {
        let kernels = T::kernels();
        let panels = Panels::new(kernels.lanes, &source, s.out_channels, s.groups);
        // Half a tile at the end of a strip would see the next one's rows.
        let winograd = (even && Winograd::pays_for_weight(s)).then(|| Winograd::new(s.in_channels, s.out_channels));
        Self { s: *s, source, dy, panels, pass: Pass::forward(s), kernels, winograd }
    }

    fn panel_len(&self) -> usize {
        self.pass.weight_rows(&self.source, self.panels.blocks) * self.panels.width
    }

    /// Elements of one sum.
    pub fn len(&self) -> usize {
        self.winograd.map_or_else(|| self.panel_len() * self.panels.count(), |winograd| winograd.gradient_len())
    }

    /// Elements of scratch that [`Self::add`] asks for, for strips of at most `rows` output rows.
    pub fn scratch_len(&self, rows: usize) -> usize {
        self.winograd.map_or(0, |winograd| {
            let tiles = tiles(rows, self.s.out_width());
            winograd.scratch_len(tiles.0 * tiles.1)
        })
    }

    /// Strips that should be filled before one call of [`Self::add`].
    pub fn strips_at_once(&self) -> usize {
        const FILLED_ELEMENTS: usize = 1 << 18;
        let strip = self.source.len() + self.dy.len();
        if self.winograd.is_some() || self.len() <= CACHED_GRADIENT {
            1
        } else {
            (FILLED_ELEMENTS / strip.max(1)).clamp(1, 16)
        }
    }

    /// Appends the runs that [`Self::add`] is given.
    pub fn push_runs(&self, runs: &mut Vec<usize>) {
        self.pass.push_runs(&self.source, self.panels.blocks, runs);
    }

    /// Adds the gradient of some strips. A segment of pixels is summed on its own and then added: two short sums are more exact
    /// than one long one.
    pub fn add<'a>(
        &self,
        runs: &[usize],
        strips: impl Iterator<Item = FilledStrip<'a, T>> + Clone,
        gradient: &mut [T],
        scratch: &mut [T],
    ) {
        let columns = self.s.out_width();
        if let Some(winograd) = self.winograd {
            for strip in strips {
                let source = self.source.view(strip.source, (0, 0));
                let dy = self.dy.view(strip.dy, (self.dy.before, self.dy.before));
                winograd.add_gradient(source, dy, tiles(strip.rows, columns), gradient, scratch);
            }
            return;
        }
        let flat = self.s.stride == 1 && self.source.padded_width == columns && self.dy.padded_width == columns;
        let segment = (SEGMENT_PIXELS / columns).max(1);
        let segments = strips.flat_map(|strip| (0..strip.rows).step_by(segment).map(move |top| (strip, top)));
        let cell = |strip: &FilledStrip<'a, T>, top: usize, cell: &Cell, gradient: &mut [T]| {
            let (source, dy) = (&self.source, &self.dy);
            let rows = segment.min(strip.rows - top);
            let first = cell.first;
            let block = first / dy.block;
            let dy_at = dy.at(block, dy.before + top, dy.before) + first % dy.block;
            let source_at = source.at(self.panels.first_block(first), top * self.s.stride, 0);
            let (rows, columns) = if flat { (1, rows * columns) } else { (rows, columns) };
            let job = GradTile {
                source: &strip.source[source_at + cell.run + cell.done..],
                row_step: self.s.stride * source.row_len(),
                pixel_step: self.s.stride * source.block,
                dy: &strip.dy[dy_at..],
                dy_row_step: dy.row_len(),
                dy_step: dy.block,
                dy_vector_step: if self.kernels.lanes < dy.block { self.kernels.lanes } else { dy.block_len() },
                rows,
                columns,
                gradient: &mut gradient[cell.at..cell.at + cell.count * self.panels.width],
            };
            self.kernels.run_grad(cell.count, self.panels.vectors, job);
        };
        if self.len() <= CACHED_GRADIENT {
            for (strip, top) in segments {
                self.cells(runs, |c| cell(&strip, top, &c, gradient));
            }
        } else {
            self.cells(runs, |c| segments.clone().for_each(|(strip, top)| cell(&strip, top, &c, gradient)));
        }
    }

    /// Calls `visit` for every tile of the gradient, in the order in which they lie there.
    fn cells(&self, runs: &[usize], mut visit: impl FnMut(Cell)) {
        let run_len = self.pass.run_len(&self.source);
        let sizes = self.kernels.rows[self.panels.vectors - 1];
        let mut at = 0;
        for first in self.panels.firsts() {
            for &run in runs {
                let mut done = 0;
                while done < run_len {
                    let fits = sizes.iter().find(|&&size| size <= run_len - done);
                    let count = *fits.expect("every path has a gradient tile of one row");
                    visit(Cell { first, run, done, count, at });
                    done += count;
                    at += count * self.panels.width;
                }
            }
        }
    }

    /// Adds the partial sums in their order and puts them into PyTorch's layout, overwriting.
    pub fn finish(&self, partials: &mut [T], dweight: &mut [T]) {
        if let Some(winograd) = self.winograd {
            let (total, others) = partials.split_at_mut(self.len());
            for partial in others.chunks_exact(total.len()) {
                axpy(total, T::ONE, partial);
            }
            return winograd.finish_gradient(total, dweight);
        }
        let (partials, len) = (&*partials, self.len());
        let (panel_len, panel_weight) = (self.panel_len(), self.panels.width * self.s.patch_len());
        dweight.par_chunks_mut(panel_weight).enumerate().for_each(|(panel, dweight)| {
            with_scratch(panel_len, |total| {
                let mut parts = partials.chunks_exact(len).map(|all| &all[panel * panel_len..(panel + 1) * panel_len]);
                total.copy_from_slice(parts.next().expect("there is a sum, of nothing if need be"));
                parts.for_each(|part| total.iter_mut().zip(part).for_each(|(sum, &v)| *sum += v));
                self.unpack_panel(panel * self.panels.width, total, dweight);
            });
        });
    }

    /// Puts the rows of one panel into the filters from `first` on, in the order of the weight in memory.
    fn unpack_panel(&self, first: usize, rows: &[T], dweight: &mut [T]) {
        let (panels, block, taps) = (&self.panels, self.source.block, self.s.kernel * self.s.kernel);
        let first_block = panels.first_block(first);
        for b in 0..panels.blocks {
            let channels = (first_block + b) * block..((first_block + b + 1) * block).min(self.source.channels);
            let part = &rows[b * taps * block * panels.width..][..taps * block * panels.width];
            for (o, filter) in dweight.chunks_exact_mut(self.s.patch_len()).enumerate() {
                let group = (first + o) / panels.group_out * panels.group_in;
                for channel in channels.start.max(group)..channels.end.min(group + panels.group_in) {
                    let mut at = (channel - channels.start) * panels.width + o;
                    for weight in &mut filter[(channel - group) * taps..(channel - group + 1) * taps] {
                        *weight = part[at];
                        at += block * panels.width;
                    }
                }
            }
        }
    }
}

/// One tile of the gradient.
struct Cell {
    /// First output channel of its panel.
    first: usize,
    /// Where its run begins in the source, and how far into the run it is.
    run: usize,
    done: usize,
    /// Number of rows.
    count: usize,
    /// Where it lies.
    at: usize,
}
