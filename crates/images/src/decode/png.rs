//! PNG to RGB, as Pillow's `convert("RGB")`: palettes looked up, alpha dropped, 1 to 4 bits of grey stretched to 8, the high
//! byte of 16-bit colours and of 16-bit grey with alpha; plain 16-bit grey is cut off at 255, which is what Pillow does.

use std::io::{Cursor, Read};

use png::{BitDepth, ColorType, Decoder, DecodingError, Limits, Transformations};

use super::png_chunk::{Chunk, FIRST_CHUNK};
use super::{Header, PhotoProblem};

/// Decodes all of a PNG into `rgb`.
pub(super) fn decode(
    encoded: &[u8],
    header: &Header,
    rgb: &mut Vec<u8>,
    raw: &mut Vec<u8>,
) -> Result<(), PhotoProblem> {
    let picture_end = picture_end(encoded)?;
    // Behind the picture nothing matters, not even whether there is an end; the decoder wants one.
    let closed;
    let is_followed = Chunk::at(encoded, picture_end).and_then(|chunk| chunk.check()).is_ok();
    let encoded = if is_followed {
        encoded
    } else {
        closed = [&encoded[..picture_end], END].concat();
        &closed
    };
    let problem = |error: DecodingError| match error {
        DecodingError::IoError(_) => PhotoProblem::Truncated { format: "PNG", found: encoded.len() },
        DecodingError::LimitsExceeded => PhotoProblem::png("chunks larger than the image"),
        _ => damage(encoded),
    };
    let pixels = header.width as usize * header.height as usize;
    let mut decoder = Decoder::new_with_limits(Cursor::new(encoded), Limits { bytes: 8 * pixels + (1 << 26) });
    decoder.set_transformations(Transformations::EXPAND);
    // Without this the sum over the unpacked bytes is not looked at.
    decoder.ignore_checksums(false);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(problem)?;
    let Some(size) = reader.output_buffer_size().filter(|size| *size <= 8 * pixels) else {
        return Err(PhotoProblem::png("a second header"));
    };
    raw.resize(size, 0);
    let info = reader.next_frame(raw).map_err(problem)?;
    if (info.width, info.height) != (header.width, header.height) {
        return Err(PhotoProblem::png(format!("a first frame of {} x {}", info.width, info.height)));
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
            return Err(PhotoProblem::png("indexed colours without a palette"));
        }
    };
    for (pixel, stored) in out.zip(raw.chunks_exact(bytes)) {
        for (channel, place) in pixel.iter_mut().zip(places) {
            *channel = stored[place];
        }
    }
    Ok(())
}

/// The chunk that ends a PNG.
const END: &[u8] = b"\0\0\0\0IEND\xAE\x42\x60\x82";

/// Where the last chunk of the picture ends.
///
/// # Errors
/// One of them is cut or not what was written.
fn picture_end(encoded: &[u8]) -> Result<usize, PhotoProblem> {
    let (mut at, mut is_inside) = (FIRST_CHUNK, false);
    loop {
        if is_inside && !matches!(Chunk::kind_at(encoded, at), Ok(kind) if &kind == b"IDAT") {
            return Ok(at);
        }
        let chunk = Chunk::at(encoded, at)?;
        if &chunk.kind == b"IDAT" {
            chunk.check()?;
            is_inside = true;
        }
        at = chunk.end;
    }
}

/// What is wrong with a picture whose chunks are whole.
fn damage(encoded: &[u8]) -> PhotoProblem {
    let (mut at, mut packed) = (FIRST_CHUNK, Vec::new());
    while let Ok(chunk) = Chunk::at(encoded, at) {
        if &chunk.kind == b"IDAT" {
            packed.extend_from_slice(chunk.body);
        }
        at = chunk.end;
    }
    let (mut unpacked, mut buffer) = (flate2::read::ZlibDecoder::new(packed.as_slice()), vec![0; 1 << 16]);
    loop {
        match unpacked.read(&mut buffer) {
            Ok(0) => {
                return PhotoProblem::png(
                    "its chunks do not form an image: too few pixels, an unknown filter, or a chunk in the wrong place",
                );
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return PhotoProblem::png("its compressed pixels end too early");
            }
            Err(_) => return PhotoProblem::png("its compressed pixels are damaged, or their checksum is wrong"),
        }
    }
}
