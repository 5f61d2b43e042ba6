//! The JPEGs that are not decoded here, through zune-jpeg: always the whole image at full size.
//!
//! Interior pixels are within 4 of Pillow's on the test images; where chroma is widened, the last row and column of images with
//! padded blocks may differ by up to 24. Damage inside the compressed data is refused where the decoder sees it, in its strict
//! mode.

use std::panic::{AssertUnwindSafe, catch_unwind};

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::super::{Header, PhotoProblem};

/// Decodes all of a JPEG into `rgb`.
pub(super) fn decode(
    encoded: &[u8],
    header: &Header,
    rgb: &mut Vec<u8>,
    raw: &mut Vec<u8>,
) -> Result<(), PhotoProblem> {
    // The decoder has panicked on damaged files before (its issues 262, 331, 362).
    catch_unwind(AssertUnwindSafe(|| decode_whole(encoded, header, rgb, raw)))
        .unwrap_or_else(|_| Err(PhotoProblem::jpeg("the decoder gave up on it")))
}

fn decode_whole(encoded: &[u8], header: &Header, rgb: &mut Vec<u8>, raw: &mut Vec<u8>) -> Result<(), PhotoProblem> {
    let damaged = |error: zune_jpeg::errors::DecodeErrors| PhotoProblem::jpeg(error.to_string());
    let options = DecoderOptions::default()
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(encoded), options);
    decoder.decode_headers().map_err(damaged)?;
    let pixels = header.width as usize * header.height as usize;
    if decoder.dimensions() != Some((header.width as usize, header.height as usize)) {
        return Err(PhotoProblem::jpeg("two frame headers"));
    }
    // Cleared: a file that was cut and then closed by an end marker passes with rows that the decoder leaves as they are, and
    // those must not be the previous photo's.
    rgb.clear();
    rgb.resize(3 * pixels, 0);
    match decoder.input_colorspace() {
        // As stored, to convert them as Pillow does.
        Some(four @ ColorSpace::CMYK) => {
            decoder.set_options(options.jpeg_set_out_colorspace(four));
            raw.clear();
            raw.resize(4 * pixels, 0);
            decoder.decode_into(raw).map_err(damaged)?;
            for (pixel, stored) in rgb.chunks_exact_mut(3).zip(raw.chunks_exact(4)) {
                for (channel, ink) in pixel.iter_mut().zip(stored) {
                    *channel = through_key(255 - ink, stored[3]);
                }
            }
        }
        _ => decoder.decode_into(rgb).map_err(damaged)?,
    }
    Ok(())
}

/// One channel from its ink and the light that black lets through: `light − ink·light/255`, Pillow's `cmyk2rgb`.
fn through_key(ink: u8, light: u8) -> u8 {
    let product = u32::from(ink) * u32::from(light) + 128;
    light.saturating_sub(((product + (product >> 8)) >> 8) as u8)
}
