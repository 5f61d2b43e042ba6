//! Batch normalisation on channels-last rows, with residual and ReLU folded in: forward, backward,
//! and along a direction.
//!
//! The rows are cut into blocks of fixed size; each block is summed on its own, then the blocks in
//! their order, in f64. Inside, the loops run over *tiles*: as many whole rows as make about 256
//! numbers, with the per-channel numbers repeated to that length. So the inner loop is long and of
//! one piece even with 16 channels, and no addition waits for the one before.

mod backward;
mod forward;
mod jvp;

pub use backward::batch_norm_backward;
pub use forward::{batch_norm_apply, batch_norm_statistics, inverse_std, update_running};
pub use jvp::batch_norm_tangent;

use crate::Real;

/// Sizes of a batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchNormShape {
    /// Rows: images × height × width.
    pub rows: usize,
    /// Channels, last in memory.
    pub channels: usize,
}

impl BatchNormShape {
    /// Elements of the activation.
    pub fn len(&self) -> usize {
        self.rows * self.channels
    }

    /// No elements at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Elements of a tile: about 256, whole rows.
    fn tile_len(&self) -> usize {
        self.channels * (256 / self.channels).max(1)
    }

    /// Elements of a block: about 8192, whole tiles.
    fn block_len(&self) -> usize {
        let tile = self.tile_len();
        tile * (8192 / tile).max(1)
    }

    /// Number of blocks.
    fn blocks(&self) -> usize {
        self.len().div_ceil(self.block_len())
    }

    fn check(&self, what: &str, activations: &[(&str, usize)], channels: &[(&str, usize)]) {
        assert!(self.channels > 0 && self.rows > 0, "{what}: nothing to normalise in {self:?}");
        for &(name, found) in activations {
            assert!(found == self.len(), "{what}: `{name}` has {found} elements, expected {} for {self:?}", self.len());
        }
        for &(name, found) in channels {
            assert!(
                found == self.channels,
                "{what}: `{name}` has {found} elements, expected {} channels",
                self.channels
            );
        }
    }
}

/// Repeats `values`, one a channel, over the whole tile.
#[inline(always)]
pub(crate) fn fill_tile<T: Real>(tile: &mut [T], channels: usize, value: impl Fn(usize) -> T) {
    let (first, rest) = tile.split_at_mut(channels);
    for (channel, slot) in first.iter_mut().enumerate() {
        *slot = value(channel);
    }
    for row in rest.chunks_exact_mut(channels) {
        row.copy_from_slice(first);
    }
}

/// Sums a tile's rows into one value a channel, in the order of the rows.
#[inline(always)]
pub(crate) fn fold_tile<T: Real>(tile: &[T], channels: usize, out: &mut [T]) {
    out.copy_from_slice(&tile[..channels]);
    for row in tile[channels..].chunks_exact(channels) {
        for (sum, &v) in out.iter_mut().zip(row) {
            *sum += v;
        }
    }
}

/// Sum over blocks, in their order, of the value that each holds for one channel at `offset`.
fn sum_blocks<T: Real>(partials: &[T], stride: usize, offset: usize) -> f64 {
    partials.chunks_exact(stride).map(|partial| partial[offset].to_f64()).sum()
}
