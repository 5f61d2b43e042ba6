//! libjpeg's reduced inverse transforms (`jidctred`): a block of 8 x 8 coefficients as 4 x 4, 2 x 2 or 1 sample.

use longtail_ops::{Kernel, dispatch};

use super::fixed::{CONST_BITS, PASS1_BITS};
use super::idct::flat_sample;

/// Samples of a row of blocks at a half, a quarter or an eighth of the size.
///
/// # Shapes
/// As [`jpeg_idct`](super::jpeg_idct), but `out` has `size` rows and block `n` is columns `size·n..size·(n + 1)`; any number
/// of blocks.
///
/// # Panics
/// If a slice is too short or `size` is not 1, 2 or 4.
///
/// # Source
/// `jpeg_idct_4x4`, `_2x2` and `_1x1` of libjpeg(-turbo); compared with Pillow's `draft` in `crates/images/tests/decode.rs`.
pub fn jpeg_idct_reduced(
    size: usize,
    coefficients: &[i16],
    table: &[u16; 64],
    flat: &[bool],
    out: &mut [u8],
    stride: usize,
) {
    let blocks = flat.len();
    assert_eq!(coefficients.len(), 64 * blocks, "64 coefficients a block");
    assert!(stride >= size * blocks, "a row for all blocks");
    assert!(blocks == 0 || out.len() >= (size - 1) * stride + size * blocks, "rows of samples");
    assert!(matches!(size, 1 | 2 | 4), "a half, a quarter or an eighth");
    dispatch(Reduced { size, coefficients, table, flat, out, stride });
}

struct Reduced<'a> {
    size: usize,
    coefficients: &'a [i16],
    table: &'a [u16; 64],
    flat: &'a [bool],
    out: &'a mut [u8],
    stride: usize,
}

impl Kernel for Reduced<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { size, coefficients, table, flat, out, stride } = self;
        for (number, (block, flat)) in coefficients.chunks_exact(64).zip(flat).enumerate() {
            let out = &mut out[size * number..];
            if *flat || size == 1 {
                let sample = flat_sample(block[0], table[0]);
                out.chunks_mut(stride).take(size).for_each(|row| row[..size].fill(sample));
                continue;
            }
            let mut rows = [[0i32; 8]; 8];
            for (place, value) in rows.as_flattened_mut().iter_mut().enumerate() {
                *value = i32::from(block[place].wrapping_mul(table[place] as i16));
            }
            if size == 4 {
                let columns = turned(&four(&rows, CONST_BITS - PASS1_BITS + 1));
                store(&four(&columns, CONST_BITS + PASS1_BITS + 3 + 1), out, stride);
            } else {
                let columns = turned(&two(&rows, CONST_BITS - PASS1_BITS + 2));
                store(&two(&columns, CONST_BITS + PASS1_BITS + 3 + 2), out, stride);
            }
        }
    }
}

/// `N` rows of eight as eight rows of `N`, the rest zeros.
#[inline(always)]
fn turned<const N: usize>(rows: &[[i32; 8]; N]) -> [[i32; 8]; 8] {
    let mut out = [[0; 8]; 8];
    for column in 0..8 {
        for row in 0..N {
            out[column][row] = rows[row][column];
        }
    }
    out
}

/// The last pass went along rows, so its results lie column by column.
#[inline(always)]
fn store<const N: usize>(columns: &[[i32; 8]; N], out: &mut [u8], stride: usize) {
    for (row, out) in out.chunks_mut(stride).take(N).enumerate() {
        for (sample, column) in out.iter_mut().zip(columns) {
            *sample = (column[row].clamp(-128, 127) + 128) as u8;
        }
    }
}

#[inline(always)]
fn scaled(value: i32, shift: u32) -> i32 {
    value.wrapping_add(1 << (shift - 1)) >> shift
}

#[inline(always)]
fn four(rows: &[[i32; 8]; 8], shift: u32) -> [[i32; 8]; 4] {
    let mut out = [[0; 8]; 4];
    for lane in 0..8 {
        let times = |row: usize, factor: i32| rows[row][lane].wrapping_mul(factor);
        let first = rows[0][lane].wrapping_shl(CONST_BITS + 1);
        let second = times(2, 15137).wrapping_sub(times(6, 6270));
        let (sum, difference) = (first.wrapping_add(second), first.wrapping_sub(second));
        let inner =
            (times(5, 11893).wrapping_sub(times(7, 1730))).wrapping_sub(times(3, 17799)).wrapping_add(times(1, 8697));
        let outer =
            (times(3, 7373).wrapping_sub(times(7, 4176))).wrapping_sub(times(5, 4926)).wrapping_add(times(1, 20995));
        out[0][lane] = scaled(sum.wrapping_add(outer), shift);
        out[3][lane] = scaled(sum.wrapping_sub(outer), shift);
        out[1][lane] = scaled(difference.wrapping_add(inner), shift);
        out[2][lane] = scaled(difference.wrapping_sub(inner), shift);
    }
    out
}

#[inline(always)]
fn two(rows: &[[i32; 8]; 8], shift: u32) -> [[i32; 8]; 2] {
    let mut out = [[0; 8]; 2];
    for lane in 0..8 {
        let times = |row: usize, factor: i32| rows[row][lane].wrapping_mul(factor);
        let first = rows[0][lane].wrapping_shl(CONST_BITS + 2);
        let second =
            (times(5, 6967).wrapping_sub(times(7, 5906))).wrapping_sub(times(3, 10426)).wrapping_add(times(1, 29692));
        out[0][lane] = scaled(first.wrapping_add(second), shift);
        out[1][lane] = scaled(first.wrapping_sub(second), shift);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_along_rows_keeps_its_direction_and_mean() {
        let mut block = [0; 64];
        (block[0], block[1]) = (80, -100);
        for size in [4, 2] {
            let mut out = vec![0; size * size];
            jpeg_idct_reduced(size, &block, &[1; 64], &[false], &mut out, size);
            for row in out.chunks_exact(size) {
                assert!(row.windows(2).all(|two| two[0] < two[1]), "{row:?}");
                let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / size as f64;
                assert!((mean - 138.0).abs() <= 0.5, "{mean}");
            }
        }
        let mut out = [0];
        jpeg_idct_reduced(1, &block, &[1; 64], &[false], &mut out, 1);
        assert_eq!(out, [138]);
    }
}
