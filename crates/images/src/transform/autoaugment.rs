//! AutoAugment's policy for CIFAR-10.

use longtail_ops::uniform;
use rand_chacha::ChaCha8Rng;

use super::pillow::{self, RgbImage};
use super::{coin, index_below};
use crate::shape::ImageShape;

/// One of the operations that the policy uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `x' = x ± m·y`, bicubic.
    ShearX,
    /// `y' = y ± m·x`, bicubic.
    ShearY,
    /// By ±m of the width, nearest.
    TranslateX,
    /// By ±m of the height, nearest.
    TranslateY,
    /// By m degrees counter-clockwise, never the other way, nearest.
    Rotate,
    /// Saturation 1 ± m.
    Color,
    /// Keep the upper m bits.
    Posterize,
    /// Invert what is at least m.
    Solarize,
    /// Contrast 1 ± m.
    Contrast,
    /// Sharpness 1 ± m.
    Sharpness,
    /// Brightness 1 ± m.
    Brightness,
    /// Stretch each channel to the full range.
    AutoContrast,
    /// Flatten each channel's histogram.
    Equalize,
    /// Negative.
    Invert,
}

/// A probability, an operation and a magnitude index 0..=9; then a second one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SubPolicy(pub f64, pub Operation, pub usize, pub f64, pub Operation, pub usize);

/// The 25 sub-policies (protocol.md §1.3, after BALMS's `autoaugment.py`; Cubuk et al. 2019, Table 7).
pub const SUB_POLICIES: [SubPolicy; 25] = {
    use Operation::{
        AutoContrast, Brightness, Color, Contrast, Equalize, Invert, Posterize, Rotate, Sharpness, ShearY, Solarize,
        TranslateX, TranslateY,
    };
    [
        SubPolicy(0.1, Invert, 7, 0.2, Contrast, 6),
        SubPolicy(0.7, Rotate, 2, 0.3, TranslateX, 9),
        SubPolicy(0.8, Sharpness, 1, 0.9, Sharpness, 3),
        SubPolicy(0.5, ShearY, 8, 0.7, TranslateY, 9),
        SubPolicy(0.5, AutoContrast, 8, 0.9, Equalize, 2),
        SubPolicy(0.2, ShearY, 7, 0.3, Posterize, 7),
        SubPolicy(0.4, Color, 3, 0.6, Brightness, 7),
        SubPolicy(0.3, Sharpness, 9, 0.7, Brightness, 9),
        SubPolicy(0.6, Equalize, 5, 0.5, Equalize, 1),
        SubPolicy(0.6, Contrast, 7, 0.6, Sharpness, 5),
        SubPolicy(0.7, Color, 7, 0.5, TranslateX, 8),
        SubPolicy(0.3, Equalize, 7, 0.4, AutoContrast, 8),
        SubPolicy(0.4, TranslateY, 3, 0.2, Sharpness, 6),
        SubPolicy(0.9, Brightness, 6, 0.2, Color, 8),
        SubPolicy(0.5, Solarize, 2, 0.0, Invert, 3),
        SubPolicy(0.2, Equalize, 0, 0.6, AutoContrast, 0),
        SubPolicy(0.2, Equalize, 8, 0.6, Equalize, 4),
        SubPolicy(0.9, Color, 9, 0.6, Equalize, 6),
        SubPolicy(0.8, AutoContrast, 4, 0.2, Solarize, 8),
        SubPolicy(0.1, Brightness, 3, 0.7, Color, 0),
        SubPolicy(0.4, Solarize, 5, 0.9, AutoContrast, 3),
        SubPolicy(0.9, TranslateY, 9, 0.7, TranslateY, 9),
        SubPolicy(0.9, AutoContrast, 2, 0.8, Solarize, 3),
        SubPolicy(0.8, Equalize, 8, 0.1, Invert, 3),
        SubPolicy(0.7, TranslateY, 9, 0.9, AutoContrast, 1),
    ]
};

/// What a magnitude index means: ten levels from `low` to `high`, as `numpy.linspace` spaces them.
///
/// # Panics
/// If `index` is above 9.
pub fn level(operation: Operation, index: usize) -> f64 {
    assert!(index <= 9, "magnitudes are numbered 0 to 9");
    let linear = |low: f64, high: f64| if index == 9 { high } else { index as f64 * ((high - low) / 9.0) + low };
    match operation {
        Operation::ShearX | Operation::ShearY => linear(0.0, 0.3),
        Operation::TranslateX | Operation::TranslateY => linear(0.0, 150.0 / 331.0),
        Operation::Rotate => linear(0.0, 30.0),
        Operation::Color | Operation::Contrast | Operation::Sharpness | Operation::Brightness => linear(0.0, 0.9),
        Operation::Posterize => linear(8.0, 4.0).round_ties_even(),
        Operation::Solarize => linear(256.0, 0.0),
        Operation::AutoContrast | Operation::Equalize | Operation::Invert => 0.0,
    }
}

impl Operation {
    /// Applies the operation at a magnitude index; `negative` chooses the sign where there is one.
    pub fn apply(self, index: usize, negative: bool, image: &mut RgbImage, spare: &mut RgbImage) {
        let magnitude = level(self, index);
        let signed = if negative { -magnitude } else { magnitude };
        let (width, height) = (image.width as f64, image.height as f64);
        match self {
            Self::ShearX => pillow::affine_bicubic(image, [1.0, signed, 0.0, 0.0, 1.0, 0.0], spare),
            Self::ShearY => pillow::affine_bicubic(image, [1.0, 0.0, 0.0, signed, 1.0, 0.0], spare),
            Self::TranslateX => pillow::affine_nearest(image, [1.0, 0.0, signed * width, 0.0, 1.0, 0.0], spare),
            Self::TranslateY => pillow::affine_nearest(image, [1.0, 0.0, 0.0, 0.0, 1.0, signed * height], spare),
            Self::Rotate if magnitude == 0.0 => {}
            Self::Rotate => {
                let matrix = pillow::rotation(magnitude, image.width, image.height);
                pillow::affine_nearest(image, matrix, spare);
            }
            Self::Color => pillow::color(image, 1.0 + signed),
            Self::Posterize => pillow::posterize(image, magnitude as u32),
            Self::Solarize => pillow::solarize(image, magnitude),
            Self::Contrast => pillow::contrast(image, 1.0 + signed),
            Self::Sharpness => pillow::sharpness(image, 1.0 + signed, spare),
            Self::Brightness => pillow::brightness(image, 1.0 + signed),
            Self::AutoContrast => pillow::auto_contrast(image),
            Self::Equalize => pillow::equalize(image),
            Self::Invert => pillow::invert(image),
        }
    }
}

/// The policy: one sub-policy, uniformly; each of its two operations with its probability.
///
/// # Source
/// Cubuk et al. 2019; `autoaugment.py` as BALMS, DRO-LT and PaCo carry it. Images keep their size; grey 128 fills what a
/// geometric operation uncovers; shear resamples bicubically, translation and rotation take the nearest pixel.
#[derive(Debug, Clone, Copy)]
pub struct AutoAugment;

impl AutoAugment {
    /// For images of any size with three channels.
    ///
    /// # Panics
    /// If `shape` has another number of channels.
    pub fn new(shape: ImageShape) -> Self {
        assert_eq!(shape.channels, 3, "AutoAugment's operations are defined on RGB");
        Self
    }

    /// Draws, always all of them and in this order: the sub-policy; for each of its operations a uniform number, compared
    /// with the probability, and a coin for the sign.
    pub fn apply(&self, rng: &mut ChaCha8Rng, image: &mut RgbImage, spare: &mut RgbImage) {
        let SubPolicy(p1, first, m1, p2, second, m2) = SUB_POLICIES[index_below(rng, SUB_POLICIES.len())];
        for (probability, operation, index) in [(p1, first, m1), (p2, second, m2)] {
            let chosen = uniform(rng) < probability;
            let negative = coin(rng);
            if chosen {
                operation.apply(index, negative, image, spare);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_the_table() {
        assert_eq!(level(Operation::Posterize, 7), 5.0);
        assert_eq!(
            (0..10).map(|i| level(Operation::Posterize, i) as u32).collect::<Vec<_>>(),
            [8, 8, 7, 7, 6, 6, 5, 5, 4, 4]
        );
        assert_eq!((level(Operation::Solarize, 0), level(Operation::Solarize, 9)), (256.0, 0.0));
        assert_eq!(level(Operation::Rotate, 9), 30.0);
        assert!((level(Operation::TranslateX, 3) - 50.0 / 331.0).abs() < 1e-15);
        assert!((level(Operation::ShearY, 3) - 0.1).abs() < 1e-15);
    }

    #[test]
    fn every_draw_takes_the_same_number_of_words() {
        // Five draws whatever is chosen: two streams that differ in the sub-policy stay aligned for what follows.
        let image = RgbImage { width: 8, height: 8, pixels: (0..192).map(|i| (i * 5 % 256) as u8).collect() };
        for index in 0..50 {
            let mut rng = longtail_ops::stream(0, "test", 0, index);
            let mut reference = rng.clone();
            AutoAugment.apply(&mut rng, &mut image.clone(), &mut RgbImage::default());
            index_below(&mut reference, 25);
            (0..2).for_each(|_| {
                uniform(&mut reference);
                coin(&mut reference);
            });
            assert_eq!(uniform(&mut rng), uniform(&mut reference));
        }
    }
}
