//! The padded copy of one image that the microkernels read.

use super::kernels::BLOCK;
use crate::Real;
use crate::conv::ConvShape;

/// An image with a border of zeros, its channels cut into blocks of at most 16: `(block, y, x,
/// channel)`.
///
/// The copy makes every tap of every output a plain address, puts a kernel row's taps and channels
/// next to each other, and gives pixels a step that the microkernels know at compile time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// Rows, columns and channels of the image.
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Zeros above and to the left.
    pub before: usize,
    /// Rows and columns with the border.
    pub padded_height: usize,
    pub padded_width: usize,
}

impl Source {
    /// The input of a convolution with its border.
    pub fn of_input(s: &ConvShape) -> Self {
        Self {
            height: s.height,
            width: s.width,
            channels: s.in_channels,
            before: s.padding,
            padded_height: s.height + 2 * s.padding,
            padded_width: s.width + 2 * s.padding,
        }
    }

    /// Channels of a block: 16, or all of them when there are fewer.
    pub fn block(&self) -> usize {
        self.channels.min(BLOCK)
    }

    /// Number of blocks; the last one is filled up with zeros.
    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(self.block())
    }

    /// Elements of the copy.
    pub fn len(&self) -> usize {
        self.blocks() * self.padded_height * self.padded_width * self.block()
    }

    /// Where an element of the padded image lies.
    pub fn at(&self, block: usize, y: usize, x: usize) -> usize {
        ((block * self.padded_height + y) * self.padded_width + x) * self.block()
    }

    /// Copies an image `(height, width, channels)` and clears the border.
    pub fn fill<T: Real>(&self, image: &[T], padded: &mut [T]) {
        padded[..self.len()].fill(T::ZERO);
        let block = self.block();
        for b in 0..self.blocks() {
            let first = b * block;
            let count = block.min(self.channels - first);
            for y in 0..self.height {
                let row = &image[y * self.width * self.channels..(y + 1) * self.width * self.channels];
                let start = self.at(b, y + self.before, self.before);
                let to = &mut padded[start..start + self.width * block];
                if self.channels == block {
                    to.copy_from_slice(row);
                } else if count == BLOCK {
                    // The length is known here, so each copy is a few vector moves and not a call.
                    for (to, from) in to.chunks_exact_mut(BLOCK).zip(row.chunks_exact(self.channels)) {
                        to.copy_from_slice(&from[first..first + BLOCK]);
                    }
                } else {
                    for (to, from) in to.chunks_exact_mut(block).zip(row.chunks_exact(self.channels)) {
                        to[..count].copy_from_slice(&from[first..first + count]);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_border_of_zeros_and_blocks_of_sixteen() {
        let source = Source { height: 1, width: 2, channels: 17, before: 1, padded_height: 3, padded_width: 4 };
        let image: Vec<f32> = (1..=34).map(|v| v as f32).collect();
        let mut padded = vec![9.0; source.len()];
        source.fill(&image, &mut padded);
        assert_eq!((source.blocks(), source.len()), (2, 2 * 3 * 4 * 16));
        assert_eq!(padded[source.at(0, 1, 1)..][..16], image[..16]);
        assert_eq!(padded[source.at(1, 1, 2)..][..2], [34.0, 0.0]);
        assert_eq!(padded.iter().filter(|&&v| v != 0.0).count(), 34);
    }
}
