//! `ImageEnhance`: a blend of the image with a degenerate form of itself, beyond it too.

use super::RgbImage;

/// Blends with the image's grey form: 0 is grey, 1 the image.
pub fn color(image: &mut RgbImage, factor: f64) {
    let blend = Blend::new(factor);
    for pixel in image.pixels.chunks_exact_mut(3) {
        let grey = luma(pixel);
        pixel.iter_mut().for_each(|value| *value = blend.mix(grey, *value));
    }
}

/// Blends with a flat image of the mean grey: 0 is flat, 1 the image.
pub fn contrast(image: &mut RgbImage, factor: f64) {
    let sum: u64 = image.pixels.chunks_exact(3).map(|pixel| u64::from(luma(pixel))).sum();
    let count = (image.pixels.len() / 3).max(1);
    let mean = (sum as f64 / count as f64 + 0.5) as u8;
    let blend = Blend::new(factor);
    image.pixels.iter_mut().for_each(|value| *value = blend.mix(mean, *value));
}

/// Blends with black: 0 is black, 1 the image.
pub fn brightness(image: &mut RgbImage, factor: f64) {
    let blend = Blend::new(factor);
    image.pixels.iter_mut().for_each(|value| *value = blend.mix(0, *value));
}

/// Blends with the image smoothed by the kernel (1 1 1; 1 5 1; 1 1 1)/13, its border left as it is: 0 is smooth, 1 the
/// image.
pub fn sharpness(image: &mut RgbImage, factor: f64, spare: &mut RgbImage) {
    smooth(image, spare);
    let blend = Blend::new(factor);
    for (value, &smooth) in image.pixels.iter_mut().zip(&spare.pixels) {
        *value = blend.mix(smooth, *value);
    }
}

/// Pillow's grey: `(19595·R + 38470·G + 7471·B + 2¹⁵) ≫ 16`.
fn luma(pixel: &[u8]) -> u8 {
    let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
}

/// `Image.blend`: `from + α·(to − from)` in f32, rounded towards zero and clamped.
#[derive(Clone, Copy)]
struct Blend(f32);

impl Blend {
    fn new(factor: f64) -> Self {
        Self(factor as f32)
    }

    fn mix(self, from: u8, to: u8) -> u8 {
        // At α = 1 the sum is exact, so Pillow's copy of the second image needs no case of its own; likewise at α = 0.
        let mixed = f32::from(from) + self.0 * (f32::from(to) - f32::from(from));
        mixed as u8
    }
}

fn smooth(image: &RgbImage, out: &mut RgbImage) {
    let (width, height, stride) = (image.width, image.height, image.width * 3);
    out.width = width;
    out.height = height;
    out.pixels.clone_from(&image.pixels);
    if width < 3 || height < 3 {
        return; // Pillow leaves images without an inside as they are
    }
    let (side, middle) = (1.0f32 / 13.0, 5.0f32 / 13.0);
    let row = |y: usize, at: usize, centre: f32| {
        let start = y * stride + at;
        let value = |offset: usize| f32::from(image.pixels[start + offset - 3]);
        value(0) * side + value(3) * centre + value(6) * side
    };
    for y in 1..height - 1 {
        for at in 3..stride - 3 {
            // The row below first: Pillow's order of additions decides the last bit.
            let sum = 0.5 + row(y + 1, at, side) + row(y, at, middle) + row(y - 1, at, side);
            out.pixels[y * stride + at] = sum as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factor_one_is_the_identity() {
        let original = RgbImage { width: 4, height: 4, pixels: (0..48).map(|i| (i * 37 % 256) as u8).collect() };
        let mut image = original.clone();
        color(&mut image, 1.0);
        contrast(&mut image, 1.0);
        brightness(&mut image, 1.0);
        sharpness(&mut image, 1.0, &mut RgbImage::default());
        assert_eq!(image, original);
    }

    #[test]
    fn by_hand() {
        let mut image = RgbImage { width: 1, height: 1, pixels: vec![100, 200, 50] };
        brightness(&mut image, 1.5);
        assert_eq!(image.pixels, [150, 255, 75]);
        color(&mut image, 0.0);
        assert_eq!(image.pixels, [203; 3]); // (150·19595 + 255·38470 + 75·7471 + 32768) / 65536 = 203.6
    }
}
