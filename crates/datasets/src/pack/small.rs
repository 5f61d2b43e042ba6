//! Pixels to a smaller JPEG.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use longtail_images::{ResampleAxis, resample_columns, resample_rows};

/// JPEG has two bytes for a side.
const LONGEST: usize = u16::MAX as usize;

/// The picture with its short side at `short`, as a JPEG; `None` where its short side is no longer than that, or its long side
/// would be too long for a JPEG. `orientation` is EXIF's, 1 to 8; another one than 1 is written along.
///
/// Sides are torchvision's (the long one is cut off, not rounded), the filter is Pillow's triangle with antialiasing.
///
/// # Shapes
/// - `rgb`: `height` rows of `stride` bytes, of which `3·width` are pixels
///
/// # Panics
/// If `rgb` is too short, or a side is 0.
pub fn small_jpeg(
    rgb: &[u8],
    stride: usize,
    [width, height]: [usize; 2],
    short: usize,
    quality: u8,
    orientation: u8,
) -> Option<Vec<u8>> {
    let least = width.min(height);
    if least <= short {
        return None;
    }
    let scaled = |side: usize| if side == least { short } else { short * side / least };
    let (new_width, new_height) = (scaled(width), scaled(height));
    if new_width.max(new_height) > LONGEST {
        return None;
    }
    let (mut rows, mut columns) = (ResampleAxis::default(), ResampleAxis::default());
    rows.set(width, 0.0, width as f64, new_width, 0, new_width);
    columns.set(height, 0.0, height as f64, new_height, 0, new_height);
    let mut between = vec![0; height * 3 * new_width];
    let mut planes = vec![0; new_height * 3 * new_width];
    resample_rows(rgb, stride, height, &rows, &mut between);
    resample_columns(&between, 3 * new_width, &columns, &mut planes);
    let mut pixels = vec![0; planes.len()];
    for (row, out) in planes.chunks_exact(3 * new_width).zip(pixels.chunks_exact_mut(3 * new_width)) {
        let (red, rest) = row.split_at(new_width);
        let (green, blue) = rest.split_at(new_width);
        for (((pixel, &red), &green), &blue) in out.chunks_exact_mut(3).zip(red).zip(green).zip(blue) {
            pixel.copy_from_slice(&[red, green, blue]);
        }
    }
    Some(jpeg(&pixels, [new_width as u16, new_height as u16], quality, orientation))
}

fn jpeg(pixels: &[u8], [width, height]: [u16; 2], quality: u8, orientation: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pixels.len() / 4);
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    if orientation != 1 {
        encoder.add_exif_metadata(&exif(orientation)).expect("26 bytes fit a segment");
    }
    encoder
        .encode(pixels, width, height, ColorType::Rgb)
        .expect("the pixels are as many as the sides say, and writing into memory does not fail");
    bytes
}

/// A TIFF of one tag, little endian: 0x0112 (orientation), a SHORT, one of them.
pub(crate) fn exif(orientation: u8) -> [u8; 26] {
    [b'I', b'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Width and height of a baseline JPEG: after its SOF0 marker.
    fn sides(jpeg: &[u8]) -> [usize; 2] {
        let at = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a frame");
        let side = |at: usize| usize::from(u16::from_be_bytes([jpeg[at], jpeg[at + 1]]));
        [side(at + 7), side(at + 5)]
    }

    #[test]
    fn sides_are_torchvisions_and_small_pictures_stay() {
        let rgb: Vec<u8> = (0..70 * 50 * 3).map(|i| (i * 31 % 251) as u8).collect();
        let small =
            |width: usize, height: usize, short: usize| small_jpeg(&rgb, width * 3, [width, height], short, 95, 1);
        assert_eq!(small(70, 50, 50), None);
        assert_eq!(small(50, 70, 64), None);
        // int(49 · 70 / 50) = 68, which rounding would make 69.
        assert_eq!(sides(&small(70, 50, 49).expect("smaller")), [68, 49]);
        assert_eq!(sides(&small(50, 70, 49).expect("smaller")), [49, 68]);
        assert_eq!(
            small_jpeg(&[0; 20_000 * 2 * 3], 20_000 * 3, [20_000, 2], 1, 95, 1).map(|jpeg| sides(&jpeg)),
            Some([10_000, 1])
        );
        assert_eq!(small_jpeg(&[0; 3 * 200_000 * 2], 200_000 * 3, [200_000, 2], 1, 95, 1), None, "100,000 is no side");
    }

    #[test]
    fn rows_may_have_a_stride_and_the_orientation_is_kept() {
        let wide: Vec<u8> = (0..64 * 40 * 3).map(|i| (i * 31 % 251) as u8).collect();
        let narrow: Vec<u8> = wide.chunks_exact(64 * 3).flat_map(|row| &row[..48 * 3]).copied().collect();
        let from_wide = small_jpeg(&wide, 64 * 3, [48, 40], 32, 95, 1).expect("smaller");
        assert_eq!(Some(&from_wide), small_jpeg(&narrow, 48 * 3, [48, 40], 32, 95, 1).as_ref());
        let turned = small_jpeg(&narrow, 48 * 3, [48, 40], 32, 95, 6).expect("smaller");
        assert!(turned.len() > from_wide.len());
        let at = turned.windows(6).position(|bytes| bytes == b"Exif\0\0").expect("the tag");
        assert_eq!(turned[at + 6..at + 32], exif(6));
    }
}
