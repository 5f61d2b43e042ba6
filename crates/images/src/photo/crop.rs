//! Which part of a photo is looked at.

use longtail_ops::{below, uniform};
use rand_chacha::ChaCha8Rng;

/// A rectangle of whole pixels inside an image, not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// Least and largest share of the image's area.
const SCALE: (f64, f64) = (0.08, 1.0);
/// Least and largest width over height.
const RATIO: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);
const TRIES: usize = 10;

impl Crop {
    /// A random resized crop's rectangle: a share of 8 to 100 % of the area, evenly; a ratio of 3/4 to 4/3, evenly in its
    /// logarithm; the first of ten that fits, at an even place; else the largest centred one of a permitted ratio.
    ///
    /// # Source
    /// torchvision, `RandomResizedCrop.get_params` with its defaults.
    pub(super) fn draw(width: usize, height: usize, rng: &mut ChaCha8Rng) -> Self {
        let area = (width * height) as f64;
        for _ in 0..TRIES {
            let target = area * (SCALE.0 + (SCALE.1 - SCALE.0) * uniform(rng));
            let ratio = (RATIO.0.ln() + (RATIO.1.ln() - RATIO.0.ln()) * uniform(rng)).exp();
            let w = (target * ratio).sqrt().round_ties_even() as usize;
            let h = (target / ratio).sqrt().round_ties_even() as usize;
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                let top = below(rng, (height - h + 1) as u64) as usize;
                let left = below(rng, (width - w + 1) as u64) as usize;
                return Self { left, top, width: w, height: h };
            }
        }
        Self::fallback(width, height)
    }

    fn fallback(width: usize, height: usize) -> Self {
        let ratio = width as f64 / height as f64;
        let (w, h) = if ratio < RATIO.0 {
            (width, (width as f64 / RATIO.0).round_ties_even() as usize)
        } else if ratio > RATIO.1 {
            ((height as f64 * RATIO.1).round_ties_even() as usize, height)
        } else {
            (width, height)
        };
        Self { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
    }
}

/// The evaluation transform's size before its crop: the short side becomes `short`, the long one keeps the ratio, cut off to whole
/// pixels (torchvision's `Resize`). Returns width and height.
pub(super) fn resized(width: usize, height: usize, short: usize) -> (usize, usize) {
    if width <= height {
        (short, (short as u64 * height as u64 / width as u64) as usize)
    } else {
        ((short as u64 * width as u64 / height as u64) as usize, short)
    }
}

/// Where `side` of `length` pixels begin when they are in the middle: half a pixel goes to the even number (torchvision's
/// `CenterCrop`, which rounds as Python does).
pub(super) fn centred(length: usize, side: usize) -> usize {
    ((length - side) as f64 / 2.0).round_ties_even() as usize
}

#[cfg(test)]
mod tests {
    use longtail_ops::stream;

    use super::*;

    #[test]
    fn crops_lie_inside_and_extreme_images_have_one() {
        let mut rng = stream(0, "crop", 0, 0);
        for (width, height) in [(1, 1), (1, 1000), (1000, 1), (2, 3), (500, 375), (90, 900)] {
            for _ in 0..500 {
                let crop = Crop::draw(width, height, &mut rng);
                assert!(crop.width > 0 && crop.left + crop.width <= width, "{crop:?} of {width}×{height}");
                assert!(crop.height > 0 && crop.top + crop.height <= height, "{crop:?} of {width}×{height}");
            }
        }
        assert_eq!(Crop::fallback(30, 1000), Crop { left: 0, top: 480, width: 30, height: 40 });
        assert_eq!(Crop::fallback(1000, 30), Crop { left: 480, top: 0, width: 40, height: 30 });
    }

    #[test]
    fn sizes_and_middles_as_python_computes_them() {
        assert_eq!(resized(500, 375, 256), (341, 256)); // 341.33
        assert_eq!(resized(375, 500, 256), (256, 341));
        assert_eq!(resized(1, 1000, 256), (256, 256_000));
        assert_eq!((centred(341, 224), centred(257, 256), centred(259, 256)), (58, 0, 2)); // 58.5, 0.5, 1.5
    }
}
