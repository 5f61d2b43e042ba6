//! Pillow's resampling of 8-bit RGB images with the antialiased triangle filter, to the byte.
//!
//! Two passes, along rows and then along columns, each with weights in fixed point (22 bits after the point) and a rounding
//! to bytes at its end. Images between the passes and after them are *planar by row*: `(H, 3, W)`, so that the second pass
//! and what follows it run over long vectors.

use longtail_ops::{Kernel, dispatch};

/// Bits after the point of a weight: Pillow's `PRECISION_BITS` for bytes.
const PRECISION: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (PRECISION - 1);

/// For one axis: which inputs each output is made of, and with what weights.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResampleAxis {
    /// First input of each output.
    starts: Vec<usize>,
    /// Number of inputs of each output.
    counts: Vec<usize>,
    /// `taps` places for each output.
    weights: Vec<i32>,
    taps: usize,
}

impl ResampleAxis {
    /// The weights with which outputs `first..first + count` of `out_len` are made from the stretch `from..to` of `in_len`
    /// inputs: a triangle of half-width `max(1, (to − from)/out_len)` inputs around each output's centre, cut off at the
    /// image's borders and normalised. Buffers are reused.
    ///
    /// # Panics
    /// If a length is zero, the stretch is empty or leaves the inputs, or outputs are asked for that do not exist.
    ///
    /// # Source
    /// `precompute_coeffs` and `normalize_coeffs_8bpc` of Pillow's `Resample.c`; compared with Pillow's results in
    /// `crates/images/tests/photo.rs`.
    pub fn set(&mut self, in_len: usize, from: f64, to: f64, out_len: usize, first: usize, count: usize) {
        assert!(
            in_len > 0 && out_len > 0 && from >= 0.0 && from < to && to <= in_len as f64,
            "a stretch of the inputs"
        );
        assert!(first + count <= out_len, "outputs that exist");
        let scale = (to - from) / out_len as f64;
        let support = scale.max(1.0);
        let per_input = 1.0 / support;
        self.taps = support.ceil() as usize * 2 + 1;
        self.starts.clear();
        self.counts.clear();
        self.weights.clear();
        self.weights.resize(self.taps * count, 0);
        let mut exact = vec![0.0; self.taps];
        for (output, weights) in (first..first + count).zip(self.weights.chunks_exact_mut(self.taps)) {
            let center = from + (output as f64 + 0.5) * scale;
            // A cast cuts off towards zero, as C's does, and negative numbers become zero.
            let start = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(in_len);
            let used = &mut exact[..end - start];
            let mut sum = 0.0;
            for (offset, weight) in used.iter_mut().enumerate() {
                let distance = ((offset + start) as f64 - center + 0.5) * per_input;
                *weight = (1.0 - distance.abs()).max(0.0);
                sum += *weight;
            }
            for (fixed, weight) in weights.iter_mut().zip(used.iter()) {
                let share = if sum == 0.0 { *weight } else { weight / sum };
                *fixed = (0.5 + share * f64::from(1u32 << PRECISION)) as i32;
            }
            self.starts.push(start);
            self.counts.push(end - start);
        }
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.starts.len()
    }

    /// The first input that is read and the one after the last.
    pub fn inputs(&self) -> (usize, usize) {
        let end = self.starts.iter().zip(&self.counts).map(|(start, count)| start + count).max().unwrap_or(0);
        (self.starts.first().copied().unwrap_or(0), end)
    }

    /// Moves all inputs by `−offset`: for a buffer that begins at input `offset`.
    ///
    /// # Panics
    /// If an input before `offset` is read.
    pub fn shift(&mut self, offset: usize) {
        assert!(self.inputs().0 >= offset, "inputs before the buffer's beginning");
        self.starts.iter_mut().for_each(|start| *start -= offset);
    }

    fn output(&self, index: usize) -> (usize, &[i32]) {
        let weights = &self.weights[index * self.taps..][..self.counts[index]];
        (self.starts[index], weights)
    }
}

/// The pass along rows: each row `(W, 3)` becomes `(3, outputs)`.
///
/// # Shapes
/// - `image`: `rows` rows of `stride` bytes each, of which input `x` of the axis is bytes `3x..3x + 3`
/// - `out`: `(rows, 3, outputs)`
///
/// # Panics
/// If a slice is too short.
pub fn resample_rows(image: &[u8], stride: usize, rows: usize, axis: &ResampleAxis, out: &mut [u8]) {
    let width = axis.outputs();
    assert!(axis.inputs().1 * 3 <= stride, "the axis reads beyond a row");
    assert!(rows == 0 || image.len() >= (rows - 1) * stride + axis.inputs().1 * 3, "too few rows");
    assert_eq!(out.len(), rows * 3 * width, "rows of three planes");
    dispatch(Rows { image, stride, axis, out });
}

struct Rows<'a> {
    image: &'a [u8],
    stride: usize,
    axis: &'a ResampleAxis,
    out: &'a mut [u8],
}

/// Rows that are taken together: their pixels, four bytes each, fill a vector.
const TOGETHER: usize = 4;
/// Outputs after which colours are put into their planes.
const OUTPUTS: usize = 32;

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let width = self.axis.outputs();
        let row_len = (3 * width).max(1);
        let read = 3 * self.axis.inputs().1;
        for (group, out) in self.out.chunks_mut(TOGETHER * row_len).enumerate() {
            let image = &self.image[group * TOGETHER * self.stride..];
            let rows = out.len() / row_len;
            // A pixel is read as four bytes; the fourth belongs to the next one and is not used, but must be there.
            if rows == TOGETHER && image.len() > (TOGETHER - 1) * self.stride + read {
                let rows = std::array::from_fn(|row| &image[row * self.stride..][..read + 1]);
                self.axis.four_rows(rows, out);
            } else {
                for (row, out) in out.chunks_exact_mut(row_len).enumerate() {
                    self.axis.one_row(&image[row * self.stride..], out);
                }
            }
        }
    }
}

impl ResampleAxis {
    /// Four rows of `(inputs, 3)` and a byte more to `(4, 3, outputs)`.
    #[inline(always)]
    fn four_rows(&self, rows: [&[u8]; TOGETHER], out: &mut [u8]) {
        let width = self.outputs();
        let shortest = rows.iter().map(|row| row.len()).min().unwrap_or(0);
        for first in (0..width).step_by(OUTPUTS) {
            let count = OUTPUTS.min(width - first);
            let mut pixels = [[0u8; 4 * OUTPUTS]; TOGETHER];
            for index in 0..count {
                let (start, weights) = self.output(first + index);
                assert!(3 * (start + weights.len()) < shortest, "all inputs are there");
                let mut sums = [HALF; 4 * TOGETHER];
                for (tap, &weight) in weights.iter().enumerate() {
                    let at = 3 * (start + tap);
                    let mut bytes = [0u8; 4 * TOGETHER];
                    for (four, row) in bytes.chunks_exact_mut(4).zip(rows) {
                        // SAFETY: `at + 4 ≤ 3·(start + taps) + 1 ≤ shortest`, as asserted.
                        #[allow(unsafe_code)]
                        four.copy_from_slice(unsafe { row.get_unchecked(at..at + 4) });
                    }
                    for (sum, byte) in sums.iter_mut().zip(bytes) {
                        *sum += i32::from(byte) * weight;
                    }
                }
                let bytes = sums.map(to_byte);
                for (pixels, four) in pixels.iter_mut().zip(bytes.chunks_exact(4)) {
                    pixels[4 * index..4 * index + 4].copy_from_slice(four);
                }
            }
            for (pixels, out) in pixels.iter().zip(out.chunks_exact_mut(3 * width)) {
                for (colour, plane) in out.chunks_exact_mut(width).enumerate() {
                    let plane = &mut plane[first..first + count];
                    plane.iter_mut().zip(pixels.chunks_exact(4)).for_each(|(byte, pixel)| *byte = pixel[colour]);
                }
            }
        }
    }

    /// One row of `(inputs, 3)` to `(3, outputs)`.
    #[inline(always)]
    fn one_row(&self, input: &[u8], out: &mut [u8]) {
        let (red, rest) = out.split_at_mut(self.outputs());
        let (green, blue) = rest.split_at_mut(self.outputs());
        for (index, ((red, green), blue)) in red.iter_mut().zip(green).zip(blue).enumerate() {
            let (start, weights) = self.output(index);
            let mut sums = [HALF; 3];
            for (pixel, &weight) in input[start * 3..].chunks_exact(3).zip(weights) {
                for (sum, &byte) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(byte) * weight;
                }
            }
            (*red, *green, *blue) = (to_byte(sums[0]), to_byte(sums[1]), to_byte(sums[2]));
        }
    }
}

/// The pass along columns: rows of `width` bytes each, whatever they hold.
///
/// # Shapes
/// - `image`: `(axis' inputs, width)`  - `out`: `(axis' outputs, width)`
///
/// # Panics
/// If a slice is too short.
pub fn resample_columns(image: &[u8], width: usize, axis: &ResampleAxis, out: &mut [u8]) {
    assert!(image.len() >= axis.inputs().1 * width, "too few rows");
    assert_eq!(out.len(), axis.outputs() * width, "a row for each output");
    dispatch(Columns { image, width, axis, out });
}

struct Columns<'a> {
    image: &'a [u8],
    width: usize,
    axis: &'a ResampleAxis,
    out: &'a mut [u8],
}

impl Kernel for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        const LANES: usize = 32;
        let width = self.width;
        for (index, out) in self.out.chunks_exact_mut(width.max(1)).enumerate() {
            let (start, weights) = self.axis.output(index);
            let image = &self.image[start * width..(start + weights.len()) * width];
            let whole = width - width % LANES;
            for (at, out) in out.chunks_exact_mut(LANES).enumerate() {
                let mut sums = [HALF; LANES];
                for (row, &weight) in image.chunks_exact(width).zip(weights) {
                    let bytes: &[u8; LANES] = row[at * LANES..][..LANES].try_into().expect("as many bytes as lanes");
                    for (sum, &byte) in sums.iter_mut().zip(bytes) {
                        *sum += i32::from(byte) * weight;
                    }
                }
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = to_byte(sum);
                }
            }
            for column in whole..width {
                let mut sum = HALF;
                for (row, &weight) in image.chunks_exact(width).zip(weights) {
                    sum += i32::from(row[column]) * weight;
                }
                out[column] = to_byte(sum);
            }
        }
    }
}

/// Weights are positive and sum to one but for roundings, so no sum leaves the bytes by more than one.
#[inline(always)]
fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(in_len: usize, from: f64, to: f64, out_len: usize) -> ResampleAxis {
        let mut axis = ResampleAxis::default();
        axis.set(in_len, from, to, out_len, 0, out_len);
        axis
    }

    #[test]
    fn the_same_size_is_a_copy() {
        let image: Vec<u8> = (0..5 * 7 * 3).map(|i| (i * 83 % 256) as u8).collect();
        let (mut between, mut out) = (vec![0; image.len()], vec![0; image.len()]);
        resample_rows(&image, 7 * 3, 5, &axis(7, 0.0, 7.0, 7), &mut between);
        resample_columns(&between, 7 * 3, &axis(5, 0.0, 5.0, 5), &mut out);
        for (row, planes) in image.chunks_exact(21).zip(out.chunks_exact(21)) {
            for (x, pixel) in row.chunks_exact(3).enumerate() {
                assert_eq!(pixel, [planes[x], planes[7 + x], planes[14 + x]]);
            }
        }
    }

    #[test]
    fn halving_by_hand() {
        // Output 0 is centred on 1.0 with half-width 2: inputs 0, 1, 2 at distances .5, .5, 1.5 weigh 3, 3, 1 sevenths.
        let mut out = [0; 2];
        resample_columns(&[7, 70, 210, 0], 1, &axis(4, 0.0, 4.0, 2), &mut out);
        assert_eq!(out, [63, 100]); // (21 + 210 + 210)/7 and (70 + 630 + 0)/7
    }

    #[test]
    fn a_part_of_the_outputs_is_that_part() {
        let image: Vec<u8> = (0..40 * 3).map(|i| (i * 97 % 256) as u8).collect();
        let (mut all, mut part) = (vec![0; 27], vec![0; 12]);
        resample_rows(&image, 120, 1, &axis(40, 3.25, 37.5, 9), &mut all);
        let mut four = ResampleAxis::default();
        four.set(40, 3.25, 37.5, 9, 4, 4);
        let first = four.inputs().0;
        four.shift(first);
        resample_rows(&image[first * 3..], 120 - first * 3, 1, &four, &mut part);
        for plane in 0..3 {
            assert_eq!(part[plane * 4..][..4], all[plane * 9 + 4..][..4]);
        }
    }

    #[test]
    fn every_path_gives_the_same_bytes() {
        let image: Vec<u8> = (0..61 * 50 * 3).map(|i| (i * 113 % 251) as u8).collect();
        let results: Vec<Vec<u8>> = longtail_ops::available_simd_paths()
            .into_iter()
            .map(|path| {
                longtail_ops::set_simd_path(Some(path));
                let (mut between, mut out) = (vec![0; 50 * 3 * 23], vec![0; 70 * 3 * 23]);
                resample_rows(&image, 61 * 3, 50, &axis(61, 0.0, 61.0, 23), &mut between);
                resample_columns(&between, 3 * 23, &axis(50, 0.0, 50.0, 70), &mut out);
                out
            })
            .collect();
        longtail_ops::set_simd_path(None);
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
