//! YCbCr to RGB as libjpeg rounds it.

use longtail_ops::{Kernel, dispatch};

/// A row of pixels: `R = Y + 1.402·Cr`, `G = Y − 0.34414·Cb − 0.71414·Cr`, `B = Y + 1.772·Cb` with `Cb`, `Cr` around 128, each
/// product (both together in `G`) rounded to nearest from 16 bits after the point.
///
/// # Shapes
/// `luma`, `blue`, `red`: `(W,)`  - `out`: `(W, 3)`
///
/// # Source
/// `ycc_rgb_convert` of libjpeg's `jdcolor.c`.
pub fn ycc_row_to_rgb(luma: &[u8], blue: &[u8], red: &[u8], out: &mut [u8]) {
    assert!(luma.len() == blue.len() && luma.len() == red.len() && out.len() == 3 * luma.len(), "rows of one length");
    dispatch(Row { luma, blue, red, out });
}

/// One pixel of [`ycc_row_to_rgb`].
#[inline(always)]
fn ycc_row_to_rgb_at(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let (luma, blue, red) = (i16::from(luma), i16::from(blue) - 128, i16::from(red) - 128);
    // The high half of a product of 16 bits, rounded: one instruction and a shift. 26345 = 0.402·2^16, −14942 = −0.228·2^16.
    let rounded = |twice: i16, factor: i32| ((((i32::from(twice) * factor) >> 16) as i16) + 1) >> 1;
    let r = luma + red + rounded(2 * red, 26345);
    let b = luma + 2 * blue + rounded(2 * blue, -14942);
    // −0.71414 = 0.28586 − 1.
    let g = luma - red + ((i32::from(blue) * -22554 + i32::from(red) * 18734 + 32768) >> 16) as i16;
    [r, g, b].map(|channel| channel.clamp(0, 255) as u8)
}

struct Row<'a> {
    luma: &'a [u8],
    blue: &'a [u8],
    red: &'a [u8],
    out: &'a mut [u8],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        const CHUNK: usize = 32;
        let whole = self.luma.len() / CHUNK * CHUNK;
        let chunks = self.luma.chunks_exact(CHUNK).zip(self.blue.chunks_exact(CHUNK)).zip(self.red.chunks_exact(CHUNK));
        for (out, ((luma, blue), red)) in self.out.chunks_exact_mut(3 * CHUNK).zip(chunks) {
            let (mut r, mut g, mut b) = ([0; CHUNK], [0; CHUNK], [0; CHUNK]);
            for at in 0..CHUNK {
                [r[at], g[at], b[at]] = ycc_row_to_rgb_at(luma[at], blue[at], red[at]);
            }
            for (at, pixel) in out.chunks_exact_mut(3).enumerate() {
                (pixel[0], pixel[1], pixel[2]) = (r[at], g[at], b[at]);
            }
        }
        for (at, pixel) in self.out[3 * whole..].chunks_exact_mut(3).enumerate() {
            let at = whole + at;
            pixel.copy_from_slice(&ycc_row_to_rgb_at(self.luma[at], self.blue[at], self.red[at]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_is_libjpegs() {
        // libjpeg's tables: a product with 16 bits after the point, one half added, shifted.
        let part = |factor: i32, value: i32| (factor * value + 32768) >> 16;
        let (mut blue, mut red, mut out) = ([0; 256], [0; 256], [0; 768]);
        for luma in [0, 1, 77, 128, 200, 254, 255] {
            for cr in 0..=255u8 {
                blue.iter_mut().enumerate().for_each(|(at, blue)| *blue = at as u8);
                red.fill(cr);
                ycc_row_to_rgb(&[luma; 256], &blue, &red, &mut out);
                for (cb, pixel) in out.chunks_exact(3).enumerate() {
                    let (y, cb, cr) = (i32::from(luma), cb as i32 - 128, i32::from(cr) - 128);
                    let expected =
                        [y + part(91881, cr), y + ((-22554 * cb - 46802 * cr + 32768) >> 16), y + part(116130, cb)];
                    assert_eq!(pixel, expected.map(|channel| channel.clamp(0, 255) as u8), "{luma} {cb} {cr}");
                }
            }
        }
    }
}
