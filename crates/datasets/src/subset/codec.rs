//! The stream: every value of every image in order, each coded as its distance from what its neighbours suggest.
//!
//! Channels of a pixel are coded green first, then red and blue, each knowing those before it. All arithmetic is integer
//! or plain `f32` and `f64` without the mathematical library, so a stream is the same on every machine.

use super::image::{ABOVE, SIDE, State};
use super::range_coder::{Decoder, Encoder};

/// Why a stream is not the images that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubsetError {
    /// The stream ends before the images do.
    #[error("the compressed images end early: image {image} of {images} is not whole")]
    Truncated {
        /// The first image that is not whole.
        image: usize,
        /// How many there should be.
        images: usize,
    },
    /// The images end before the stream does.
    #[error("{left} bytes follow the last compressed image")]
    Trailing {
        /// Bytes too many.
        left: usize,
    },
    /// The images cannot be in memory, or are not of a kind that this codec knows.
    #[error("{images} images of {height}x{width}x{channels} values cannot be decompressed")]
    Shape {
        /// How many images.
        images: usize,
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
        /// Values of a pixel; 1 and 3 are known.
        channels: usize,
    },
}

/// Pixels that an image may have, its border among them.
const MOST_PIXELS: usize = 1 << 22;

/// How many values one image has, where the codec takes such images: small ones, with their borders too.
fn image_len((height, width, channels): (usize, usize, usize)) -> Option<usize> {
    let len = height.checked_mul(width)?.checked_mul(channels)?;
    let bordered = width.checked_add(2 * SIDE)?.checked_mul(height.checked_add(ABOVE)?)?;
    (matches!(channels, 1 | 3) && len > 0 && bordered <= MOST_PIXELS).then_some(len)
}

/// Compresses `images`, u8 `(N, H, W, C)`, without loss; `shape` is `(H, W, C)`.
///
/// # Panics
/// Where `images` is not a whole number of images, or the shape is not one that [`decompress`] takes.
pub fn compress(images: &[u8], shape: (usize, usize, usize)) -> Vec<u8> {
    if images.is_empty() {
        return Vec::new();
    }
    let len = image_len(shape).expect("1 or 3 channels, and images of at most 2^22 pixels");
    assert_eq!(images.len() % len, 0, "a whole number of images");
    let mut state = State::new(shape);
    let mut encoder = Encoder::new();
    let mut image = vec![0; len];
    for from in images.chunks_exact(len) {
        image.copy_from_slice(from);
        state.image(&mut encoder, &mut image);
    }
    encoder.finish()
}

/// The `images` images, u8 `(N, H, W, C)`, that [`compress`] made `bytes` of; `shape` is `(H, W, C)`.
///
/// A damaged stream gives other pixels or an error; there is no checksum.
///
/// # Errors
/// [`SubsetError::Shape`] for channels other than 1 and 3, empty images or too many, [`SubsetError::Truncated`] and
/// [`SubsetError::Trailing`] for a stream that is not as long as the images.
pub fn decompress(bytes: &[u8], images: usize, shape: (usize, usize, usize)) -> Result<Vec<u8>, SubsetError> {
    let (height, width, channels) = shape;
    let bad = || SubsetError::Shape { images, height, width, channels };
    if images == 0 {
        return if bytes.is_empty() { Ok(Vec::new()) } else { Err(SubsetError::Trailing { left: bytes.len() }) };
    }
    let len = image_len(shape).ok_or_else(bad)?;
    len.checked_mul(images).ok_or_else(bad)?;
    let mut state = State::new(shape);
    let mut decoder = Decoder::new(bytes);
    // Grown image by image: what was announced may be far more than the stream holds.
    let mut out = Vec::new();
    for image in 0..images {
        out.try_reserve(len).map_err(|_| bad())?;
        out.resize((image + 1) * len, 0);
        state.image(&mut decoder, &mut out[image * len..]);
        if decoder.missing() > 0 {
            return Err(SubsetError::Truncated { image, images });
        }
    }
    match decoder.left() {
        0 => Ok(out),
        left => Err(SubsetError::Trailing { left }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that look random and are the same everywhere.
    fn noise(len: usize, mut state: u32) -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    /// Slopes with a little noise on them, as in a photograph; a different slope in each image.
    fn slopes(images: usize, (height, width, channels): (usize, usize, usize)) -> Vec<u8> {
        let grain = noise(images * height * width * channels, 7);
        let mut out = Vec::new();
        for image in 0..images {
            for y in 0..height {
                for x in 0..width {
                    for c in 0..channels {
                        let slope = 3 * y * (image % 4 + 1) / 2 + 5 * x * (image % 3) / 2 + 20 * c;
                        out.push((slope + usize::from(grain[out.len()] >> 5)).min(255) as u8);
                    }
                }
            }
        }
        out
    }

    fn comes_back(pixels: &[u8], shape: (usize, usize, usize)) -> Vec<u8> {
        let images = pixels.len() / (shape.0 * shape.1 * shape.2);
        let bytes = compress(pixels, shape);
        assert!(decompress(&bytes, images, shape) == Ok(pixels.to_vec()), "{shape:?}");
        bytes
    }

    #[test]
    fn every_kind_of_image_comes_back() {
        for shape in [(32, 32, 3), (28, 28, 1), (1, 1, 3), (1, 1, 1), (1, 9, 3), (9, 1, 3), (2, 2, 1), (3, 50, 1)] {
            let len = shape.0 * shape.1 * shape.2;
            comes_back(&noise(len * 5, 1), shape);
            comes_back(&slopes(5, shape), shape);
            for value in [0, 1, 127, 128, 254, 255] {
                comes_back(&vec![value; len * 3], shape);
            }
            let extremes: Vec<u8> = noise(len * 5, 2).iter().map(|&v| if v < 128 { 0 } else { 255 }).collect();
            comes_back(&extremes, shape);
            let mut mixed = vec![255; len];
            mixed.extend(noise(len, 3));
            mixed.extend(vec![0; len]);
            mixed.extend(slopes(2, shape));
            comes_back(&mixed, shape);
        }
    }

    #[test]
    fn what_can_be_predicted_takes_few_bits() {
        let shape = (32, 32, 3);
        let values = 20 * 32 * 32 * 3;
        assert!(comes_back(&vec![77; values], shape).len() < values / 200);
        // Eight levels of noise are three bits a value.
        assert!(comes_back(&slopes(20, shape), shape).len() < values * 35 / 80);
        assert!(comes_back(&noise(values, 5), shape).len() < values * 104 / 100);
    }

    #[test]
    fn no_images_are_no_bytes() {
        assert!(compress(&[], (32, 32, 3)).is_empty());
        assert_eq!(decompress(&[], 0, (32, 32, 3)), Ok(vec![]));
        assert_eq!(decompress(&[1], 0, (32, 32, 3)), Err(SubsetError::Trailing { left: 1 }));
    }

    #[test]
    fn a_damaged_stream_is_an_error_or_other_pixels() {
        let shape = (8, 8, 3);
        let pixels = slopes(6, shape);
        let whole = compress(&pixels, shape);
        for cut in (0..whole.len()).step_by(7) {
            let end = decompress(&whole[..cut], 6, shape);
            assert!(matches!(end, Err(SubsetError::Truncated { images: 6, .. })), "{cut}: {end:?}");
        }
        for at in (0..whole.len()).step_by(5) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            if let Ok(other) = decompress(&flipped, 6, shape) {
                assert_eq!(other.len(), pixels.len());
                assert!(other != pixels, "{at}");
            }
        }
        for seed in 0..20 {
            let _ = decompress(&noise(300, seed), 6, shape);
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(decompress(&longer, 6, shape), Err(SubsetError::Trailing { left: 1 }));
        assert!(matches!(decompress(&whole, 5, shape), Err(SubsetError::Trailing { .. })));
    }

    #[test]
    fn counts_and_shapes_that_cannot_be_are_refused_at_once() {
        let whole = compress(&slopes(1, (4, 4, 3)), (4, 4, 3));
        assert!(matches!(decompress(&whole, 1 << 40, (4, 4, 3)), Err(SubsetError::Truncated { .. })));
        for (images, shape) in [
            (usize::MAX, (4, 4, 3)),
            (1, (usize::MAX, 4, 3)),
            (1, (4, usize::MAX, 1)),
            (1, (1 << 22, 1, 1)),
            (1, (0, 4, 3)),
            (1, (4, 4, 2)),
            (1, (4, 4, 0)),
        ] {
            assert!(matches!(decompress(&whole, images, shape), Err(SubsetError::Shape { .. })), "{shape:?}");
        }
    }

    #[test]
    fn the_format_stays_as_it_is() {
        let hash = |shape| blake3::hash(&compress(&slopes(40, shape), shape)).to_hex()[..16].to_owned();
        assert_eq!(hash((32, 32, 3)), "0959a9b6469a4f5c");
        assert_eq!(hash((28, 28, 1)), "8a2e5555345e8128");
    }
}
