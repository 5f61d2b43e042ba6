//! Pooling on channels-last activations.

use rayon::prelude::*;

use crate::Real;

/// `y[n, c] = mean over pixels of x[n, :, c]`. Pixels are summed in their order.
///
/// # Shapes
/// - `x`: `(batch, pixels, channels)` - `y`: `(batch, channels)`, overwritten
pub fn global_avg_pool<T: Real>(batch: usize, pixels: usize, channels: usize, x: &[T], y: &mut [T]) {
    check("global_avg_pool", x.len(), batch * pixels * channels, y.len(), batch * channels);
    let scale = T::ONE / T::from_usize(pixels.max(1));
    y.par_chunks_mut(channels.max(1)).zip(x.par_chunks((pixels * channels).max(1))).for_each(|(y, x)| {
        y.fill(T::ZERO);
        for row in x.chunks_exact(channels) {
            for (y, &x) in y.iter_mut().zip(row) {
                *y += x;
            }
        }
        for y in y {
            *y *= scale;
        }
    });
}

/// The adjoint of [`global_avg_pool`]. Overwrites `dx`.
pub fn global_avg_pool_backward<T: Real>(batch: usize, pixels: usize, channels: usize, dy: &[T], dx: &mut [T]) {
    check("global_avg_pool_backward", dx.len(), batch * pixels * channels, dy.len(), batch * channels);
    let scale = T::ONE / T::from_usize(pixels.max(1));
    dx.par_chunks_mut((pixels * channels).max(1)).zip(dy.par_chunks(channels.max(1))).for_each(|(dx, dy)| {
        for row in dx.chunks_exact_mut(channels) {
            for (dx, &dy) in row.iter_mut().zip(dy) {
                *dx = dy * scale;
            }
        }
    });
}

/// Sizes of a pooling with windows. Windows are square; a border of `padding` surrounds the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolShape {
    /// Number of images in the batch.
    pub batch: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Number of channels.
    pub channels: usize,
    /// Rows and columns of a window; at most 16.
    pub kernel: usize,
    /// Steps between windows.
    pub stride: usize,
    /// Border on each side; at most half a window, so that every window holds a pixel.
    pub padding: usize,
}

impl PoolShape {
    /// Rows of the output.
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Columns of the output.
    pub fn out_width(&self) -> usize {
        (self.width + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Elements of the input.
    pub fn input_len(&self) -> usize {
        self.batch * self.height * self.width * self.channels
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_height() * self.out_width() * self.channels
    }

    fn check(&self, what: &str, input: usize, output: usize) {
        let possible = self.channels > 0
            && (1..=16).contains(&self.kernel)
            && self.stride > 0
            && 2 * self.padding <= self.kernel
            && self.height.min(self.width) + 2 * self.padding >= self.kernel;
        assert!(possible, "{what}: impossible sizes {self:?}");
        check(what, input, self.input_len(), output, self.output_len());
    }

    /// Elements of one image of the input and of the output.
    fn image_lens(&self) -> (usize, usize) {
        (self.height * self.width * self.channels, self.out_height() * self.out_width() * self.channels)
    }

    /// The input pixels of the window of output `(oy, ox)`, each with its place in the window, in
    /// row order.
    fn window(&self, oy: usize, ox: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let s = *self;
        (0..s.kernel * s.kernel).filter_map(move |place| {
            let iy = (oy * s.stride + place / s.kernel).checked_sub(s.padding).filter(|&y| y < s.height)?;
            let ix = (ox * s.stride + place % s.kernel).checked_sub(s.padding).filter(|&x| x < s.width)?;
            Some((place, iy * s.width + ix))
        })
    }

    /// Calls `task(output pixel, oy, ox)` for each pixel of one image.
    fn each_output(&self, mut task: impl FnMut(usize, usize, usize)) {
        let (rows, columns) = (self.out_height(), self.out_width());
        for oy in 0..rows {
            for ox in 0..columns {
                task(oy * columns + ox, oy, ox);
            }
        }
    }

    /// The input pixel that an argmax names.
    fn chosen(&self, oy: usize, ox: usize, place: u8) -> usize {
        let place = usize::from(place);
        let iy = oy * self.stride + place / self.kernel - self.padding;
        let ix = ox * self.stride + place % self.kernel - self.padding;
        iy * self.width + ix
    }
}

/// Maximum of each window. `argmax` remembers the winner's place in its window (`ky·kernel + kx`).
///
/// As in PyTorch 2.15: of equal values the first in row order wins, a NaN wins over every number, and of several NaNs the
/// last wins. The border never wins, not even over minus infinity.
///
/// # Shapes
/// - `x`: `(N, H, W, C)` - `y`, `argmax`: `(N, H', W', C)`, overwritten
pub fn max_pool<T: Real>(s: &PoolShape, x: &[T], y: &mut [T], argmax: &mut [u8]) {
    s.check("max_pool", x.len(), y.len());
    check("max_pool argmax", argmax.len(), y.len(), y.len(), y.len());
    let ((x_image, y_image), c) = (s.image_lens(), s.channels);
    y.par_chunks_mut(y_image).zip(argmax.par_chunks_mut(y_image)).zip(x.par_chunks(x_image)).for_each(
        |((y, argmax), x)| {
            s.each_output(|pixel, oy, ox| {
                let (y, argmax) = (&mut y[pixel * c..(pixel + 1) * c], &mut argmax[pixel * c..(pixel + 1) * c]);
                for (nth, (place, from)) in s.window(oy, ox).enumerate() {
                    let place = place as u8;
                    for ((y, best), &v) in y.iter_mut().zip(argmax.iter_mut()).zip(&x[from * c..(from + 1) * c]) {
                        if nth == 0 || v > *y || v.is_nan() {
                            *y = v;
                            *best = place;
                        }
                    }
                }
            });
        },
    );
}

/// The adjoint of [`max_pool`] at the windows' winners. Overwrites `dx`.
pub fn max_pool_backward<T: Real>(s: &PoolShape, dy: &[T], argmax: &[u8], dx: &mut [T]) {
    s.check("max_pool_backward", dx.len(), dy.len());
    check("max_pool_backward argmax", argmax.len(), dy.len(), dy.len(), dy.len());
    let ((x_image, y_image), c) = (s.image_lens(), s.channels);
    // One task holds a whole image, so the order in which overlapping windows add is the order
    // written here.
    dx.par_chunks_mut(x_image).zip(dy.par_chunks(y_image)).zip(argmax.par_chunks(y_image)).for_each(
        |((dx, dy), argmax)| {
            dx.fill(T::ZERO);
            s.each_output(|pixel, oy, ox| {
                for channel in 0..c {
                    let at = pixel * c + channel;
                    dx[s.chosen(oy, ox, argmax[at]) * c + channel] += dy[at];
                }
            });
        },
    );
}

/// The derivative of [`max_pool`] along `x_dot`: each window passes on its winner's tangent.
/// Overwrites `y_dot`.
pub fn max_pool_tangent<T: Real>(s: &PoolShape, x_dot: &[T], argmax: &[u8], y_dot: &mut [T]) {
    s.check("max_pool_tangent", x_dot.len(), y_dot.len());
    check("max_pool_tangent argmax", argmax.len(), y_dot.len(), y_dot.len(), y_dot.len());
    let ((x_image, y_image), c) = (s.image_lens(), s.channels);
    let images = y_dot.par_chunks_mut(y_image).zip(x_dot.par_chunks(x_image)).zip(argmax.par_chunks(y_image));
    images.for_each(|((y_dot, x_dot), argmax)| {
        s.each_output(|pixel, oy, ox| {
            for channel in 0..c {
                let at = pixel * c + channel;
                y_dot[at] = x_dot[s.chosen(oy, ox, argmax[at]) * c + channel];
            }
        });
    });
}

fn check(what: &str, input: usize, expected_input: usize, output: usize, expected_output: usize) {
    assert!(
        input == expected_input && output == expected_output,
        "{what}: lengths {input} and {output}, expected {expected_input} and {expected_output}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_average_by_hand() {
        let mut y = [0.0f32; 2];
        global_avg_pool(1, 2, 2, &[1.0, 10.0, 3.0, 30.0], &mut y);
        assert_eq!(y, [2.0, 20.0]);
        let mut dx = [0.0; 4];
        global_avg_pool_backward(1, 2, 2, &y, &mut dx);
        assert_eq!(dx, [1.0, 10.0, 1.0, 10.0]);
    }

    #[test]
    fn padded_max_by_hand() {
        let s = PoolShape { batch: 1, height: 3, width: 3, channels: 1, kernel: 3, stride: 2, padding: 1 };
        let x = [1.0f32, 2.0, 3.0, 4.0, 9.0, 6.0, 7.0, 8.0, 5.0];
        let (mut y, mut argmax) = ([0.0; 4], [0u8; 4]);
        max_pool(&s, &x, &mut y, &mut argmax);
        assert_eq!((y, argmax), ([9.0; 4], [8, 6, 2, 0]));
        let mut dx = [1.0; 9];
        max_pool_backward(&s, &[1.0, 2.0, 3.0, 4.0], &argmax, &mut dx);
        assert_eq!(dx, [0.0, 0.0, 0.0, 0.0, 10.0, 0.0, 0.0, 0.0, 0.0]);
        let mut y_dot = [0.0; 4];
        max_pool_tangent(&s, &x.map(|v| v * 2.0), &argmax, &mut y_dot);
        assert_eq!(y_dot, [18.0; 4]);
    }

    #[test]
    fn nan_wins_a_window() {
        let s = PoolShape { batch: 1, height: 2, width: 2, channels: 1, kernel: 2, stride: 2, padding: 0 };
        let (mut y, mut argmax) = ([0.0f32], [0u8]);
        max_pool(&s, &[5.0, f32::NAN, 7.0, 1.0], &mut y, &mut argmax);
        assert!(y[0].is_nan() && argmax[0] == 1);
    }
}
