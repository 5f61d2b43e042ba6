//! Named random streams: every random number of the project comes from here or from
//! [`crate::philox`].
//!
//! A stream is a function of (seed, purpose, epoch, index) and of nothing else, so the order in
//! which threads run, prefetch depth and resumption change no number. The functions below are
//! written out here, not taken from a library, so that an update of a library can never move them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Separates these keys from every other use of blake3 in the project.
const DOMAIN: &[u8] = b"longtail random stream 1\0";

/// The stream of random numbers for `purpose`, at `epoch`, for item `index`.
///
/// The ChaCha8 key is the blake3 hash of the domain, then seed, epoch and index (8 bytes each,
/// little endian), then the purpose's UTF-8 bytes: fields of fixed length first, so no two
/// different arguments encode alike.
///
/// ```
/// let mut rng = longtail_ops::stream(0, "shuffle", 3, 0);
/// assert!(longtail_ops::uniform(&mut rng) < 1.0);
/// ```
pub fn stream(seed: u64, purpose: &str, epoch: u64, index: u64) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(key(seed, purpose, epoch, index))
}

/// A Philox key for `purpose`: the first eight bytes of the hash that keys `stream(seed, purpose,
/// 0, 0)`, little endian.
pub fn stream_words(seed: u64, purpose: &str) -> [u32; 2] {
    let key = key(seed, purpose, 0, 0);
    [u32::from_le_bytes([key[0], key[1], key[2], key[3]]), u32::from_le_bytes([key[4], key[5], key[6], key[7]])]
}

fn key(seed: u64, purpose: &str, epoch: u64, index: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    for word in [seed, epoch, index] {
        hasher.update(&word.to_le_bytes());
    }
    hasher.update(purpose.as_bytes());
    *hasher.finalize().as_bytes()
}

/// Uniform in `[0, 1)`: the upper 53 bits of one 64-bit word, times 2⁻⁵³.
pub fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// Standard normal by Box–Muller: `√(−2 ln(1 − u₁)) · cos(2π u₂)`, with `u₁` drawn before `u₂`.
///
/// The sine twin is dropped, so each call takes exactly two [`uniform`]s and the stream holds no
/// hidden state.
pub fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - uniform(rng)).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(rng)).cos()
}

/// Uniform in `0..n`, without bias (multiply and reject, Lemire 2019).
///
/// # Panics
/// When `n` is zero.
pub fn below(rng: &mut ChaCha8Rng, n: u64) -> u64 {
    assert!(n > 0, "below(0): there is no number below zero to draw");
    // The low half of word·n is uneven over exactly 2⁶⁴ mod n values; those are drawn again.
    let threshold = n.wrapping_neg() % n;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(n);
        if product as u64 >= threshold {
            return (product >> 64) as u64;
        }
    }
}

/// Fisher–Yates: for `i` from the last index down to 1, swaps `i` with `below(i + 1)`. Every order
/// is equally likely.
pub fn shuffle<T>(rng: &mut ChaCha8Rng, items: &mut [T]) {
    for i in (1..items.len()).rev() {
        let j = below(rng, i as u64 + 1) as usize;
        items.swap(i, j);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_in_every_argument_and_repeat() {
        let word = |seed, purpose: &str, epoch, index| stream(seed, purpose, epoch, index).next_u64();
        let first = word(1, "a", 2, 3);
        assert_eq!(first, word(1, "a", 2, 3));
        for other in
            [word(2, "a", 2, 3), word(1, "b", 2, 3), word(1, "a", 3, 3), word(1, "a", 2, 4), word(1, "a", 3, 2)]
        {
            assert_ne!(first, other);
        }
    }

    /// The numbers themselves are part of the contract: every artifact depends on them.
    #[test]
    fn the_numbers_never_change() {
        let mut rng = stream(0, "test", 0, 0);
        let words = [rng.next_u64(), rng.next_u64()];
        assert_eq!(words, PINNED_WORDS, "{words:#x?}");
        assert_eq!(stream_words(0, "test"), PINNED_KEY, "{:#x?}", stream_words(0, "test"));
    }
    const PINNED_WORDS: [u64; 2] = [0xfe94_fde3_4683_2a75, 0x8ae7_5e6d_22a0_0121];
    const PINNED_KEY: [u32; 2] = [0xe03a_e043, 0x7507_4f3c];

    #[test]
    fn normal_has_unit_moments() {
        let mut rng = stream(7, "moments", 0, 0);
        let draws: Vec<f64> = (0..20_000).map(|_| normal(&mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let var = draws.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (var - 1.0).abs() < 0.04, "mean {mean}, variance {var}");
        assert!(draws.iter().all(|z| z.is_finite()));
    }

    #[test]
    fn below_one_is_zero_and_the_largest_range_works() {
        let mut rng = stream(0, "edge", 0, 0);
        assert_eq!(below(&mut rng, 1), 0);
        assert!(below(&mut rng, u64::MAX) < u64::MAX);
    }
}
