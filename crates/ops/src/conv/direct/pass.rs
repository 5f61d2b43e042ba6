//! One correlation: which taps it takes, where it reads, where it writes.

use crate::conv::ConvShape;
use crate::conv::source::Source;

/// Kernel rows or columns, as indices into the weight, in the order in which the source is read.
#[derive(Clone, Copy)]
pub(super) struct Taps {
    /// The tap under the first source pixel.
    pub first: isize,
    /// From one source pixel to the next.
    pub step: isize,
    pub count: usize,
}

impl Taps {
    pub fn indices(self) -> impl Iterator<Item = usize> {
        (0..self.count).map(move |m| (self.first + self.step * m as isize) as usize)
    }
}

/// One correlation with its own taps over a part of the output.
#[derive(Clone, Copy)]
pub(super) struct Pass {
    pub taps_y: Taps,
    pub taps_x: Taps,
    /// Source pixels between neighbouring taps.
    pub dilation: usize,
    /// Source pixels between neighbouring outputs.
    pub source_step: usize,
    /// Padded source pixel under the first tap of the first output.
    pub origin: (usize, usize),
    /// Output pixel of the strip that comes first, and the steps between outputs.
    pub residue: (usize, usize),
    pub out_step: usize,
}

impl Pass {
    /// The one pass of the forward direction.
    pub fn forward(s: &ConvShape) -> Self {
        let taps = Taps { first: 0, step: 1, count: s.kernel };
        Self {
            taps_y: taps,
            taps_x: taps,
            dilation: s.dilation,
            source_step: s.stride,
            origin: (0, 0),
            residue: (0, 0),
            out_step: 1,
        }
    }

    /// Appends where each run of consecutive source elements begins, for `blocks` blocks of channels. Taps of a kernel row are
    /// one run unless dilated.
    pub fn push_runs(&self, source: &Source, blocks: usize, runs: &mut Vec<usize>) {
        let runs_of_row = if self.dilation == 1 { self.taps_x.count.min(1) } else { self.taps_x.count };
        for block in 0..blocks {
            for y in 0..self.taps_y.count {
                runs.extend((0..runs_of_row).map(|x| source.at(block, y * self.dilation, x * self.dilation)));
            }
        }
    }

    /// Elements of a run.
    pub fn run_len(&self, source: &Source) -> usize {
        source.block * if self.dilation == 1 { self.taps_x.count } else { 1 }
    }

    /// Rows of the packed weight of one panel: channels of `blocks` blocks times taps.
    pub fn weight_rows(&self, source: &Source, blocks: usize) -> usize {
        blocks * source.block * self.taps_y.count * self.taps_x.count
    }
}
