//! Changes of colour of 8-bit RGB images, as Pillow's `ImageEnhance` makes them, to the byte.
//!
//! Images are *planar by row*, `(H, 3, W)`: what [`resample_rows`](crate::resample_rows) makes.

use longtail_ops::{Kernel, dispatch};

/// Σ over all pixels of their grey value, `grey`'s.
///
/// # Shapes
/// - `image`: `(H, 3, width)`
///
/// # Panics
/// If `image` is not whole rows, or `width` is zero.
///
/// # Source
/// The sum that Pillow's `ImageStat.Stat(image.convert("L")).mean` divides.
pub fn grey_sum(image: &[u8], width: usize) -> u64 {
    check(image, width);
    dispatch(GreySum { image, width })
}

/// Every byte goes from `level` towards itself by `factor`, beyond it where the factor is over one:
/// `clamp(level + factor·(v − level))`, cut off to a whole number. Level 0 is Pillow's `ImageEnhance.Brightness`, the mean grey its
/// `Contrast`.
pub fn blend_from_level(image: &mut [u8], level: u8, factor: f32) {
    dispatch(FromLevel { image, level, factor });
}

/// As [`blend_from_level`], with each pixel's own grey value as its level: Pillow's `ImageEnhance.Color`, saturation.
///
/// # Shapes
/// - `image`: `(H, 3, width)`
///
/// # Panics
/// If `image` is not whole rows, or `width` is zero.
pub fn blend_from_grey(image: &mut [u8], width: usize, factor: f32) {
    check(image, width);
    dispatch(FromGrey { image, width, factor });
}

/// Writes an image as a network reads it, through one table for each channel.
///
/// # Shapes
/// - `image`: `(H, 3, width)`  - `tables`: for red, green and blue, the value of each byte
/// - `out`: `(H, width, 3)`; with `mirror`, rows run from right to left
///
/// # Panics
/// If the lengths differ, `image` is not whole rows, or `width` is zero.
pub fn write_interleaved(image: &[u8], width: usize, tables: &[[f32; 256]; 3], mirror: bool, out: &mut [f32]) {
    check(image, width);
    assert_eq!(image.len(), out.len(), "as many values as bytes");
    for (planes, out) in image.chunks_exact(3 * width).zip(out.chunks_exact_mut(3 * width)) {
        let (red, rest) = planes.split_at(width);
        let (green, blue) = rest.split_at(width);
        let write = |pixel: &mut [f32], ((red, green), blue): ((&u8, &u8), &u8)| {
            let value = |channel: usize, byte: u8| tables[channel][usize::from(byte)];
            pixel.copy_from_slice(&[value(0, *red), value(1, *green), value(2, *blue)]);
        };
        let colours = red.iter().zip(green).zip(blue);
        if mirror {
            out.chunks_exact_mut(3).rev().zip(colours).for_each(|(pixel, colour)| write(pixel, colour));
        } else {
            out.chunks_exact_mut(3).zip(colours).for_each(|(pixel, colour)| write(pixel, colour));
        }
    }
}

fn check(image: &[u8], width: usize) {
    assert!(width > 0 && image.len().is_multiple_of(3 * width), "whole rows of three planes");
}

/// ITU-R 601's luma with 16 bits after the point, rounded: Pillow's conversion from RGB to L.
#[inline(always)]
fn grey(red: u8, green: u8, blue: u8) -> u8 {
    ((19595 * u32::from(red) + 38470 * u32::from(green) + 7471 * u32::from(blue) + 0x8000) >> 16) as u8
}

/// Never fused: C's floats are rounded after the product and after the sum. The cast cuts off towards zero.
#[inline(always)]
fn blended(level: u8, value: u8, factor: f32) -> u8 {
    let (level, value) = (i32::from(level), i32::from(value));
    // Unlike `clamp`, this makes 0 of what is no number.
    #[allow(clippy::manual_clamp)]
    let mixed = (level as f32 + factor * (value - level) as f32).max(0.0).min(255.0);
    // SAFETY: between 0 and 255. (The checked cast is what kept the loops from being vectors.)
    #[allow(unsafe_code)]
    unsafe {
        mixed.to_int_unchecked::<i32>() as u8
    }
}

struct GreySum<'a> {
    image: &'a [u8],
    width: usize,
}

impl Kernel for GreySum<'_> {
    type Output = u64;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> u64 {
        let mut sum = 0u64;
        for planes in self.image.chunks_exact(3 * self.width) {
            let (red, rest) = planes.split_at(self.width);
            let (green, blue) = rest.split_at(self.width);
            // 2²⁴ pixels of a row fit.
            for ((red, green), blue) in red.chunks(1 << 24).zip(green.chunks(1 << 24)).zip(blue.chunks(1 << 24)) {
                let greys = red.iter().zip(green).zip(blue).map(|((&red, &green), &blue)| grey(red, green, blue));
                sum += u64::from(greys.map(u32::from).sum::<u32>());
            }
        }
        sum
    }
}

struct FromLevel<'a> {
    image: &'a mut [u8],
    level: u8,
    factor: f32,
}

impl Kernel for FromLevel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        for value in self.image {
            *value = blended(self.level, *value, self.factor);
        }
    }
}

struct FromGrey<'a> {
    image: &'a mut [u8],
    width: usize,
    factor: f32,
}

impl Kernel for FromGrey<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let factor = self.factor;
        for planes in self.image.chunks_exact_mut(3 * self.width) {
            let (red, rest) = planes.split_at_mut(self.width);
            let (green, blue) = rest.split_at_mut(self.width);
            for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
                let level = grey(*red, *green, *blue);
                (*red, *green, *blue) =
                    (blended(level, *red, factor), blended(level, *green, factor), blended(level, *blue, factor));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Vec<u8> {
        (0..3 * 37 * 5).map(|i| (i * 101 % 256) as u8).collect()
    }

    #[test]
    fn by_hand() {
        assert_eq!((grey(255, 255, 255), grey(0, 0, 0), grey(255, 0, 0)), (255, 0, 76));
        let mut bytes = [0, 100, 200];
        blend_from_level(&mut bytes, 0, 1.4);
        assert_eq!(bytes, [0, 140, 255]);
        blend_from_level(&mut bytes, 100, 0.5);
        assert_eq!(bytes, [50, 120, 177]); // 177.5 is cut off
        // Grey of (0, 100, 200): 58.7 + 22.8 = 81.5, rounded up.
        let mut pixel = [0, 100, 200];
        blend_from_grey(&mut pixel, 1, 0.0);
        assert_eq!(pixel, [82, 82, 82]);
        assert_eq!(grey_sum(&pixel, 1), 82);
    }

    #[test]
    fn a_factor_of_one_changes_nothing() {
        let mut changed = image();
        blend_from_level(&mut changed, 77, 1.0);
        blend_from_grey(&mut changed, 37, 1.0);
        assert_eq!(changed, image());
    }

    #[test]
    fn mirrored_rows_run_backwards() {
        let tables = [0.0, 1000.0, 2000.0].map(|base| std::array::from_fn(|byte| base + byte as f32));
        let (mut plain, mut mirrored) = (vec![0.0; image().len()], vec![0.0; image().len()]);
        write_interleaved(&image(), 37, &tables, false, &mut plain);
        write_interleaved(&image(), 37, &tables, true, &mut mirrored);
        assert_eq!(plain[..3], [0.0, 1000.0 + f32::from(image()[37]), 2000.0 + f32::from(image()[74])]);
        for (plain, mirrored) in plain.chunks_exact(37 * 3).zip(mirrored.chunks_exact(37 * 3)) {
            assert!(plain.chunks_exact(3).eq(mirrored.chunks_exact(3).rev()));
        }
    }

    #[test]
    fn every_path_gives_the_same_bytes() {
        let results: Vec<(Vec<u8>, u64)> = longtail_ops::available_simd_paths()
            .into_iter()
            .map(|path| {
                longtail_ops::set_simd_path(Some(path));
                let mut image = image();
                blend_from_level(&mut image, 0, 1.37);
                blend_from_grey(&mut image, 37, 0.61);
                blend_from_level(&mut image, 97, 1.21);
                let sum = grey_sum(&image, 37);
                (image, sum)
            })
            .collect();
        longtail_ops::set_simd_path(None);
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
