//! Encoded bytes to RGB pixels, as Pillow's `Image.open(f).convert("RGB")` gives them.
//!
//! The format is found in the bytes, not in the name. Truncated and damaged files are refused.

mod exif;
mod header;
mod jpeg;
mod png;
mod png_chunk;
mod problem;

use longtail_artifact::class_folders::{JPEG_START, PNG_START};

pub use problem::PhotoProblem;

/// How a photo is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhotoFormat {
    /// JPEG: baseline, extended or progressive; grey, colour, CMYK or YCCK.
    Jpeg,
    /// PNG: every colour type and depth.
    Png,
}

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Pixels in a row as stored, before orientation.
    pub width: u32,
    /// Rows as stored.
    pub height: u32,
    /// JPEG or PNG.
    pub format: PhotoFormat,
    /// EXIF orientation, 1 to 8; 1 where the file says nothing or nonsense.
    pub orientation: u8,
}

/// A rectangle in stored pixels, inside the image and not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Window {
    /// All of an image.
    pub fn whole(header: &Header) -> Self {
        Self { left: 0, top: 0, width: header.width, height: header.height }
    }
}

/// Decoded pixels, which lie in the scratch.
#[derive(Debug, Clone, Copy)]
pub struct Pixels<'a> {
    /// Rows of `stride` bytes, of which the first `3·width` are interleaved RGB.
    pub rgb: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Column of the first pixel in the (reduced) image.
    pub left: usize,
    /// Row of the first pixel in the (reduced) image.
    pub top: usize,
    /// By what the image was reduced: 1, 2, 4 or 8.
    pub reduce: u32,
}

/// Buffers of the decoders, to be used again for the next photo.
#[derive(Debug, Default)]
pub struct DecodeScratch {
    rgb: Vec<u8>,
    jpeg: jpeg::JpegScratch,
    /// What a PNG holds.
    raw: Vec<u8>,
}

/// Reads the header alone.
///
/// # Errors
/// Bytes of another format, a header that is cut off or damaged, more than 100 million pixels.
pub fn probe(encoded: &[u8]) -> Result<Header, PhotoProblem> {
    if encoded.starts_with(JPEG_START) {
        header::jpeg(encoded)
    } else if encoded.starts_with(PNG_START) {
        header::png(encoded)
    } else {
        Err(PhotoProblem::unknown(encoded))
    }
}

/// Decodes all of a photo and forgets the pixels.
///
/// # Errors
/// Whatever [`probe`] or [`DecodeScratch::decode`] would say for any window.
pub fn check(encoded: &[u8]) -> Result<(), PhotoProblem> {
    let header = probe(encoded)?;
    DecodeScratch::default().decode(encoded, &header, Window::whole(&header), 1).map(|_| ())
}

impl DecodeScratch {
    /// RGB pixels of at least `window`, reduced by `reduce` where that can be: JPEGs. Of a PNG the answer is all of the image with
    /// `reduce` 1. Damage beyond the window may not be seen.
    ///
    /// # Shapes
    /// [`Pixels::rgb`]: `(H, W, 3)` u8 with a row stride.
    ///
    /// # Errors
    /// Truncated or damaged bytes, and files of a sort that is not read.
    ///
    /// # Panics
    /// If the window is empty or leaves the image, or `reduce` is not 1, 2, 4 or 8.
    pub fn decode(
        &mut self,
        encoded: &[u8],
        header: &Header,
        window: Window,
        reduce: u32,
    ) -> Result<Pixels<'_>, PhotoProblem> {
        let inside =
            |first: u32, count: u32, all: u32| count > 0 && first.checked_add(count).is_some_and(|end| end <= all);
        assert!(inside(window.left, window.width, header.width), "a window inside the image");
        assert!(inside(window.top, window.height, header.height), "a window inside the image");
        assert!(matches!(reduce, 1 | 2 | 4 | 8), "reduced by 1, 2, 4 or 8");
        if header.format == PhotoFormat::Jpeg {
            return jpeg::decode(encoded, header, window, reduce, &mut self.rgb, &mut self.jpeg);
        }
        png::decode(encoded, header, &mut self.rgb, &mut self.raw)?;
        let (width, height) = (header.width as usize, header.height as usize);
        Ok(Pixels { rgb: &self.rgb, stride: 3 * width, width, height, left: 0, top: 0, reduce: 1 })
    }
}
