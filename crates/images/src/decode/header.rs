//! Sizes and orientation from the first bytes, without any decoding.

use super::png_chunk::{Chunk, FIRST_CHUNK};
use super::problem::MOST_PIXELS;
use super::{Header, PhotoFormat, PhotoProblem, exif};

/// One marker segment of a JPEG: the marker's second byte, and the bytes after the length.
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    pub(super) body: &'a [u8],
    /// Where the segment ends.
    pub(super) end: usize,
}

/// The marker segment at or after `at`. Bytes that are no marker are passed over, as libjpeg does. Markers without a length
/// come with an empty body.
pub(super) fn segment(encoded: &[u8], at: usize) -> Result<Segment<'_>, PhotoProblem> {
    let ends = || PhotoProblem::jpeg_ends(encoded);
    let mut at = at;
    let marker = loop {
        match encoded.get(at..at + 2).ok_or_else(ends)? {
            [0xFF, 0x00] => at += 2,
            [0xFF, 0xFF] => at += 1,
            [0xFF, marker] => break *marker,
            _ => at += 1,
        }
    };
    at += 2;
    if matches!(marker, 0x01 | 0xD0..=0xD9) {
        return Ok(Segment { marker, body: &[], end: at });
    }
    let length = encoded.get(at..at + 2).map(|two| usize::from(two[0]) << 8 | usize::from(two[1])).ok_or_else(ends)?;
    if length < 2 {
        return Err(PhotoProblem::jpeg(format!("segment (marker {marker:#04x}) of length {length}")));
    }
    let body = encoded.get(at + 2..at + length).ok_or_else(ends)?;
    Ok(Segment { marker, body, end: at + length })
}

/// A JPEG's header: everything up to the first scan.
pub(super) fn jpeg(encoded: &[u8]) -> Result<Header, PhotoProblem> {
    let (mut size, mut from_exif, mut from_xmp) = (None, None, None);
    let mut at = 2;
    loop {
        let Segment { marker, body, end } = segment(encoded, at)?;
        at = end;
        match marker {
            0xC0..=0xC2 => {
                let [precision, tall, tall_low, wide, wide_low, components, ..] = *body else {
                    return Err(PhotoProblem::jpeg("frame header too short"));
                };
                if precision != 8 {
                    return Err(PhotoProblem::Unsupported { what: format!("a JPEG of {precision} bits per sample") });
                }
                if !matches!(components, 1 | 3 | 4) {
                    return Err(PhotoProblem::Unsupported { what: format!("a JPEG of {components} components") });
                }
                let (width, height) = (u16::from_be_bytes([wide, wide_low]), u16::from_be_bytes([tall, tall_low]));
                size = Some((u32::from(width), u32::from(height)));
            }
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                let how = match marker {
                    0xC3 => "lossless",
                    0xC9 | 0xCA => "arithmetic",
                    _ => "hierarchical or lossless",
                };
                return Err(PhotoProblem::Unsupported { what: format!("a JPEG with {how} coding") });
            }
            0xE1 => {
                if let Some(tiff) = body.strip_prefix(b"Exif\0\0") {
                    from_exif = from_exif.or_else(|| exif::orientation(tiff));
                } else if body.starts_with(b"http://ns.adobe.com/xap/1.0/\0") {
                    from_xmp = from_xmp.or_else(|| exif::xmp_orientation(body));
                }
            }
            0xDA => break,
            0xD9 => return Err(PhotoProblem::jpeg("it ends before its image data starts")),
            _ => {}
        }
    }
    let (width, height) = size.ok_or_else(|| PhotoProblem::jpeg("a scan before the frame header"))?;
    check_size(width, height, PhotoFormat::Jpeg)?;
    Ok(Header { width, height, format: PhotoFormat::Jpeg, orientation: from_exif.or(from_xmp).unwrap_or(1) })
}

/// Refuses a picture of nothing, and one of too many pixels before any memory is taken.
fn check_size(width: u32, height: u32, format: PhotoFormat) -> Result<(), PhotoProblem> {
    if width == 0 || height == 0 {
        let problem = "no rows or no columns";
        let is_jpeg = format == PhotoFormat::Jpeg;
        return Err(if is_jpeg { PhotoProblem::jpeg(problem) } else { PhotoProblem::png(problem) });
    }
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(PhotoProblem::TooLarge { width, height });
    }
    Ok(())
}

/// A PNG's header: the chunks up to the first one with pixels.
pub(super) fn png(encoded: &[u8]) -> Result<Header, PhotoProblem> {
    let damaged = |problem: &str| Err(PhotoProblem::png(problem));
    let first = Chunk::at(encoded, FIRST_CHUNK)?;
    let [w0, w1, w2, w3, h0, h1, h2, h3, depth, colour, packing, filter, interlacing] = *first.body else {
        return damaged("it does not start with its header");
    };
    if &first.kind != b"IHDR" {
        return damaged("it does not start with its header");
    }
    // The size before the sum: a header that asks for too much is called so.
    let (width, height) = (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
    check_size(width, height, PhotoFormat::Png)?;
    first.check()?;
    let is_known = match colour {
        0 => matches!(depth, 1 | 2 | 4 | 8 | 16),
        3 => matches!(depth, 1 | 2 | 4 | 8),
        2 | 4 | 6 => matches!(depth, 8 | 16),
        _ => false,
    };
    if !is_known {
        return Err(PhotoProblem::png(format!("colour type {colour} of a PNG cannot have {depth} bits per sample")));
    }
    if (packing, filter) != (0, 0) || interlacing > 1 {
        let problem = format!("unknown compression {packing}, filter {filter} or interlacing {interlacing}");
        return Err(PhotoProblem::png(problem));
    }
    let (mut orientation, mut has_palette) = (None, false);
    let mut at = first.end;
    loop {
        match &Chunk::kind_at(encoded, at)? {
            b"IDAT" => break,
            b"IEND" => return damaged("it ends before its image data starts"),
            _ => {}
        }
        let chunk = Chunk::at(encoded, at)?;
        chunk.check()?;
        match &chunk.kind {
            b"eXIf" => orientation = orientation.or_else(|| exif::orientation(chunk.body)),
            b"PLTE" if chunk.body.is_empty() || chunk.body.len() > 768 || !chunk.body.len().is_multiple_of(3) => {
                return Err(PhotoProblem::png(format!("a palette of {} bytes", chunk.body.len())));
            }
            b"PLTE" => has_palette = true,
            _ => {}
        }
        at = chunk.end;
    }
    if colour == 3 && !has_palette {
        return damaged("indexed colours without a palette");
    }
    Ok(Header { width, height, format: PhotoFormat::Png, orientation: orientation.unwrap_or(1) })
}
