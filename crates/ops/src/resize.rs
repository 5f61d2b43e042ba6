//! Bilinear resizing of channels-last images, and its adjoint.
//!
//! The map is separable: along each axis an output is a blend of at most two neighbouring inputs. These *taps* are worked
//! out once a call; a row is blended first along the columns of the image (long vectors), then along the row.

use rayon::prelude::*;

use crate::Real;
use crate::scratch::with_scratch;
use crate::simd::{Kernel, dispatch, multiply_add};

/// Sizes of a bilinear resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeShape {
    /// Images.
    pub batch: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// Rows of the output.
    pub out_height: usize,
    /// Columns of the output.
    pub out_width: usize,
    /// Corner pixels' centres meet (PyTorch's `align_corners=True`), instead of the images' outer borders.
    pub align_corners: bool,
}

impl ResizeShape {
    /// Elements of the input.
    pub fn input_len(&self) -> usize {
        self.batch * self.height * self.width * self.channels
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_height * self.out_width * self.channels
    }

    fn check(&self, what: &str, input: usize, output: usize) {
        let sizes = [self.height, self.width, self.channels, self.out_height, self.out_width];
        assert!(sizes.iter().all(|&size| size > 0), "{what}: a size is zero in {self:?}");
        assert!(
            input == self.input_len() && output == self.output_len(),
            "{what}: lengths {input} and {output}, expected {} and {}",
            self.input_len(),
            self.output_len()
        );
    }

    fn rows<T: Real>(&self) -> Vec<Tap<T>> {
        taps(self.height, self.out_height, self.align_corners)
    }

    fn columns<T: Real>(&self) -> Vec<Tap<T>> {
        taps(self.width, self.out_width, self.align_corners)
    }
}

/// Bilinear interpolation to another size. Linear, so it is its own tangent.
///
/// Output `o` of an axis with `n` inputs and `m` outputs lies at `p = (o + ½)·n/m − ½`, or with `align_corners` at
/// `p = o·(n − 1)/(m − 1)` (0 when `m = 1`), held to `0 ..= n − 1`; there the output is
/// `(1 − λ)·x[⌊p⌋] + λ·x[⌊p⌋ + 1]`, `λ = p − ⌊p⌋`. No antialiasing: shrinking skips pixels. A neighbour of weight zero is
/// not read, so that its NaN or infinity stays where it is.
///
/// # Shapes
/// - `x`: `(N, H, W, C)`, any values - `y`: `(N, H', W', C)`, overwritten
/// # Panics
/// When a slice's length does not fit `s`, or a size other than `batch` is zero.
/// # Source
/// PyTorch 2.15, `torch.nn.functional.interpolate(mode="bilinear", antialias=False)` with `size` given. It works out the
/// positions of f32 images in f32, and multiplies a neighbour by zero where we leave it out.
pub fn resize_bilinear<T: Real>(s: &ResizeShape, x: &[T], y: &mut [T]) {
    s.check("resize_bilinear", x.len(), y.len());
    let (rows, columns) = (s.rows::<T>(), s.columns::<T>());
    let (line, image) = (s.width * s.channels, s.height * s.width * s.channels);
    y.par_chunks_mut(s.out_width * s.channels).enumerate().for_each(|(row, y)| {
        let x = &x[row / s.out_height * image..][..image];
        let row = rows[row % s.out_height];
        let (near, far) = (&x[row.near * line..][..line], &x[row.far * line..][..line]);
        with_scratch(line, |blend| {
            dispatch(OutputRow { channels: s.channels, near, far, row, columns: &columns, blend, y });
        });
    });
}

/// The adjoint of [`resize_bilinear`]: `dx ← ∂⟨dy, y⟩/∂x`, or `dx += …` when `accumulate`.
///
/// Each input gathers from the outputs that read it, in their order.
///
/// # Shapes
/// - `dy`: `(N, H', W', C)` - `dx`: `(N, H, W, C)`
/// # Panics
/// As [`resize_bilinear`].
pub fn resize_bilinear_backward<T: Real>(s: &ResizeShape, dy: &[T], dx: &mut [T], accumulate: bool) {
    s.check("resize_bilinear_backward", dx.len(), dy.len());
    let rows = Readers::of(&s.rows::<T>(), s.height);
    let columns = Readers::of(&s.columns::<T>(), s.width);
    let (line, image) = (s.out_width * s.channels, s.out_height * s.out_width * s.channels);
    let dx_line = s.width * s.channels;
    dx.par_chunks_mut(dx_line).enumerate().for_each(|(row, dx)| {
        let dy = &dy[row / s.height * image..][..image];
        let rows = rows.at(row % s.height);
        with_scratch(line + dx_line, |scratch| {
            let (blend, sums) = scratch.split_at_mut(line);
            dispatch(InputRow { channels: s.channels, dy, rows, columns: &columns, blend, sums, dx, accumulate });
        });
    });
}

/// What one output reads along one axis: `near_weight·x[near] + far_weight·x[far]`; only `near` when `far_weight` is zero.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tap<T> {
    near: usize,
    far: usize,
    near_weight: T,
    far_weight: T,
}

/// The taps of every output of an axis. Positions are fractions of whole numbers, so that one on a pixel is exactly there.
fn taps<T: Real>(inputs: usize, outputs: usize, align_corners: bool) -> Vec<Tap<T>> {
    let last = inputs - 1;
    (0..outputs)
        .map(|output| {
            let (above, below) = match align_corners {
                true => (output * last, (outputs - 1).max(1)),
                false => (((2 * output + 1) * inputs).saturating_sub(outputs), 2 * outputs),
            };
            let (near, part) = (above / below, (above % below) as f64 / below as f64);
            if near >= last || part == 0.0 {
                return Tap { near: near.min(last), far: near.min(last), near_weight: T::ONE, far_weight: T::ZERO };
            }
            Tap { near, far: near + 1, near_weight: T::from_f64(1.0 - part), far_weight: T::from_f64(part) }
        })
        .collect()
}

/// The taps of an axis seen from its inputs: which outputs read each of them, in order, and with what weight.
struct Readers<T> {
    /// The readers of input `i` are `readers[starts[i]..starts[i + 1]]`.
    starts: Vec<usize>,
    readers: Vec<(usize, T)>,
}

impl<T: Real> Readers<T> {
    fn of(taps: &[Tap<T>], inputs: usize) -> Self {
        let reads = || {
            taps.iter().enumerate().flat_map(|(output, tap)| {
                [(tap.near, output, tap.near_weight), (tap.far, output, tap.far_weight)]
                    .into_iter()
                    .filter(|&(_, _, weight)| weight != T::ZERO)
            })
        };
        let mut starts = vec![0; inputs + 1];
        for (input, ..) in reads() {
            starts[input + 1] += 1;
        }
        for input in 0..inputs {
            starts[input + 1] += starts[input];
        }
        let mut readers = vec![(0, T::ZERO); starts[inputs]];
        let mut next = starts.clone();
        for (input, output, weight) in reads() {
            readers[next[input]] = (output, weight);
            next[input] += 1;
        }
        Self { starts, readers }
    }

    fn at(&self, input: usize) -> &[(usize, T)] {
        &self.readers[self.starts[input]..self.starts[input + 1]]
    }
}

/// `out = near_weight·near + far_weight·far`.
#[inline(always)]
fn blend_two<T: Real, const FUSED: bool>(out: &mut [T], near: &[T], far: &[T], tap: &Tap<T>) {
    for ((out, &near), &far) in out.iter_mut().zip(near).zip(far) {
        *out = multiply_add::<T, FUSED>(tap.far_weight, far, tap.near_weight * near);
    }
}

/// `out = Σ weight·line(index)`, in the order of the readers; zeros without any.
#[inline(always)]
fn gather<'a, T: Real, const FUSED: bool>(out: &mut [T], readers: &[(usize, T)], line: impl Fn(usize) -> &'a [T]) {
    let Some((&(first, weight), rest)) = readers.split_first() else {
        return out.fill(T::ZERO);
    };
    for (out, &v) in out.iter_mut().zip(line(first)) {
        *out = weight * v;
    }
    for &(index, weight) in rest {
        for (out, &v) in out.iter_mut().zip(line(index)) {
            *out = multiply_add::<T, FUSED>(weight, v, *out);
        }
    }
}

/// One row of the output from the two input rows that it lies between.
struct OutputRow<'a, T> {
    channels: usize,
    near: &'a [T],
    far: &'a [T],
    row: Tap<T>,
    columns: &'a [Tap<T>],
    blend: &'a mut [T],
    y: &'a mut [T],
}

impl<T: Real> Kernel for OutputRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { channels: c, near, far, row, columns, blend, y } = self;
        let line = if row.far_weight == T::ZERO {
            near
        } else {
            blend_two::<T, FUSED>(blend, near, far, &row);
            blend
        };
        for (y, tap) in y.chunks_exact_mut(c).zip(columns) {
            let near = &line[tap.near * c..][..c];
            if tap.far_weight == T::ZERO {
                y.copy_from_slice(near);
            } else {
                blend_two::<T, FUSED>(y, near, &line[tap.far * c..][..c], tap);
            }
        }
    }
}

/// One row of the input's gradient from the output rows that read it.
struct InputRow<'a, T> {
    channels: usize,
    /// One image.
    dy: &'a [T],
    rows: &'a [(usize, T)],
    columns: &'a Readers<T>,
    blend: &'a mut [T],
    sums: &'a mut [T],
    dx: &'a mut [T],
    accumulate: bool,
}

impl<T: Real> Kernel for InputRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { channels: c, dy, rows, columns, blend, sums, dx, accumulate } = self;
        let line = blend.len();
        gather::<T, FUSED>(blend, rows, |row| &dy[row * line..][..line]);
        let blend = &*blend;
        // Sums are finished before they are added, so that accumulating on zeros gives the same bits.
        let out = if accumulate { &mut *sums } else { &mut *dx };
        for (column, out) in out.chunks_exact_mut(c).enumerate() {
            gather::<T, FUSED>(out, columns.at(column), |column| &blend[column * c..][..c]);
        }
        if accumulate {
            for (dx, &sum) in dx.iter_mut().zip(&*sums) {
                *dx += sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(width: usize, out_width: usize, align_corners: bool) -> ResizeShape {
        ResizeShape { batch: 1, height: 1, width, channels: 1, out_height: 1, out_width, align_corners }
    }

    #[test]
    fn twice_as_wide_by_hand() {
        let x = [0.0f64, 4.0, 8.0];
        let mut y = [7.0; 6];
        resize_bilinear(&line(3, 6, false), &x, &mut y);
        assert_eq!(y, [0.0, 1.0, 3.0, 5.0, 7.0, 8.0]);
        let mut dx = [1.0; 3];
        resize_bilinear_backward(&line(3, 6, false), &[1.0; 6], &mut dx, true);
        assert_eq!(dx, [3.0; 3]);
    }

    #[test]
    fn corners_meet_by_hand() {
        let mut y = [7.0f64; 5];
        resize_bilinear(&line(3, 5, true), &[0.0, 4.0, 8.0], &mut y);
        assert_eq!(y, [0.0, 2.0, 4.0, 6.0, 8.0]);
        let mut one = [7.0];
        resize_bilinear(&line(3, 1, true), &[1.0, 4.0, 8.0], &mut one);
        assert_eq!(one, [1.0]);
        resize_bilinear(&line(3, 1, false), &[1.0, 4.0, 8.0], &mut one);
        assert_eq!(one, [4.0]);
    }

    #[test]
    fn an_input_that_no_output_reads_has_no_gradient() {
        // Four to one lies between the two in the middle.
        let mut dx = [7.0f32; 4];
        resize_bilinear_backward(&line(4, 1, false), &[2.0], &mut dx, false);
        assert_eq!(dx, [0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "resize_bilinear: lengths 2 and 6, expected 3 and 6")]
    fn wrong_lengths_panic_in_words() {
        resize_bilinear(&line(3, 6, false), &[0f32; 2], &mut [0.0; 6]);
    }
}
