//! libjpeg's "fancy" upsampling: samples between two others are a quarter of the further and three of the nearer one.

use longtail_ops::{Kernel, dispatch};

/// `3·near + far` of two rows, the first step of doubling both ways.
///
/// # Shapes
/// All the same length; `out` up to 1020.
pub fn sum_rows_3_1(near: &[u8], far: &[u8], out: &mut [u16]) {
    assert!(near.len() == out.len() && far.len() == out.len(), "rows of one length");
    dispatch(Sum { near, far, out });
}

/// A row between two: `(3·near + far + bias) / 4`, bias 1 above the nearer row's centre and 2 below.
///
/// # Shapes
/// All the same length.
pub fn widen_rows(near: &[u8], far: &[u8], bias: u16, out: &mut [u8]) {
    assert!(near.len() == out.len() && far.len() == out.len(), "rows of one length");
    dispatch(Between { near, far, bias, out });
}

/// Doubles a row: `out[2i] = (3·in[i] + in[i−1] + bias.0) >> shift`, `out[2i+1] = (3·in[i] + in[i+1] + bias.1) >> shift`.
///
/// # Shapes
/// `row`: `(n + 2)` with a neighbour at each end  - `out`: `(2n)`
///
/// # Source
/// `h2v1_fancy_upsample` (biases 1 and 2, shift 2) and `h2v2_fancy_upsample` (8 and 7, shift 4) of libjpeg.
pub fn double_row(row: &[u16], bias: (u16, u16), shift: u32, out: &mut [u8]) {
    assert!(row.len() >= 2 && out.len() == 2 * (row.len() - 2), "twice the row without its neighbours");
    dispatch(Double { row, bias, shift, out });
}

struct Sum<'a> {
    near: &'a [u8],
    far: &'a [u8],
    out: &'a mut [u16],
}

impl Kernel for Sum<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        for ((out, near), far) in self.out.iter_mut().zip(self.near).zip(self.far) {
            *out = 3 * u16::from(*near) + u16::from(*far);
        }
    }
}

struct Between<'a> {
    near: &'a [u8],
    far: &'a [u8],
    bias: u16,
    out: &'a mut [u8],
}

impl Kernel for Between<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        for ((out, near), far) in self.out.iter_mut().zip(self.near).zip(self.far) {
            *out = ((3 * u16::from(*near) + u16::from(*far) + self.bias) >> 2) as u8;
        }
    }
}

struct Double<'a> {
    row: &'a [u16],
    bias: (u16, u16),
    shift: u32,
    out: &'a mut [u8],
}

impl Kernel for Double<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let count = self.row.len() - 2;
        let (before, here, after) = (&self.row[..count], &self.row[1..=count], &self.row[2..]);
        for (((two, before), here), after) in self.out.chunks_exact_mut(2).zip(before).zip(here).zip(after) {
            two[0] = ((3 * here + before + self.bias.0) >> self.shift) as u8;
            two[1] = ((3 * here + after + self.bias.1) >> self.shift) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_becomes_a_slope() {
        let mut out = [0; 6];
        double_row(&[0, 0, 100, 100, 100], (1, 2), 2, &mut out);
        assert_eq!(out, [0, 25, 75, 100, 100, 100]);
        let mut sums = [0; 3];
        sum_rows_3_1(&[0, 100, 255], &[100, 100, 255], &mut sums);
        assert_eq!(sums, [100, 400, 1020]);
        let mut between = [0; 3];
        widen_rows(&[0, 100, 255], &[100, 100, 255], 1, &mut between);
        assert_eq!(between, [25, 100, 255]);
    }
}
