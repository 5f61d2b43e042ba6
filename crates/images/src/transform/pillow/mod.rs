//! Pillow's image operations on 8-bit RGB, to the byte.
//!
//! AutoAugment is defined by what Pillow does, its roundings included, so each function here computes the same numbers in
//! the same precision as Pillow does (checked against Pillow 13.0.0 for equality; see `tests/golden/pillow`).

mod enhance;
mod geometry;
mod point;

pub use enhance::{brightness, color, contrast, sharpness};
pub use geometry::{FILL, affine_bicubic, affine_nearest, rotation};
pub use point::{auto_contrast, equalize, invert, posterize, solarize};

/// An 8-bit RGB image, `(H, W, 3)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RgbImage {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `(H, W, 3)`.
    pub pixels: Vec<u8>,
}

impl RgbImage {
    /// Makes it an image of this size with any content.
    pub fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.pixels.resize(width * height * 3, 0);
    }

    /// The three bytes at column `x`, row `y`.
    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.width + x) * 3;
        [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]]
    }
}
