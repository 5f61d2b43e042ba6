//! Direct convolution with register blocking.
//!
//! Forward and input gradient are both *correlations* of a padded source with packed weights (see
//! [`Correlation`]); the weight gradient is a sum of outer products (see [`WeightGradient`]).
//!
//! Output channels are cut into *panels* of one or two vectors. A grouped convolution is a dense one
//! whose panels read only the blocks of 16 channels that their groups lie in; where a block holds
//! more than one group, the packed weight has zeros (so that a NaN reaches the other groups of its
//! block).

mod correlation;
mod gradient;
mod kernels;
mod pass;
mod tile;
pub(crate) mod vector;

pub(super) use correlation::Correlation;
pub(super) use gradient::{FilledStrip, WeightGradient};
pub use kernels::DirectKernels;

use super::source::{BLOCK, Source};

/// Output channels in panels, and the source channels that each panel reads.
#[derive(Clone, Copy, Debug)]
struct Panels {
    /// Vectors of a panel.
    vectors: usize,
    /// Output channels of a panel.
    width: usize,
    out_channels: usize,
    /// Channels of a group, in the source and in the output.
    group_in: usize,
    group_out: usize,
    /// Source blocks that a panel reads, the same number for all.
    blocks: usize,
    source_block: usize,
    source_blocks: usize,
}

impl Panels {
    fn new(lanes: usize, source: &Source, out_channels: usize, groups: usize) -> Self {
        let (group_in, group_out) = (source.channels / groups, out_channels / groups);
        // Two vectors where that leaves none half used and mixes no groups.
        let fits = if groups == 1 { out_channels.div_ceil(lanes) } else { group_out / lanes };
        let whole = groups == 1 || group_out.is_multiple_of(lanes);
        let vectors = if whole && fits.is_multiple_of(2) && fits > 0 { 2 } else { 1 };
        let mut panels = Self {
            vectors,
            width: vectors * lanes,
            out_channels,
            group_in,
            group_out,
            blocks: 0,
            source_block: source.block,
            source_blocks: source.blocks(),
        };
        panels.blocks = panels.firsts().map(|first| panels.span(first).len()).max().unwrap_or(0);
        panels
    }

    /// The first output channel of each panel.
    fn firsts(&self) -> impl Iterator<Item = usize> {
        (0..self.out_channels).step_by(self.width)
    }

    fn count(&self) -> usize {
        self.out_channels.div_ceil(self.width)
    }

    /// The source blocks that hold the groups of the panel from `first` on.
    fn span(&self, first: usize) -> std::ops::Range<usize> {
        let last = (first + self.width).min(self.out_channels) - 1;
        let (from, to) = (first / self.group_out * self.group_in, (last / self.group_out + 1) * self.group_in);
        from / self.source_block..to.div_ceil(self.source_block)
    }

    /// The first of the `blocks` source blocks that the panel reads.
    fn first_block(&self, first: usize) -> usize {
        self.span(first).start.min(self.source_blocks - self.blocks)
    }
}

/// Channels of a block of a source: 16, or all of them when there are fewer.
fn channel_block(channels: usize) -> usize {
    channels.min(BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panels(lanes: usize, channels: (usize, usize), groups: usize) -> Panels {
        let source = Source {
            height: 1,
            width: 1,
            channels: channels.0,
            block: channel_block(channels.0),
            before: 0,
            padded_height: 1,
            padded_width: 1,
        };
        Panels::new(lanes, &source, channels.1, groups)
    }

    #[test]
    fn two_vectors_where_none_is_wasted() {
        assert_eq!([1, 16, 17, 32, 48, 64].map(|c| panels(16, (16, c), 1).vectors), [1, 1, 2, 2, 1, 2]);
    }

    #[test]
    fn groups_read_only_their_blocks() {
        for (lanes, channels, groups, blocks) in [
            (16, (128, 128), 32, 1),
            (16, (1024, 1024), 32, 2),
            (8, (128, 128), 32, 1),
            (16, (64, 64), 1, 4),
            (16, (6, 6), 6, 1),
        ] {
            let panels = panels(lanes, channels, groups);
            assert_eq!(panels.blocks, blocks, "{panels:?}");
            for out in 0..channels.1 {
                let first = out / panels.width * panels.width;
                let start = panels.first_block(first) * panels.source_block;
                let reads = start..start + panels.blocks * panels.source_block;
                let group = out / (channels.1 / groups);
                let mut own = group * channels.0 / groups..(group + 1) * channels.0 / groups;
                assert!(own.all(|channel| reads.contains(&channel)), "{panels:?}, output channel {out}");
            }
        }
    }
}
