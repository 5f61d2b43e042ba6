//! Operations that change each value by itself: `ImageOps.invert`, `posterize`, `solarize`, `autocontrast`, `equalize`.

use super::RgbImage;

/// `255 − v`.
pub fn invert(image: &mut RgbImage) {
    image.pixels.iter_mut().for_each(|value| *value = 255 - *value);
}

/// Keeps the upper `bits` bits, 1 to 8.
pub fn posterize(image: &mut RgbImage, bits: u32) {
    let mask = !(0xffu32 >> bits) as u8;
    image.pixels.iter_mut().for_each(|value| *value &= mask);
}

/// Inverts every value that is not below `threshold`.
pub fn solarize(image: &mut RgbImage, threshold: f64) {
    image.pixels.iter_mut().for_each(|value| {
        if f64::from(*value) >= threshold {
            *value = 255 - *value;
        }
    });
}

/// Stretches each channel so that its darkest value becomes 0 and its brightest 255.
pub fn auto_contrast(image: &mut RgbImage) {
    per_channel(image, |histogram| {
        let low = histogram.iter().position(|&count| count > 0)?;
        let high = histogram.iter().rposition(|&count| count > 0)?;
        if high <= low {
            return None;
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        // Pillow: int(ix * scale + offset), which rounds towards zero, then a clamp: Rust's cast does both.
        Some(std::array::from_fn(|value| (value as f64 * scale + offset) as u8))
    });
}

/// Flattens each channel's histogram.
pub fn equalize(image: &mut RgbImage) {
    per_channel(image, |histogram| {
        let last = histogram.iter().rposition(|&count| count > 0)?;
        let total: u32 = histogram.iter().sum();
        let step = (total - histogram[last]) / 255;
        if step == 0 {
            return None;
        }
        let mut reached = step / 2;
        Some(std::array::from_fn(|value| {
            let level = reached / step;
            reached += histogram[value];
            level.min(255) as u8
        }))
    });
}

/// Applies a table that is made from each channel's histogram; `None` leaves the channel as it is.
fn per_channel(image: &mut RgbImage, table: impl Fn(&[u32; 256]) -> Option<[u8; 256]>) {
    let mut histograms = [[0u32; 256]; 3];
    for pixel in image.pixels.chunks_exact(3) {
        for (histogram, &value) in histograms.iter_mut().zip(pixel) {
            histogram[value as usize] += 1;
        }
    }
    for (channel, histogram) in histograms.iter().enumerate() {
        if let Some(table) = table(histogram) {
            image.pixels.iter_mut().skip(channel).step_by(3).for_each(|value| *value = table[*value as usize]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(pixels: &[u8]) -> RgbImage {
        RgbImage { width: pixels.len() / 3, height: 1, pixels: pixels.to_vec() }
    }

    #[test]
    fn by_hand() {
        let mut bits = image(&[255, 129, 7]);
        posterize(&mut bits, 4);
        assert_eq!(bits.pixels, [240, 128, 0]);
        posterize(&mut bits, 8);
        assert_eq!(bits.pixels, [240, 128, 0]);
        let mut sun = image(&[199, 200, 0]);
        solarize(&mut sun, 199.1);
        assert_eq!(sun.pixels, [199, 55, 0]);
        solarize(&mut sun, 256.0);
        assert_eq!(sun.pixels, [199, 55, 0]);
    }

    #[test]
    fn stretching_leaves_a_flat_channel_alone() {
        let mut stretched = image(&[10, 9, 0, 20, 9, 255, 15, 9, 100]);
        auto_contrast(&mut stretched);
        assert_eq!(stretched.pixels, [0, 9, 0, 255, 9, 255, 127, 9, 100]);
    }
}
