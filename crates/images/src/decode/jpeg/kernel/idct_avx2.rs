//! The same transform for two blocks at once: one in the lower half of each vector, one in the upper.

use std::arch::x86_64::{
    __m256i, _mm_cvtsi32_si128, _mm_loadu_si128, _mm_storeu_si128, _mm256_add_epi16, _mm256_add_epi32,
    _mm256_broadcastsi128_si256, _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_madd_epi16,
    _mm256_mullo_epi16, _mm256_packs_epi16, _mm256_packs_epi32, _mm256_permute4x64_epi64, _mm256_set_m128i,
    _mm256_set1_epi8, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_sra_epi32, _mm256_srai_epi32, _mm256_sub_epi16,
    _mm256_sub_epi32, _mm256_unpackhi_epi16, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi16,
    _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use super::fixed::*;

/// Two blocks beside each other in `out`, eight rows of `stride`.
#[target_feature(enable = "avx2")]
pub(super) fn pair(blocks: &[i16; 128], table: &[u16; 64], out: &mut [u8], stride: usize) {
    let rows: [__m256i; 8] = std::array::from_fn(|row| {
        let first: &[i16; 8] = blocks[8 * row..8 * row + 8].try_into().expect("a row");
        let second: &[i16; 8] = blocks[64 + 8 * row..72 + 8 * row].try_into().expect("a row");
        let steps: &[u16; 8] = table[8 * row..8 * row + 8].try_into().expect("a row");
        // SAFETY: each pointer is that of an array of 16 bytes, and these loads need no alignment.
        #[allow(unsafe_code)]
        let (first, second, steps) = unsafe {
            (
                _mm_loadu_si128(first.as_ptr().cast()),
                _mm_loadu_si128(second.as_ptr().cast()),
                _mm_loadu_si128(steps.as_ptr().cast()),
            )
        };
        _mm256_mullo_epi16(_mm256_set_m128i(second, first), _mm256_broadcastsi128_si256(steps))
    });
    let columns = transposed(pass(rows, FIRST_SHIFT));
    let rows = transposed(pass(columns, SECOND_SHIFT));
    for two in 0..4 {
        // (first's row, first's next row | second's row, second's next row), then in the order of the rows.
        let packed = _mm256_packs_epi16(rows[2 * two], rows[2 * two + 1]);
        let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_xor_si256(packed, _mm256_set1_epi8(-128)));
        for (row, half) in
            [_mm256_castsi256_si128(packed), _mm256_extracti128_si256::<1>(packed)].into_iter().enumerate()
        {
            let at = (2 * two + row) * stride;
            let place: &mut [u8; 16] = (&mut out[at..at + 16]).try_into().expect("16 samples");
            // SAFETY: the pointer is that of an array of 16 bytes, and this store needs no alignment.
            #[allow(unsafe_code)]
            unsafe {
                _mm_storeu_si128(place.as_mut_ptr().cast(), half);
            }
        }
    }
}

/// Both orders of two factors of interleaved 16-bit numbers.
#[target_feature(enable = "avx2")]
fn factors(first: i32, second: i32) -> __m256i {
    _mm256_set1_epi32((second << 16) | (first & 0xFFFF))
}

/// `a·first + b·second` in 32 bits: lower and upper halves of each lane.
#[target_feature(enable = "avx2")]
fn weigh(low: __m256i, high: __m256i, first: i32, second: i32) -> [__m256i; 2] {
    let factors = factors(first, second);
    [_mm256_madd_epi16(low, factors), _mm256_madd_epi16(high, factors)]
}

#[target_feature(enable = "avx2")]
fn add(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
    [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])]
}

#[target_feature(enable = "avx2")]
fn subtract(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
    [_mm256_sub_epi32(a[0], b[0]), _mm256_sub_epi32(a[1], b[1])]
}

/// `value · 2^13` in 32 bits, with what rounds the later shift to nearest.
#[target_feature(enable = "avx2")]
fn widened(value: __m256i, rounding: __m256i) -> [__m256i; 2] {
    let zero = _mm256_setzero_si256();
    let low = _mm256_srai_epi32::<3>(_mm256_unpacklo_epi16(zero, value));
    let high = _mm256_srai_epi32::<3>(_mm256_unpackhi_epi16(zero, value));
    [_mm256_add_epi32(low, rounding), _mm256_add_epi32(high, rounding)]
}

/// One-dimensional transforms of the columns of both blocks.
#[target_feature(enable = "avx2")]
#[inline]
fn pass(rows: [__m256i; 8], shift: u32) -> [__m256i; 8] {
    let rounding = _mm256_set1_epi32(1 << (shift - 1));
    let mixed = |a: __m256i, b: __m256i| (_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b));
    // Even part.
    let (low, high) = mixed(rows[2], rows[6]);
    let tmp2 = weigh(low, high, F_0_541, F_0_541 - F_1_847);
    let tmp3 = weigh(low, high, F_0_541 + F_0_765, F_0_541);
    let tmp0 = widened(_mm256_add_epi16(rows[0], rows[4]), rounding);
    let tmp1 = widened(_mm256_sub_epi16(rows[0], rows[4]), rounding);
    let even = [add(tmp0, tmp3), add(tmp1, tmp2), subtract(tmp1, tmp2), subtract(tmp0, tmp3)];
    // Odd part.
    let (low, high) = mixed(_mm256_add_epi16(rows[7], rows[3]), _mm256_add_epi16(rows[5], rows[1]));
    let z3 = weigh(low, high, F_1_175 - F_1_961, F_1_175);
    let z4 = weigh(low, high, F_1_175, F_1_175 - F_0_390);
    let (low, high) = mixed(rows[7], rows[1]);
    let outer = [
        add(weigh(low, high, -F_0_899, F_1_501 - F_0_899), z4),
        add(weigh(low, high, F_0_298 - F_0_899, -F_0_899), z3),
    ];
    let (low, high) = mixed(rows[5], rows[3]);
    let inner = [
        add(weigh(low, high, -F_2_562, F_3_072 - F_2_562), z3),
        add(weigh(low, high, F_2_053 - F_2_562, -F_2_562), z4),
    ];
    let odd = [outer[0], inner[0], inner[1], outer[1]];
    let count = _mm_cvtsi32_si128(shift as i32);
    let scaled =
        |sum: [__m256i; 2]| _mm256_packs_epi32(_mm256_sra_epi32(sum[0], count), _mm256_sra_epi32(sum[1], count));
    let mut out = rows;
    for row in 0..4 {
        out[row] = scaled(add(even[row], odd[row]));
        out[7 - row] = scaled(subtract(even[row], odd[row]));
    }
    out
}

/// Rows for columns, in each half by itself.
#[target_feature(enable = "avx2")]
#[inline]
fn transposed(r: [__m256i; 8]) -> [__m256i; 8] {
    let a: [__m256i; 8] = [
        _mm256_unpacklo_epi16(r[0], r[1]),
        _mm256_unpackhi_epi16(r[0], r[1]),
        _mm256_unpacklo_epi16(r[2], r[3]),
        _mm256_unpackhi_epi16(r[2], r[3]),
        _mm256_unpacklo_epi16(r[4], r[5]),
        _mm256_unpackhi_epi16(r[4], r[5]),
        _mm256_unpacklo_epi16(r[6], r[7]),
        _mm256_unpackhi_epi16(r[6], r[7]),
    ];
    let b: [__m256i; 8] = [
        _mm256_unpacklo_epi32(a[0], a[2]),
        _mm256_unpackhi_epi32(a[0], a[2]),
        _mm256_unpacklo_epi32(a[1], a[3]),
        _mm256_unpackhi_epi32(a[1], a[3]),
        _mm256_unpacklo_epi32(a[4], a[6]),
        _mm256_unpackhi_epi32(a[4], a[6]),
        _mm256_unpacklo_epi32(a[5], a[7]),
        _mm256_unpackhi_epi32(a[5], a[7]),
    ];
    [
        _mm256_unpacklo_epi64(b[0], b[4]),
        _mm256_unpackhi_epi64(b[0], b[4]),
        _mm256_unpacklo_epi64(b[1], b[5]),
        _mm256_unpackhi_epi64(b[1], b[5]),
        _mm256_unpacklo_epi64(b[2], b[6]),
        _mm256_unpackhi_epi64(b[2], b[6]),
        _mm256_unpacklo_epi64(b[3], b[7]),
        _mm256_unpackhi_epi64(b[3], b[7]),
    ]
}
