//! libjpeg's accurate integer inverse cosine transform (`jidctint`), 16 bits between its two passes as in its SIMD forms.

use longtail_ops::{SimdPath, simd_path};

use super::fixed::*;

/// Samples of a row of blocks from their quantised coefficients.
///
/// # Shapes
/// - `coefficients`: `(blocks, 64)` i16, each block row by row  - `table`: the 64 quantisation steps in the same order
/// - `flat`: `(blocks,)`, true where a block has no coefficient but its first (then the others are not read)
/// - `out`: 8 rows of `stride` bytes; block `n` is columns `8n..8n + 8`. The number of blocks is even.
///
/// # Panics
/// If a slice is too short or the number of blocks is odd.
///
/// # Source
/// `jpeg_idct_islow` of libjpeg(-turbo); compared with Pillow's pixels in `crates/images/tests/decode.rs`.
pub fn jpeg_idct(coefficients: &[i16], table: &[u16; 64], flat: &[bool], out: &mut [u8], stride: usize) {
    let blocks = flat.len();
    assert_eq!(coefficients.len(), 64 * blocks, "64 coefficients a block");
    assert!(blocks.is_multiple_of(2), "blocks go in pairs");
    assert!(stride >= 8 * blocks && (blocks == 0 || out.len() >= 7 * stride + 8 * blocks), "eight rows of samples");
    for (pair, (two, flat)) in coefficients.chunks_exact(128).zip(flat.chunks_exact(2)).enumerate() {
        let out = &mut out[16 * pair..];
        if flat[0] && flat[1] {
            let samples = [flat_sample(two[0], table[0]), flat_sample(two[64], table[0])];
            for row in out.chunks_mut(stride).take(8) {
                row[..8].fill(samples[0]);
                row[8..16].fill(samples[1]);
            }
            continue;
        }
        let two: &[i16; 128] = two.try_into().expect("two blocks");
        #[cfg(target_arch = "x86_64")]
        if simd_path() != SimdPath::Portable {
            // SAFETY: every path but the portable one has AVX2, which `simd_path` has found on this processor.
            #[allow(unsafe_code)]
            unsafe {
                super::idct_avx2::pair(two, table, out, stride);
            }
            continue;
        }
        let _ = simd_path() == SimdPath::Portable;
        for (half, block) in two.chunks_exact(64).enumerate() {
            one(block.try_into().expect("one block"), table, &mut out[8 * half..], stride);
        }
    }
}

/// The one sample of a block that has its first coefficient only.
pub(super) fn flat_sample(coefficient: i16, step: u16) -> u8 {
    let value = i32::from(coefficient.wrapping_mul(step as i16)) + 4;
    ((value >> 3).clamp(-128, 127) + 128) as u8
}

/// One block, in plain code.
fn one(block: &[i16; 64], table: &[u16; 64], out: &mut [u8], stride: usize) {
    let mut rows = [[0i16; 8]; 8];
    for (place, value) in rows.as_flattened_mut().iter_mut().enumerate() {
        *value = block[place].wrapping_mul(table[place] as i16);
    }
    let columns = transposed(&pass(&rows, FIRST_SHIFT));
    let rows = transposed(&pass(&columns, SECOND_SHIFT));
    for (row, out) in rows.iter().zip(out.chunks_mut(stride)) {
        for (sample, value) in out.iter_mut().zip(row) {
            *sample = ((*value).clamp(-128, 127) + 128) as u8;
        }
    }
}

fn transposed(rows: &[[i16; 8]; 8]) -> [[i16; 8]; 8] {
    std::array::from_fn(|row| std::array::from_fn(|column| rows[column][row]))
}

/// One-dimensional transforms of the eight columns.
fn pass(rows: &[[i16; 8]; 8], shift: u32) -> [[i16; 8]; 8] {
    let mut out = [[0i16; 8]; 8];
    for lane in 0..8 {
        let at = |row: usize| i32::from(rows[row][lane]);
        let narrow = |a: usize, b: usize, minus: bool| {
            let (a, b) = (rows[a][lane], rows[b][lane]);
            i32::from(if minus { a.wrapping_sub(b) } else { a.wrapping_add(b) })
        };
        // Even part.
        let low = at(2) * F_0_541 + at(6) * (F_0_541 - F_1_847);
        let high = at(2) * (F_0_541 + F_0_765) + at(6) * F_0_541;
        let sum = narrow(0, 4, false) << CONST_BITS;
        let difference = narrow(0, 4, true) << CONST_BITS;
        let even = [sum + high, difference + low, difference - low, sum - high];
        // Odd part.
        let (z3, z4) = (narrow(7, 3, false), narrow(5, 1, false));
        let turned_3 = z3 * (F_1_175 - F_1_961) + z4 * F_1_175;
        let turned_4 = z3 * F_1_175 + z4 * (F_1_175 - F_0_390);
        let odd = [
            at(7) * -F_0_899 + at(1) * (F_1_501 - F_0_899) + turned_4,
            at(5) * -F_2_562 + at(3) * (F_3_072 - F_2_562) + turned_3,
            at(5) * (F_2_053 - F_2_562) + at(3) * -F_2_562 + turned_4,
            at(7) * (F_0_298 - F_0_899) + at(1) * -F_0_899 + turned_3,
        ];
        for (row, (even, odd)) in even.into_iter().zip(odd).enumerate() {
            let scaled = |value: i32| {
                let rounded = value.wrapping_add(1 << (shift - 1)) >> shift;
                rounded.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
            };
            out[row][lane] = scaled(even.wrapping_add(odd));
            out[7 - row][lane] = scaled(even.wrapping_sub(odd));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use longtail_ops::{stream, uniform};

    /// The transform by its definition.
    fn exact(block: &[i16; 64], table: &[u16; 64]) -> [f64; 64] {
        let scale = |k: usize| if k == 0 { 0.5f64.sqrt() } else { 1.0 };
        let wave = |x: usize, k: usize| ((2 * x + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos();
        std::array::from_fn(|place| {
            let (y, x) = (place / 8, place % 8);
            let sum: f64 = (0..64)
                .map(|at| {
                    let (v, u) = (at / 8, at % 8);
                    scale(u) * scale(v) * f64::from(block[at]) * f64::from(table[at]) * wave(x, u) * wave(y, v)
                })
                .sum();
            sum / 4.0 + 128.0
        })
    }

    fn draw(largest: i16, seed: u64) -> ([i16; 128], [u16; 64]) {
        let mut rng = stream(seed, "jpeg", 0, 0);
        let mut blocks = [0; 128];
        for value in &mut blocks {
            *value = ((uniform(&mut rng) - 0.5) * 2.0 * f64::from(largest)) as i16;
        }
        let table = std::array::from_fn(|_| 1 + (uniform(&mut rng) * 5.0) as u16);
        (blocks, table)
    }

    #[test]
    fn samples_are_the_definitions_to_one_level() {
        for seed in 0..50 {
            let (blocks, table) = draw(30, seed);
            let mut out = [0; 128];
            jpeg_idct(&blocks, &table, &[false; 2], &mut out, 16);
            for half in 0..2 {
                let exact = exact(blocks[64 * half..64 * half + 64].try_into().expect("one block"), &table);
                for (place, exact) in exact.iter().enumerate() {
                    let found = f64::from(out[16 * (place / 8) + 8 * half + place % 8]);
                    assert!((found - exact.clamp(0.0, 255.0)).abs() < 0.6, "{found} {exact}");
                }
            }
        }
    }

    #[test]
    fn every_path_gives_the_same_bytes_for_any_coefficients() {
        for seed in 0..200 {
            let (blocks, table) = draw(if seed % 2 == 0 { 200 } else { i16::MAX }, seed);
            let (mut plain, mut fast) = ([0; 128], [0; 128]);
            for half in 0..2 {
                one(blocks[64 * half..64 * half + 64].try_into().expect("one"), &table, &mut plain[8 * half..], 16);
            }
            jpeg_idct(&blocks, &table, &[false; 2], &mut fast, 16);
            assert_eq!(plain, fast, "{seed}");
        }
    }

    #[test]
    fn a_flat_block_is_flat() {
        let mut blocks = [0; 128];
        for dc in [-1024, -513, -5, -4, -1, 0, 3, 4, 12, 700, 1023] {
            (blocks[0], blocks[64]) = (dc, -dc);
            let (mut long, mut short) = ([0; 128], [1; 128]);
            jpeg_idct(&blocks, &[2; 64], &[false; 2], &mut long, 16);
            jpeg_idct(&blocks, &[2; 64], &[true; 2], &mut short, 16);
            assert_eq!(long, short, "{dc}");
        }
    }
}
