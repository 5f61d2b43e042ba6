//! Cutout: one black square.

use rand_chacha::ChaCha8Rng;

use super::index_below;
use crate::shape::ImageShape;

/// Side of the square, in pixels.
pub const CUTOUT_SIDE: usize = 16;

/// Rows `top..bottom` and columns `left..right`, made black before normalisation.
///
/// # Source
/// DeVries and Taylor 2017 as BALMS and PaCo use it (`n_holes=1, length=16`): a centre uniform over the image's pixels,
/// the square from 8 before to 8 after it, clipped at the border, set to 0 after `ToTensor` and before `Normalize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutoutBox {
    /// First row.
    pub top: usize,
    /// The row after the last.
    pub bottom: usize,
    /// First column.
    pub left: usize,
    /// The column after the last.
    pub right: usize,
}

impl CutoutBox {
    /// Draws the centre: row, then column.
    pub fn draw(rng: &mut ChaCha8Rng, shape: ImageShape) -> Self {
        let row = index_below(rng, shape.height);
        Self::around(row, index_below(rng, shape.width), shape)
    }

    /// The square around a centre.
    pub fn around(row: usize, column: usize, shape: ImageShape) -> Self {
        const HALF: usize = CUTOUT_SIDE / 2;
        Self {
            top: row.saturating_sub(HALF),
            bottom: (row + HALF).min(shape.height),
            left: column.saturating_sub(HALF),
            right: (column + HALF).min(shape.width),
        }
    }

    /// Sets the square to 0.
    ///
    /// # Panics
    /// If `pixels` is no image of `shape`, or the square does not lie on it.
    pub fn fill(&self, shape: ImageShape, pixels: &mut [u8]) {
        let stride = shape.width * shape.channels;
        for row in pixels.chunks_exact_mut(stride).take(self.bottom).skip(self.top) {
            row[self.left * shape.channels..self.right * shape.channels].fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { height: 32, width: 32, channels: 3 };

    #[test]
    fn squares_are_clipped_at_the_border() {
        let square = |row, column| {
            let cut = CutoutBox::around(row, column, SHAPE);
            (cut.top, cut.bottom, cut.left, cut.right)
        };
        assert_eq!(square(16, 16), (8, 24, 8, 24));
        assert_eq!(square(0, 31), (0, 8, 23, 32));
        assert_eq!(square(24, 25), (16, 32, 17, 32));
    }

    #[test]
    fn only_the_square_is_black() {
        let mut pixels = vec![7; SHAPE.len()];
        CutoutBox::around(0, 31, SHAPE).fill(SHAPE, &mut pixels);
        assert_eq!(pixels.iter().filter(|&&value| value == 0).count(), 8 * 9 * 3);
        assert_eq!((pixels[23 * 3 - 1], pixels[23 * 3], pixels[8 * 96 + 95]), (7, 0, 7));
    }
}
