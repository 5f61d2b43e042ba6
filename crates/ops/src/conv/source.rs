//! The padded strip of an image that the microkernels read.

use super::winograd::Blocked;

/// A strip of an image with a border of zeros, its channels cut into blocks of at most 16: `(block,
/// y, x, channel)`.
///
/// The copy makes every tap of every output a plain address, puts a kernel row's taps and channels
/// next to each other, and gives pixels a step that the microkernels know at compile time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// Rows, columns and channels of the image.
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Channels of a block; the last block is filled up with zeros.
    pub block: usize,
    /// Zeros to the left.
    pub before: usize,
    /// Rows and columns of the strip with its border.
    pub padded_height: usize,
    pub padded_width: usize,
}

/// Channels of a full block; a compile-time step of the tiles is a multiple of it.
pub(super) const BLOCK: usize = 16;

impl Source {
    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(self.block)
    }

    /// Elements of the copy.
    pub fn len(&self) -> usize {
        self.blocks() * self.block_len()
    }

    /// Elements from one block to the next.
    pub fn block_len(&self) -> usize {
        self.padded_height * self.row_len()
    }

    /// Elements from one row to the next.
    pub fn row_len(&self) -> usize {
        self.padded_width * self.block
    }

    /// Where an element of the padded strip lies.
    pub fn at(&self, block: usize, y: usize, x: usize) -> usize {
        block * self.block_len() + y * self.row_len() + x * self.block
    }

    /// Grows the border until tiles of 2×2 pixels from `origin` on, and `more` pixels beyond the last of them, lie inside.
    pub fn make_room(&mut self, origin: (usize, usize), tiles: (usize, usize), more: usize) {
        self.padded_height = self.padded_height.max(origin.0 + 2 * tiles.0 + more);
        self.padded_width = self.padded_width.max(origin.1 + 2 * tiles.1 + more);
    }

    /// The filled strip from a pixel on.
    pub fn view<'a, T>(&self, padded: &'a [T], origin: (usize, usize)) -> Blocked<'a, T> {
        let data = &padded[self.at(0, origin.0, origin.1)..];
        Blocked { data, block_step: self.block_len(), row_step: self.row_len() }
    }
}
