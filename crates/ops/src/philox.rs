//! Philox4x32-10 (Salmon et al. 2011): random numbers by counter, the same on every device.

use crate::simd::{Kernel, dispatch};

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Ten rounds of Philox over one 128-bit counter: four independent uniform words.
///
/// # Source
/// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011; checked
/// against the known-answer vectors of Random123 (`kat_vectors`).
#[inline]
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let p0 = u64::from(MULTIPLIERS[0]) * u64::from(c0);
        let p1 = u64::from(MULTIPLIERS[1]) * u64::from(c2);
        (c0, c1, c2, c3) = ((p1 >> 32) as u32 ^ c1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c3 ^ k1, p0 as u32);
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [c0, c1, c2, c3]
}

/// Blocks of four normals that are made at once.
const GROUP: usize = 16;

/// Fills `out` with standard normals; `out[i]` is a function of `(key, stream, offset + i)` alone.
///
/// Element `e = offset + i` belongs to block `e / 4`, whose counter is (block low, block high,
/// stream low, stream high). A block's words `w` give two Box–Muller pairs: with
/// `u = (w₀ + 1)·2⁻³²` in (0, 1] and `t = 2π·w₁·2⁻³²`, elements 0 and 1 are `√(−2 ln u)·cos t` and
/// `√(−2 ln u)·sin t`; elements 2 and 3 alike from words 2 and 3.
///
/// Logarithm, sine and cosine are the short f32 polynomials written below: additions,
/// multiplications, one division and one root, each rounded on its own, never fused. So every
/// device that follows IEEE 754 gives the same bits, and the loops turn into vector instructions.
/// The result lies within 10⁻⁶ of the exact formula, relative to the pair's radius.
pub fn philox_normals(key: [u32; 2], stream: u64, offset: u64, out: &mut [f32]) {
    dispatch(Normals { key, stream, offset, out });
}

struct Normals<'a> {
    key: [u32; 2],
    stream: u64,
    offset: u64,
    out: &'a mut [f32],
}

impl Kernel for Normals<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { key, stream, offset, out } = self;
        let mut made = [0f32; 4 * GROUP];
        let mut done = 0;
        if offset.is_multiple_of(4) {
            let (whole, _) = out.as_chunks_mut::<{ 4 * GROUP }>();
            for group in whole {
                group_normals(key, stream, offset.wrapping_add(done as u64) / 4, group);
                done += 4 * GROUP;
            }
        }
        while done < out.len() {
            let element = offset.wrapping_add(done as u64);
            group_normals(key, stream, element / 4, &mut made);
            let lane = (element % 4) as usize;
            let count = (made.len() - lane).min(out.len() - done);
            out[done..done + count].copy_from_slice(&made[lane..lane + count]);
            done += count;
        }
    }
}

/// The normals of `GROUP` blocks from `first` on.
#[inline(always)]
fn group_normals(key: [u32; 2], stream: u64, first: u64, out: &mut [f32; 4 * GROUP]) {
    let words = group_words(key, stream, first);
    let mut normals = [[0f32; GROUP]; 4];
    for pair in 0..2 {
        for i in 0..GROUP {
            let [cos, sin] = box_muller(words[2 * pair][i], words[2 * pair + 1][i]);
            normals[2 * pair][i] = cos;
            normals[2 * pair + 1][i] = sin;
        }
    }
    for i in 0..GROUP {
        out[4 * i] = normals[0][i];
        out[4 * i + 1] = normals[1][i];
        out[4 * i + 2] = normals[2][i];
        out[4 * i + 3] = normals[3][i];
    }
}

/// [`philox4x32_10`] of `GROUP` counters, word by word.
///
/// A word lives in the lower half of 64 bits and what a multiplication leaves above it stays there: the next one does not look.
#[inline(always)]
fn group_words(key: [u32; 2], stream: u64, first: u64) -> [[u32; GROUP]; 4] {
    let low = |word: u64| word & 0xffff_ffff;
    let mut counter = [[0u64; GROUP]; 4];
    for i in 0..GROUP {
        let block = first.wrapping_add(i as u64);
        counter[0][i] = block;
        counter[1][i] = block >> 32;
        counter[2][i] = stream;
        counter[3][i] = stream >> 32;
    }
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        for i in 0..GROUP {
            let p0 = low(counter[0][i]) * u64::from(MULTIPLIERS[0]);
            let p1 = low(counter[2][i]) * u64::from(MULTIPLIERS[1]);
            counter[0][i] = (p1 >> 32) ^ counter[1][i] ^ u64::from(k0);
            counter[1][i] = p1;
            counter[2][i] = (p0 >> 32) ^ counter[3][i] ^ u64::from(k1);
            counter[3][i] = p0;
        }
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    let mut words = [[0u32; GROUP]; 4];
    for (words, counter) in words.iter_mut().zip(&counter) {
        for i in 0..GROUP {
            words[i] = counter[i] as u32;
        }
    }
    words
}

#[inline(always)]
fn box_muller(radius_word: u32, angle_word: u32) -> [f32; 2] {
    let radius = (-2.0 * ln_fraction(radius_word)).sqrt();
    let [cos, sin] = cos_sin_turn(angle_word);
    [radius * cos, radius * sin]
}

/// `ln((word + 1)·2⁻³²)`
#[inline(always)]
fn ln_fraction(word: u32) -> f32 {
    // u = m·2^e with m in [√½, √2), then ln m = 2·artanh((m − 1)/(m + 1)) by its series.
    const SCALE: f32 = 1.0 / 4_294_967_296.0;
    const ROOT_HALF: i32 = 0x3f35_04f3;
    let bits = ((word as f32 + 1.0) * SCALE).to_bits() as i32;
    let exponent = (bits - ROOT_HALF) >> 23;
    let m = f32::from_bits((bits - (exponent << 23)) as u32);
    // Near u = 1 the distance from 1 is taken from the word itself: u has lost its digits there.
    let above_one = if exponent == 0 { -(!word as f32 * SCALE) } else { m - 1.0 };
    let s = above_one / (above_one + 2.0);
    let z = s * s;
    let series = ((z * (1.0 / 9.0) + 1.0 / 7.0) * z + 1.0 / 5.0) * z + 1.0 / 3.0;
    exponent as f32 * std::f32::consts::LN_2 + (s + s) * (z * series + 1.0)
}

/// Cosine and sine of `word·2⁻³²` turns.
#[inline(always)]
fn cos_sin_turn(word: u32) -> [f32; 2] {
    // The nearest quarter turn, and what is left: at most an eighth of a turn either way, exact.
    let quarter = word.wrapping_add(1 << 29) >> 30;
    let left = word.wrapping_sub(quarter << 30) as i32;
    let x = left as f32 * (std::f32::consts::TAU / 4_294_967_296.0);
    let z = x * x;
    let sin = ((z * (1.0 / 362_880.0) - 1.0 / 5040.0) * z + 1.0 / 120.0) * z - 1.0 / 6.0;
    let sin = x + x * (z * sin);
    let cos = ((z * (1.0 / 40_320.0) - 1.0 / 720.0) * z + 1.0 / 24.0) * z - 0.5;
    let cos = 1.0 + z * cos;
    let (a, b) = if quarter & 1 == 0 { (cos, sin) } else { (sin, cos) };
    // Cosine is negative in quarters 1 and 2, sine in 2 and 3.
    let cos_sign = ((quarter ^ (quarter >> 1)) & 1) << 31;
    let sin_sign = (quarter >> 1) << 31;
    [f32::from_bits(a.to_bits() ^ cos_sign), f32::from_bits(b.to_bits() ^ sin_sign)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random123's kat_vectors, lines `philox4x32 10`.
    #[test]
    fn known_answers() {
        assert_eq!(philox4x32_10([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        assert_eq!(philox4x32_10([u32::MAX; 4], [u32::MAX; 2]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
        assert_eq!(
            philox4x32_10([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
        );
    }

    #[test]
    fn an_element_depends_on_its_index_alone() {
        let key = [3, 4];
        let mut whole = [0f32; 37];
        philox_normals(key, 9, 5, &mut whole);
        for start in 0..37 {
            let mut part = vec![0f32; 37 - start];
            philox_normals(key, 9, 5 + start as u64, &mut part);
            assert_eq!(part, whole[start..]);
        }
        let mut other = [0f32; 37];
        philox_normals(key, 10, 5, &mut other);
        assert!(whole.iter().zip(&other).all(|(a, b)| a != b));
    }

    #[test]
    fn extreme_words_stay_finite() {
        assert_eq!(box_muller(u32::MAX, 0), [0.0, 0.0]);
        let [z, _] = box_muller(0, 0);
        assert!(z.is_finite() && z > 6.6 && z < 6.7);
    }

    /// A block's normals follow the formula, worked out in f64 from the block's own words.
    #[test]
    fn the_polynomials_follow_the_formula() {
        const SCALE: f64 = 1.0 / 4_294_967_296.0;
        let (key, stream) = ([5, 6], 1 << 40 | 7);
        let mut out = vec![0f32; 8000];
        philox_normals(key, stream, 0, &mut out);
        for (block, normals) in out.chunks_exact(4).enumerate() {
            let words = philox4x32_10([block as u32, 0, stream as u32, (stream >> 32) as u32], key);
            for pair in 0..2 {
                let u = (f64::from(words[2 * pair]) + 1.0) * SCALE;
                let radius = (-2.0 * u.ln()).sqrt();
                let angle = std::f64::consts::TAU * f64::from(words[2 * pair + 1]) * SCALE;
                for (found, expected) in normals[2 * pair..].iter().zip([angle.cos(), angle.sin()]) {
                    let error = (f64::from(*found) - radius * expected).abs();
                    assert!(error <= 1e-6 * radius, "{found} for {}", radius * expected);
                }
            }
        }
    }

    #[test]
    fn moments() {
        let mut out = vec![0f32; 40_000];
        philox_normals([1, 2], 0, 0, &mut out);
        let mean = out.iter().map(|&z| f64::from(z)).sum::<f64>() / 40_000.0;
        let var = out.iter().map(|&z| f64::from(z).powi(2)).sum::<f64>() / 40_000.0;
        assert!(mean.abs() < 0.02 && (var - 1.0).abs() < 0.03, "mean {mean}, variance {var}");
    }
}
