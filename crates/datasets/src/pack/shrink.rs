//! An encoded photo to a smaller one.

use std::sync::{Mutex, PoisonError};

use super::small::small_jpeg;
use longtail_images::decode::{DecodeScratch, PhotoProblem, Window, check, probe};

/// Makes photos smaller, on as many threads as call it.
pub struct Shrinker {
    short: usize,
    quality: u8,
    /// Buffers, as many as were ever in use at once.
    spare: Mutex<Vec<DecodeScratch>>,
}

impl Shrinker {
    /// The short side becomes `short`.
    pub fn new(short: u32, quality: u8) -> Self {
        Self { short: short as usize, quality, spare: Mutex::default() }
    }

    /// The smaller photo; `None` if it is small already, and its pixels can be decoded.
    ///
    /// # Errors
    /// What decoding finds wrong with it.
    pub fn shrink(&self, encoded: &[u8]) -> Result<Option<Vec<u8>>, PhotoProblem> {
        let header = probe(encoded)?;
        if header.width.min(header.height) as usize <= self.short {
            check(encoded)?;
            return Ok(None);
        }
        let spare = || self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = spare().pop().unwrap_or_default();
        let small = scratch.decode(encoded, &header, Window::whole(&header), 1).map(|pixels| {
            let sides = [pixels.width, pixels.height];
            small_jpeg(pixels.rgb, pixels.stride, sides, self.short, self.quality, header.orientation)
        });
        spare().push(scratch);
        small
    }
}

#[cfg(test)]
mod tests {
    use super::super::small::exif;
    use super::*;
    use jpeg_encoder::{ColorType, Encoder};

    #[test]
    fn a_photo_becomes_smaller_and_keeps_its_orientation_and_a_small_one_stays() {
        // A slope of grey: what is left of it after resizing and two compressions is the slope.
        let (width, height) = (160_usize, 120_usize);
        let pixels: Vec<u8> = (0..width * height).flat_map(|at| [(at % width) as u8; 3]).collect();
        let mut encoded = Vec::new();
        let mut encoder = Encoder::new(&mut encoded, 95);
        encoder.add_exif_metadata(&exif(8)).expect("short");
        encoder.encode(&pixels, width as u16, height as u16, ColorType::Rgb).expect("in memory");
        let shrinker = Shrinker::new(60, 95);
        let small = shrinker.shrink(&encoded).expect("sound").expect("larger than 60");
        assert!(small.len() < encoded.len());
        let header = probe(&small).expect("a JPEG");
        assert_eq!((header.width, header.height, header.orientation), (80, 60, 8));
        let mut scratch = DecodeScratch::default();
        let found = scratch.decode(&small, &header, Window::whole(&header), 1).expect("sound");
        for row in found.rgb.chunks_exact(found.stride) {
            for (x, pixel) in row.chunks_exact(3).take(found.width).enumerate() {
                let expected = 2.0 * x as f64 + 0.5;
                assert!(pixel.iter().all(|&value| (f64::from(value) - expected).abs() <= 3.0), "{x}: {pixel:?}");
            }
        }
        assert_eq!(shrinker.shrink(&small), Ok(None));
        assert!(shrinker.shrink(&small[..small.len() / 2]).is_err(), "what is stored as it is, is decoded too");
        assert!(shrinker.shrink(&encoded[..encoded.len() / 2]).is_err());
        assert_eq!(shrinker.shrink(b""), Err(PhotoProblem::Empty));
    }
}
