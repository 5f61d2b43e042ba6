//! Philox4x32-10 (Salmon et al. 2011): random numbers by counter, the same on every device.

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
        (c0, c1, c2, c3) = (
            (p1 >> 32) as u32 ^ c1 ^ k0,
            p1 as u32,
            (p0 >> 32) as u32 ^ c3 ^ k1,
            p0 as u32,
        );
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [c0, c1, c2, c3]
}

/// Fills `out` with standard normals; `out[i]` is a function of `(key, stream, offset + i)` alone.
///
/// Element `e = offset + i` belongs to block `e / 4`, whose counter is (block low, block high,
/// stream low, stream high). A block's words `w` give two Box–Muller pairs: with `u = (w₀ +
/// 1)·2⁻³²` in (0, 1] and `t = 2π·w₁·2⁻³²`, elements 0 and 1 are `√(−2 ln u)·cos t` and `√(−2 ln
/// u)·sin t`; elements 2 and 3 alike from words 2 and 3. Worked out in f64 and rounded once, so
/// that devices whose f64 functions differ in the last place agree in nearly every f32.
pub fn philox_normals(key: [u32; 2], stream: u64, offset: u64, out: &mut [f32]) {
    let mut done = 0;
    while done < out.len() {
        let element = offset.wrapping_add(done as u64);
        let lane = (element % 4) as usize;
        let normals = block_normals(key, stream, element / 4);
        let count = (4 - lane).min(out.len() - done);
        out[done..done + count].copy_from_slice(&normals[lane..lane + count]);
        done += count;
    }
}

fn block_normals(key: [u32; 2], stream: u64, block: u64) -> [f32; 4] {
    let words = philox4x32_10(
        [
            block as u32,
            (block >> 32) as u32,
            stream as u32,
            (stream >> 32) as u32,
        ],
        key,
    );
    let [a, b] = box_muller(words[0], words[1]);
    let [c, d] = box_muller(words[2], words[3]);
    [a, b, c, d]
}

fn box_muller(radius_word: u32, angle_word: u32) -> [f32; 2] {
    const SCALE: f64 = 1.0 / 4_294_967_296.0;
    let radius = (-2.0 * ((f64::from(radius_word) + 1.0) * SCALE).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * f64::from(angle_word) * SCALE).sin_cos();
    [(radius * cos) as f32, (radius * sin) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random123's kat_vectors, lines `philox4x32 10`.
    #[test]
    fn known_answers() {
        assert_eq!(
            philox4x32_10([0; 4], [0; 2]),
            [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]
        );
        assert_eq!(
            philox4x32_10([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]
        );
        assert_eq!(
            philox4x32_10(
                [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
                [0xa4093822, 0x299f31d0]
            ),
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

    #[test]
    fn moments() {
        let mut out = vec![0f32; 40_000];
        philox_normals([1, 2], 0, 0, &mut out);
        let mean = out.iter().map(|&z| f64::from(z)).sum::<f64>() / 40_000.0;
        let var = out.iter().map(|&z| f64::from(z).powi(2)).sum::<f64>() / 40_000.0;
        assert!(
            mean.abs() < 0.02 && (var - 1.0).abs() < 0.03,
            "mean {mean}, variance {var}"
        );
    }
}
