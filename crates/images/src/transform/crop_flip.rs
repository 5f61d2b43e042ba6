//! Random crop of the zero-padded image, and horizontal flip.

use longtail_ops::gpu::Placement;
use rand_chacha::ChaCha8Rng;

use super::{PixelTable, coin, index_below};
use crate::shape::ImageShape;

/// Rows and columns of zeros on each side before the crop.
pub const PAD: usize = 4;

/// A crop of the image's own size out of the image padded with [`PAD`] zeros on each side, then perhaps mirrored.
///
/// # Source
/// torchvision's `RandomCrop(side, padding=4)` and `RandomHorizontalFlip(0.5)`; the draws are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropFlip {
    /// First row of the crop in the padded image, 0..=2·PAD; PAD is the image's own place.
    pub top: usize,
    /// First column of the crop in the padded image.
    pub left: usize,
    /// Mirror left and right after the crop.
    pub flip: bool,
}

impl CropFlip {
    /// Row, column (each uniform in 0..=2·PAD), then the coin for the flip.
    pub fn draw(rng: &mut ChaCha8Rng) -> Self {
        Self { top: index_below(rng, 2 * PAD + 1), left: index_below(rng, 2 * PAD + 1), flip: coin(rng) }
    }

    /// The same of image `image` of a set, for a device that holds the set.
    pub fn placement(&self, image: u32) -> Placement {
        let from = |first: usize| first as i32 - PAD as i32;
        Placement { image, top: from(self.top), left: from(self.left), mirrored: self.flip }
    }

    /// The cropped and flipped bytes.
    ///
    /// # Panics
    /// If a slice has another length than `shape`.
    pub fn copy(&self, image: &[u8], shape: ImageShape, out: &mut [u8]) {
        match shape.channels {
            1 => self.place::<1, u8>(image, shape, |_, byte| byte, out),
            3 => self.place::<3, u8>(image, shape, |_, byte| byte, out),
            channels => unreachable!("images have 1 or 3 channels, not {channels}"),
        }
    }

    /// The cropped and flipped pixels, normalised; the padding is black before normalisation.
    ///
    /// # Panics
    /// If a slice has another length than `shape`.
    pub fn normalize(&self, image: &[u8], shape: ImageShape, table: &PixelTable, out: &mut [f32]) {
        match shape.channels {
            1 => {
                let grey = table.channel(0);
                self.place::<1, f32>(image, shape, |_, byte| grey[byte as usize], out);
            }
            3 => {
                let tables = [table.channel(0), table.channel(1), table.channel(2)];
                self.place::<3, f32>(image, shape, |channel, byte| tables[channel][byte as usize], out);
            }
            channels => unreachable!("images have 1 or 3 channels, not {channels}"),
        }
    }

    fn place<const C: usize, T: Copy>(
        &self,
        image: &[u8],
        shape: ImageShape,
        value: impl Fn(usize, u8) -> T,
        out: &mut [T],
    ) {
        let (height, width) = (shape.height, shape.width);
        assert_eq!((image.len(), out.len()), (shape.len(), shape.len()), "slices of one image");
        let black: [T; C] = std::array::from_fn(|channel| value(channel, 0));
        // Columns of the crop that lie on the image: column x shows image column x + left − PAD.
        let first = PAD.saturating_sub(self.left).min(width);
        let last = (width + PAD).saturating_sub(self.left).clamp(first, width);
        let source_first = (first + self.left).saturating_sub(PAD).min(width);
        for (y, row) in out.chunks_exact_mut(width * C).enumerate() {
            let Some(source_y) = (y + self.top).checked_sub(PAD).filter(|&source_y| source_y < height) else {
                row.chunks_exact_mut(C).for_each(|pixel| pixel.copy_from_slice(&black));
                continue;
            };
            let source = &image[(source_y * width + source_first) * C..];
            let mut write = |x: usize, pixel: &[T; C]| {
                let x = if self.flip { width - 1 - x } else { x };
                row[x * C..(x + 1) * C].copy_from_slice(pixel);
            };
            (0..first).chain(last..width).for_each(|x| write(x, &black));
            for (x, pixel) in (first..last).zip(source.chunks_exact(C)) {
                write(x, &std::array::from_fn(|channel| value(channel, pixel[channel])));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { height: 2, width: 3, channels: 1 };
    const IMAGE: [u8; 6] = [1, 2, 3, 4, 5, 6];

    fn cropped(top: usize, left: usize, flip: bool) -> [u8; 6] {
        let mut out = [99; 6];
        CropFlip { top, left, flip }.copy(&IMAGE, SHAPE, &mut out);
        out
    }

    #[test]
    fn the_middle_is_the_image_itself() {
        assert_eq!(cropped(4, 4, false), IMAGE);
        assert_eq!(cropped(4, 4, true), [3, 2, 1, 6, 5, 4]);
    }

    #[test]
    fn shifts_bring_zeros_in() {
        assert_eq!(cropped(3, 4, false), [0, 0, 0, 1, 2, 3]);
        assert_eq!(cropped(5, 4, false), [4, 5, 6, 0, 0, 0]);
        assert_eq!(cropped(4, 2, false), [0, 0, 1, 0, 0, 4]);
        assert_eq!(cropped(4, 6, false), [3, 0, 0, 6, 0, 0]);
        assert_eq!(cropped(4, 6, true), [0, 0, 3, 0, 0, 6]);
        assert_eq!(cropped(0, 0, false), [0; 6]);
        assert_eq!(cropped(8, 8, false), [0; 6]);
    }

    #[test]
    fn normalised_padding_is_black() {
        let table = PixelTable::new(&[0.5], &[0.5], 1).expect("valid");
        let mut out = [9.0; 6];
        CropFlip { top: 3, left: 4, flip: false }.normalize(&[255; 6], SHAPE, &table, &mut out);
        assert_eq!(out, [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0]);
    }
}
