//! EXIF orientation: turning pixels upright.

use crate::decode::Pixels;

/// Copies all of `pixels` into `out`, upright.
///
/// # Returns
/// Width and height of what stands in `out`, `(H, W, 3)` without gaps.
///
/// # Panics
/// If `orientation` is not 1 to 8.
///
/// # Source
/// CIPA DC-008 (Exif 2.32), tag 0x0112; Pillow's `ImageOps.exif_transpose`.
pub(super) fn upright(pixels: &Pixels<'_>, orientation: u8, out: &mut Vec<u8>) -> (usize, usize) {
    assert!((1..=8).contains(&orientation), "an orientation");
    let (w, h) = (pixels.width, pixels.height);
    let transposed = orientation >= 5;
    let (width, height) = if transposed { (h, w) } else { (w, h) };
    // Where the rows and columns of the stored image run backwards, seen from the upright one.
    let x_backwards = matches!(orientation, 2 | 3 | 7 | 8);
    let y_backwards = matches!(orientation, 3 | 4 | 6 | 7);
    out.clear();
    out.reserve(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            let (column, row) = if transposed { (y, x) } else { (x, y) };
            let column = if x_backwards { w - 1 - column } else { column };
            let row = if y_backwards { h - 1 - row } else { row };
            let at = row * pixels.stride + 3 * column;
            out.extend_from_slice(&pixels.rgb[at..at + 3]);
        }
    }
    (width, height)
}
