//! The parameter-free shortcut of the CIFAR ResNets ("option A"): take every `stride`-th pixel, pad
//! channels with zeros.

use rayon::prelude::*;

use crate::Real;

/// Sizes of an option-A shortcut: `(N, H, W, I)` to `(N, ⌈H/stride⌉, ⌈W/stride⌉, O)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortcutShape {
    /// Number of images in the batch.
    pub batch: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output; at least `in_channels`.
    pub out_channels: usize,
    /// Step between the pixels taken.
    pub stride: usize,
}

impl ShortcutShape {
    /// Rows of the output.
    pub fn out_height(&self) -> usize {
        self.height.div_ceil(self.stride)
    }

    /// Columns of the output.
    pub fn out_width(&self) -> usize {
        self.width.div_ceil(self.stride)
    }

    /// Elements of the input.
    pub fn input_len(&self) -> usize {
        self.batch * self.height * self.width * self.in_channels
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_height() * self.out_width() * self.out_channels
    }

    /// Zero channels before the first copied one; the rest of the padding follows the last one.
    fn pad_before(&self) -> usize {
        (self.out_channels - self.in_channels) / 2
    }

    fn check(&self, input: usize, output: usize) {
        assert!(
            self.stride > 0
                && self.out_channels >= self.in_channels
                && self.in_channels > 0
                && self.height * self.width > 0,
            "shortcut: impossible sizes {self:?}"
        );
        assert!(
            input == self.input_len() && output == self.output_len(),
            "shortcut: {input} inputs and {output} outputs do not fit {self:?}"
        );
    }
}

/// `y[n, oy, ox, pad + c] = x[n, oy·stride, ox·stride, c]`, zero in the padded channels. Overwrites
/// `y`.
///
/// # Source
/// He et al. 2016, §4.2, option A; checked against `F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0,
/// planes//4, planes//4))`.
pub fn option_a_shortcut<T: Real>(s: &ShortcutShape, x: &[T], y: &mut [T]) {
    s.check(x.len(), y.len());
    let (x_image, y_row) = (s.height * s.width * s.in_channels, s.out_width() * s.out_channels);
    let pad = s.pad_before();
    y.par_chunks_mut(s.out_height() * y_row).zip(x.par_chunks(x_image)).for_each(|(y, x)| {
        for (oy, y) in y.chunks_exact_mut(y_row).enumerate() {
            for (ox, y) in y.chunks_exact_mut(s.out_channels).enumerate() {
                let from = (oy * s.stride * s.width + ox * s.stride) * s.in_channels;
                y[..pad].fill(T::ZERO);
                y[pad..pad + s.in_channels].copy_from_slice(&x[from..from + s.in_channels]);
                y[pad + s.in_channels..].fill(T::ZERO);
            }
        }
    });
}

/// The adjoint of [`option_a_shortcut`]: overwrites `dx`, or adds to it when `accumulate`.
pub fn option_a_shortcut_backward<T: Real>(s: &ShortcutShape, dy: &[T], dx: &mut [T], accumulate: bool) {
    s.check(dx.len(), dy.len());
    let (x_image, y_row) = (s.height * s.width * s.in_channels, s.out_width() * s.out_channels);
    let pad = s.pad_before();
    dx.par_chunks_mut(x_image).zip(dy.par_chunks(s.out_height() * y_row)).for_each(|(dx, dy)| {
        if !accumulate {
            dx.fill(T::ZERO);
        }
        for (oy, dy) in dy.chunks_exact(y_row).enumerate() {
            for (ox, dy) in dy.chunks_exact(s.out_channels).enumerate() {
                let to = (oy * s.stride * s.width + ox * s.stride) * s.in_channels;
                for (dx, &dy) in dx[to..to + s.in_channels].iter_mut().zip(&dy[pad..pad + s.in_channels]) {
                    *dx += dy;
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ShortcutShape =
        ShortcutShape { batch: 1, height: 3, width: 3, in_channels: 1, out_channels: 3, stride: 2 };

    #[test]
    fn three_by_three_by_hand() {
        let x: Vec<f32> = (1..=9).map(|v| v as f32).collect();
        let mut y = [9.0; 12];
        option_a_shortcut(&SHAPE, &x, &mut y);
        assert_eq!(y, [0.0, 1.0, 0.0, 0.0, 3.0, 0.0, 0.0, 7.0, 0.0, 0.0, 9.0, 0.0]);
        let mut dx = vec![1.0; 9];
        option_a_shortcut_backward(&SHAPE, &y, &mut dx, true);
        assert_eq!(dx, [2.0, 1.0, 4.0, 1.0, 1.0, 1.0, 8.0, 1.0, 10.0]);
        option_a_shortcut_backward(&SHAPE, &y, &mut dx, false);
        assert_eq!(dx, [1.0, 0.0, 3.0, 0.0, 0.0, 0.0, 7.0, 0.0, 9.0]);
    }

    #[test]
    #[should_panic(expected = "do not fit")]
    fn wrong_lengths_panic_in_words() {
        option_a_shortcut(&SHAPE, &[0f32; 9], &mut [0f32; 11]);
    }
}
