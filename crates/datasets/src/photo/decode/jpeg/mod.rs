//! JPEG to RGB, as Pillow on libjpeg-turbo gives it.
//!
//! Baseline files, grey or in three colours with the usual sampling, which is nearly all of the data sets', are decoded here: to
//! the byte as libjpeg does it, only where a window needs it, and at a half, a quarter or an eighth of the size where that is
//! wanted. Everything else (progressive, CMYK, several scans, rare samplings) goes through zune-jpeg, whole and at full size.
//!
//! Bits that are no code are refused. Like libjpeg, and so Pillow, the decoder lets pass a file that was cut and then closed by
//! an end marker: what is missing becomes grey.

mod entropy;
mod frame;
mod picture;
mod plan;
mod whole;

use super::header::segment;
use super::{Header, PhotoProblem, Pixels, Window};

/// Buffers of both decoders.
#[derive(Debug, Default)]
pub(super) struct JpegScratch {
    entropy: entropy::Entropy,
    planes: entropy::Planes,
    rows: picture::Rows,
    raw: Vec<u8>,
}

/// Decodes at least `window`, reduced by `reduce` where that can be.
pub(super) fn decode<'a>(
    encoded: &[u8],
    header: &Header,
    window: Window,
    reduce: u32,
    rgb: &'a mut Vec<u8>,
    scratch: &mut JpegScratch,
) -> Result<Pixels<'a>, PhotoProblem> {
    let scan = scan_start(encoded)?;
    // Pillow refuses whatever lacks the end marker, however much of the picture is there.
    if !encoded[scan..].windows(2).rev().any(|two| two == [0xFF, 0xD9]) {
        return Err(PhotoProblem::jpeg_ends(encoded));
    }
    let Some(frame) = frame::baseline(encoded, header)? else {
        whole::decode(encoded, header, rgb, &mut scratch.raw)?;
        let (width, height) = (header.width as usize, header.height as usize);
        return Ok(Pixels { rgb, stride: 3 * width, width, height, left: 0, top: 0, reduce: 1 });
    };
    let plan = plan::Plan::new(&frame, window, reduce);
    scratch.entropy.decode(&encoded[scan..], &frame, &plan, &mut scratch.planes)?;
    Ok(picture::paint(&frame, &plan, &scratch.planes, &mut scratch.rows, rgb))
}

/// Where the first scan's data begin. A thumbnail in the header has scans of its own, which are not looked at.
fn scan_start(encoded: &[u8]) -> Result<usize, PhotoProblem> {
    let mut at = 2;
    loop {
        let segment = segment(encoded, at)?;
        at = segment.end;
        if segment.marker == 0xDA {
            return Ok(at);
        }
    }
}
