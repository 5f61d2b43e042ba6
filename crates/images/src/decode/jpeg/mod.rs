//! JPEG to RGB, as Pillow on libjpeg-turbo gives it, to the byte.
//!
//! Baseline, extended sequential and progressive files of 8 bits with Huffman codes: grey, in three colours or four, in any sampling whose
//! factors go into each other. They are decoded only where a window needs it, and at a half, a quarter or an eighth of the size where
//! that is wanted. A file of one scan is decoded row by row; of several, all coefficients are gathered first.
//!
//! Bits that are no code are refused, and so are files whose scans do not bring every coefficient. Like libjpeg, and so Pillow, the
//! decoder lets pass a file that was cut and then closed by an end marker: what is missing becomes grey. Without an end marker the
//! picture must be whole and something must follow it, such as what a phone appends.

mod entropy;
mod frame;
mod kernel;
mod picture;
mod plan;
mod planes;
mod stored;
mod stretches;
mod usual;

use super::{Header, PhotoProblem, Pixels, Window};

/// Buffers.
#[derive(Debug, Default)]
pub(super) struct JpegScratch {
    stretches: stretches::Stretches,
    entropy: entropy::Entropy,
    stored: stored::Stored,
    planes: planes::Planes,
    rows: picture::Rows,
}

/// Decodes at least `window`, reduced by `reduce`.
pub(super) fn decode<'a>(
    encoded: &[u8],
    header: &Header,
    window: Window,
    reduce: u32,
    rgb: &'a mut Vec<u8>,
    scratch: &mut JpegScratch,
) -> Result<Pixels<'a>, PhotoProblem> {
    let JpegScratch { stretches, entropy, stored, planes, rows } = scratch;
    let (mut segments, scan) = frame::Segments::open(encoded, header)?;
    let plan = plan::Plan::new(&segments.frame, window, reduce);
    if segments.frame.is_progressive || !scan.is_of_all(&segments.frame) {
        stored.read(encoded, &mut segments, scan, stretches)?;
        stored.transform(&segments.frame, &plan, planes);
    } else {
        stretches.read(encoded, scan.data, segments.tables.restart > 0)?;
        let is_closed = has_end(encoded, scan.data);
        let of = (&segments.frame, &segments.tables, &scan);
        let is_whole = entropy.decode(stretches, of, &plan, planes, !is_closed)?;
        if !is_closed && !is_whole {
            return Err(PhotoProblem::jpeg_ends(encoded));
        }
    }
    Ok(picture::paint(&segments.frame, &plan, planes, rows, rgb))
}

/// Whether an end marker stands somewhere behind `at`. A thumbnail in the header has its own, which is not looked at.
fn has_end(encoded: &[u8], at: usize) -> bool {
    encoded[at..].windows(2).rev().any(|two| two == [0xFF, 0xD9])
}

fn no_code() -> PhotoProblem {
    PhotoProblem::jpeg("bits that are not a valid code: the image data were changed")
}
