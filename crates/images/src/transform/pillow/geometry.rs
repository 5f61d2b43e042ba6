//! `Image.transform(AFFINE)` and `Image.rotate`: nearest and bicubic resampling, grey where the image does not reach.

use super::RgbImage;

/// The colour of pixels that come from outside the image.
pub const FILL: u8 = 128;

/// The matrix of `Image.rotate(degrees)` about the centre, counter-clockwise.
pub fn rotation(degrees: f64, width: usize, height: usize) -> [f64; 6] {
    let angle = -(degrees % 360.0).to_radians();
    // Pillow rounds to 15 decimal places; printing and parsing round correctly, as Python's round does.
    let rounded = |value: f64| format!("{value:.15}").parse::<f64>().expect("a printed number parses");
    let (cos, sin) = (rounded(angle.cos()), rounded(angle.sin()));
    let minus_sin = rounded(-angle.sin());
    let (x, y) = (width as f64 / 2.0, height as f64 / 2.0);
    [cos, sin, cos * -x + sin * -y + 0.0 + x, minus_sin, cos, minus_sin * -x + cos * -y + 0.0 + y]
}

/// The pixel at `(x, y)` becomes that at `(a·x + b·y + c, d·x + e·y + f)`, the nearest one, or [`FILL`].
///
/// Images must be smaller than 32,768 on each side (16.16 fixed point).
pub fn affine_nearest(image: &mut RgbImage, matrix: [f64; 6], spare: &mut RgbImage) {
    let [a, b, c, d, e, f] = matrix;
    spare.resize(image.width, image.height);
    spare.pixels.fill(FILL);
    if b == 0.0 && d == 0.0 {
        scale(image, [a, c, e, f], spare);
    } else {
        let fixed = |value: f64| (value * 65_536.0 + 0.5).floor() as i64;
        let (step_x, step_y) = (fixed(a), fixed(d));
        let mut row_x = fixed(c + a * 0.5 + b * 0.5);
        let mut row_y = fixed(f + d * 0.5 + e * 0.5);
        for row in spare.pixels.chunks_exact_mut(image.width * 3) {
            let (mut x, mut y) = (row_x, row_y);
            for pixel in row.chunks_exact_mut(3) {
                copy(image, x >> 16, y >> 16, pixel);
                x += step_x;
                y += step_y;
            }
            row_x += fixed(b);
            row_y += fixed(e);
        }
    }
    std::mem::swap(image, spare);
}

/// Without shear Pillow adds up coordinates in f64 instead.
fn scale(image: &RgbImage, [a, c, e, f]: [f64; 4], out: &mut RgbImage) {
    let position = |value: f64| if value < 0.0 { -1 } else { value as i64 };
    let mut y = f + e * 0.5;
    for row in out.pixels.chunks_exact_mut(image.width * 3) {
        let mut x = c + a * 0.5;
        for pixel in row.chunks_exact_mut(3) {
            copy(image, position(x), position(y), pixel);
            x += a;
        }
        y += e;
    }
}

fn copy(image: &RgbImage, x: i64, y: i64, pixel: &mut [u8]) {
    if (0..image.width as i64).contains(&x) && (0..image.height as i64).contains(&y) {
        pixel.copy_from_slice(&image.pixel(x as usize, y as usize));
    }
}

/// As [`affine_nearest`], with Pillow's bicubic kernel (a = −1) over the 4×4 pixels around the point, in f64.
pub fn affine_bicubic(image: &mut RgbImage, matrix: [f64; 6], spare: &mut RgbImage) {
    let [a, b, c, d, e, f] = matrix;
    spare.resize(image.width, image.height);
    let (width, height) = (image.width as f64, image.height as f64);
    let inside = |value: i64, size: usize| value.clamp(0, size as i64 - 1) as usize;
    for y in 0..image.height {
        for x in 0..image.width {
            let (centre_x, centre_y) = (x as f64 + 0.5, y as f64 + 0.5);
            let from_x = a * centre_x + b * centre_y + c;
            let from_y = d * centre_x + e * centre_y + f;
            let out = &mut spare.pixels[(y * image.width + x) * 3..][..3];
            if !(from_x >= 0.0 && from_x < width && from_y >= 0.0 && from_y < height) {
                out.fill(FILL);
                continue;
            }
            let (left, top) = ((from_x - 0.5).floor(), (from_y - 0.5).floor());
            let (dx, dy) = (from_x - 0.5 - left, from_y - 0.5 - top);
            let columns: [usize; 4] = std::array::from_fn(|i| inside(left as i64 - 1 + i as i64, image.width) * 3);
            let rows: [usize; 4] =
                std::array::from_fn(|i| inside(top as i64 - 1 + i as i64, image.height) * image.width * 3);
            for (channel, value) in out.iter_mut().enumerate() {
                let along =
                    rows.map(|row| cubic(columns.map(|column| f64::from(image.pixels[row + column + channel])), dx));
                *value = cubic(along, dy) as u8;
            }
        }
    }
    std::mem::swap(image, spare);
}

/// The cubic through four neighbours at distance `t` after the second.
fn cubic([v1, v2, v3, v4]: [f64; 4], t: f64) -> f64 {
    let slope = -v1 + v3;
    let square = 2.0 * (v1 - v2) + v3 - v4;
    let cube = -v1 + v2 - v3 + v4;
    v2 + t * (slope + t * (square + t * cube))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> RgbImage {
        RgbImage { width: 3, height: 2, pixels: (0..18).map(|i| i * 10).collect() }
    }

    #[test]
    fn the_identity_changes_nothing() {
        for op in [affine_nearest, affine_bicubic] {
            let mut image = ramp();
            op(&mut image, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0], &mut RgbImage::default());
            assert_eq!(image, ramp());
        }
    }

    #[test]
    fn a_shift_brings_grey_in() {
        let mut image = ramp();
        affine_nearest(&mut image, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0], &mut RgbImage::default());
        assert_eq!(image.pixels[..9], [30, 40, 50, 60, 70, 80, 128, 128, 128]);
    }

    #[test]
    fn a_half_turn_reverses() {
        let mut image = ramp();
        let matrix = rotation(180.0, 3, 2);
        affine_nearest(&mut image, matrix, &mut RgbImage::default());
        assert_eq!(image.pixels[..3], [150, 160, 170]);
        assert_eq!(image.pixels[15..], [0, 10, 20]);
    }
}
