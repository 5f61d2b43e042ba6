//! PNG to RGB, as Pillow's `convert("RGB")`: palettes looked up, alpha dropped, 1 to 4 bits of grey stretched to 8, the high
//! byte of 16-bit colours and of 16-bit grey with alpha; plain 16-bit grey is cut off at 255, which is what Pillow does.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, DecodingError, Limits, Transformations};

use super::{Header, PhotoProblem};

/// Decodes all of a PNG into `rgb`.
pub(super) fn decode(
    encoded: &[u8],
    header: &Header,
    rgb: &mut Vec<u8>,
    raw: &mut Vec<u8>,
) -> Result<(), PhotoProblem> {
    let problem = |error: DecodingError| match error {
        DecodingError::IoError(_) => PhotoProblem::Truncated { format: "PNG", found: encoded.len() },
        error => PhotoProblem::Damaged { format: "PNG", problem: error.to_string() },
    };
    let pixels = header.width as usize * header.height as usize;
    let mut decoder = Decoder::new_with_limits(Cursor::new(encoded), Limits { bytes: 8 * pixels + (1 << 26) });
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(problem)?;
    let Some(size) = reader.output_buffer_size().filter(|size| *size <= 8 * pixels) else {
        return Err(PhotoProblem::Damaged { format: "PNG", problem: "a second header".to_owned() });
    };
    raw.resize(size, 0);
    let info = reader.next_frame(raw).map_err(problem)?;
    if (info.width, info.height) != (header.width, header.height) {
        let problem = format!("a first frame of {} x {}", info.width, info.height);
        return Err(PhotoProblem::Damaged { format: "PNG", problem });
    }
    let raw = &raw[..info.buffer_size()];
    rgb.resize(3 * pixels, 0);
    let out = rgb.chunks_exact_mut(3);
    // Bytes of a pixel, and those of them that are red, green and blue.
    let (bytes, places): (usize, [usize; 3]) = match (info.color_type, info.bit_depth) {
        (ColorType::Grayscale, BitDepth::Sixteen) => {
            for (pixel, grey) in out.zip(raw.chunks_exact(2)) {
                pixel.fill(if grey[0] > 0 { 255 } else { grey[1] });
            }
            return Ok(());
        }
        (ColorType::Grayscale, _) => (1, [0; 3]),
        (ColorType::GrayscaleAlpha, BitDepth::Sixteen) => {
            // With a transparent grey among the plain ones, this is still plain grey to Pillow.
            if reader.info().color_type == ColorType::Grayscale {
                for (pixel, grey) in out.zip(raw.chunks_exact(4)) {
                    pixel.fill(if grey[0] > 0 { 255 } else { grey[1] });
                }
                return Ok(());
            }
            (4, [0; 3])
        }
        (ColorType::GrayscaleAlpha, _) => (2, [0; 3]),
        (ColorType::Rgb, BitDepth::Sixteen) => (6, [0, 2, 4]),
        (ColorType::Rgb, _) => (3, [0, 1, 2]),
        (ColorType::Rgba, BitDepth::Sixteen) => (8, [0, 2, 4]),
        (ColorType::Rgba, _) => (4, [0, 1, 2]),
        (ColorType::Indexed, _) => {
            return Err(PhotoProblem::Damaged { format: "PNG", problem: "no palette".to_owned() });
        }
    };
    for (pixel, stored) in out.zip(raw.chunks_exact(bytes)) {
        for (channel, place) in pixel.iter_mut().zip(places) {
            *channel = stored[place];
        }
    }
    Ok(())
}
