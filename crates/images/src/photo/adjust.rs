//! Colour jitter: brightness, contrast and saturation in an order drawn by chance.

use longtail_ops::{shuffle, uniform};
use rand_chacha::ChaCha8Rng;

use crate::pixels::{blend_from_grey, blend_from_level, grey_sum};

/// By how much each property may change: factors are drawn evenly from `max(0, 1 − x)..1 + x`.
///
/// Hue, torchvision's fourth property, is not offered: none of the recipes turns it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColorJitter {
    /// Around 1, from black.
    pub brightness: f64,
    /// Around 1, from the mean grey.
    pub contrast: f64,
    /// Around 1, from each pixel's grey.
    pub saturation: f64,
}

impl Default for ColorJitter {
    /// 0.4 each, as the recipes of ImageNet-LT have it.
    fn default() -> Self {
        Self { brightness: 0.4, contrast: 0.4, saturation: 0.4 }
    }
}

/// One change of colour, with its factor: 1 changes nothing, 0 leaves nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Adjustment {
    /// Away from black.
    Brightness(f32),
    /// Away from the image's mean grey, rounded.
    Contrast(f32),
    /// Away from each pixel's grey.
    Saturation(f32),
}

impl ColorJitter {
    /// Three adjustments in an order drawn by chance: torchvision's `ColorJitter.get_params` without hue.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> [Adjustment; 3] {
        let mut factor = |strength: f64| {
            let (low, high) = ((1.0 - strength).max(0.0), 1.0 + strength);
            (low + (high - low) * uniform(rng)) as f32
        };
        let mut adjustments = [
            Adjustment::Brightness(factor(self.brightness)),
            Adjustment::Contrast(factor(self.contrast)),
            Adjustment::Saturation(factor(self.saturation)),
        ];
        shuffle(rng, &mut adjustments);
        adjustments
    }
}

impl Adjustment {
    /// Changes `image`, `(H, 3, width)` bytes, as Pillow's `ImageEnhance` does.
    pub(super) fn apply(self, image: &mut [u8], width: usize) {
        match self {
            Self::Brightness(factor) => blend_from_level(image, 0, factor),
            Self::Contrast(factor) => {
                let pixels = image.len() / 3;
                let mean = grey_sum(image, width) as f64 / pixels as f64;
                blend_from_level(image, (mean + 0.5) as u8, factor);
            }
            Self::Saturation(factor) => blend_from_grey(image, width, factor),
        }
    }
}

#[cfg(test)]
mod tests {
    use longtail_ops::stream;

    use super::*;

    #[test]
    fn factors_fill_their_range_and_orders_are_even() {
        let jitter = ColorJitter { brightness: 0.4, contrast: 0.2, saturation: 1.5 };
        let mut rng = stream(1, "jitter", 0, 0);
        let (mut sums, mut orders) = ([0.0f64; 3], std::collections::BTreeMap::new());
        let draws = 6000;
        for _ in 0..draws {
            let drawn = jitter.draw(&mut rng);
            let mut order = String::new();
            for adjustment in drawn {
                let (name, place, factor, range) = match adjustment {
                    Adjustment::Brightness(factor) => ('b', 0, factor, 0.6..=1.4),
                    Adjustment::Contrast(factor) => ('c', 1, factor, 0.8..=1.2),
                    Adjustment::Saturation(factor) => ('s', 2, factor, 0.0..=2.5),
                };
                assert!(range.contains(&factor), "{adjustment:?}");
                sums[place] += f64::from(factor);
                order.push(name);
            }
            *orders.entry(order).or_insert(0) += 1;
        }
        // Five standard errors of the means: 0.8, 0.4 and 2.5 wide over √12·√6000.
        for ((sum, mean), width) in sums.iter().zip([1.0, 1.0, 1.25]).zip([0.8, 0.4, 2.5]) {
            assert!((sum / f64::from(draws) - mean).abs() < 5.0 * width / (12.0 * f64::from(draws)).sqrt());
        }
        assert_eq!(orders.len(), 6);
        assert!(orders.values().all(|&count: &i32| (count - 1000).abs() < 150), "{orders:?}");
    }
}
