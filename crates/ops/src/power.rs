//! Powers, norms and sums of feature rows, the same bits on every path that follows IEEE 754.

use crate::simd::{Kernel, dispatch};

/// `x ← x^λ` for `x ≥ 0`; a subnormal counts as zero, and zero stays zero.
///
/// `2^(λ·log₂ x)` by short f32 polynomials of unfused operations, within 4·10⁻⁷ of the exact power, relative. A negative number
/// comes out as zero: callers refuse it before.
///
/// # Shapes
/// - `values`: any length, overwritten - `lambda` in (0, 1]
pub fn power(lambda: f32, values: &mut [f32]) {
    assert!(lambda > 0.0 && lambda <= 1.0, "a power of {lambda} is not in (0, 1]");
    dispatch(Power { lambda, values });
}

/// Terms that are worked on at once.
const GROUP: usize = 32;

struct Power<'a> {
    lambda: f32,
    values: &'a mut [f32],
}

impl Kernel for Power<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let lambda = Split::new(self.lambda);
        let (groups, rest) = self.values.as_chunks_mut::<GROUP>();
        for group in groups {
            for value in group {
                *value = lambda.power(*value);
            }
        }
        for value in rest {
            *value = lambda.power(*value);
        }
    }
}

/// λ as a short number, whose product with an exponent is exact, and the rest.
#[derive(Clone, Copy)]
struct Split {
    high: f32,
    low: f32,
    whole: f32,
}

impl Split {
    fn new(lambda: f32) -> Self {
        let high = f32::from_bits(lambda.to_bits() & 0xffff_f000);
        Self { high, low: lambda - high, whole: lambda }
    }

    #[inline(always)]
    fn power(self, x: f32) -> f32 {
        const ROOT_HALF: i32 = 0x3f35_04f3;
        /// Adding and taking away 1.5·2²³ rounds to the nearest whole number.
        const ROUND: f32 = 12_582_912.0;
        let bits = x.to_bits() as i32;
        let exponent = (bits - ROOT_HALF) >> 23;
        let m = f32::from_bits((bits - (exponent << 23)) as u32);
        let s = (m - 1.0) / (m + 1.0);
        let z = s * s;
        let series = ((z * (1.0 / 9.0) + 1.0 / 7.0) * z + 1.0 / 5.0) * z + 1.0 / 3.0;
        let fraction = ((s + s) * (z * series + 1.0)) * std::f32::consts::LOG2_E;
        let e = exponent as f32;
        let shifted = self.high * e + self.whole * fraction + ROUND;
        let whole = shifted - ROUND;
        // high·e is exact (12 bits by 8), and so is its distance from a whole number nearby.
        let rest = (self.high * e - whole) + (self.low * e + self.whole * fraction);
        let t = rest * std::f32::consts::LN_2;
        let exp = ((((t * (1.0 / 5040.0) + 1.0 / 720.0) * t + 1.0 / 120.0) * t + 1.0 / 24.0) * t + 1.0 / 6.0) * t + 0.5;
        let exp = (exp * t + 1.0) * t + 1.0;
        // In two halves, so that no factor overflows.
        let n = shifted.to_bits() as i32 - ROUND.to_bits() as i32;
        let scale = |n: i32| f32::from_bits(((n + 127) << 23) as u32);
        let result = exp * scale(n >> 1) * scale(n - (n >> 1));
        if x >= f32::MIN_POSITIVE { result } else { 0.0 }
    }
}

/// Sum of squares in f64: sixteen running sums, then those in order.
pub fn sum_of_squares(values: &[f32]) -> f64 {
    dispatch(SumOfSquares(values))
}

struct SumOfSquares<'a>(&'a [f32]);

impl Kernel for SumOfSquares<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> f64 {
        let mut sums = [0f64; 16];
        let (groups, rest) = self.0.as_chunks::<16>();
        for group in groups {
            for (sum, &value) in sums.iter_mut().zip(group) {
                *sum += f64::from(value) * f64::from(value);
            }
        }
        for (sum, &value) in sums.iter_mut().zip(rest) {
            *sum += f64::from(value) * f64::from(value);
        }
        sums.iter().sum()
    }
}

/// `out = Σ_t w_t·x_t`, in the order of the terms; each operation rounded on its own.
///
/// # Shapes
/// every x: as long as `out`, which is overwritten
pub fn weighted_sum(terms: &[(f32, &[f32])], out: &mut [f32]) {
    let len = out.len();
    assert!(terms.iter().all(|(_, x)| x.len() == len), "weighted_sum: every term has the {len} elements of the sum");
    dispatch(WeightedSum { terms, out });
}

struct WeightedSum<'a> {
    terms: &'a [(f32, &'a [f32])],
    out: &'a mut [f32],
}

impl Kernel for WeightedSum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let (groups, rest) = self.out.as_chunks_mut::<GROUP>();
        let behind = groups.len() * GROUP;
        for (group, at) in groups.iter_mut().zip((0..).step_by(GROUP)) {
            let mut sums = [0f32; GROUP];
            for &(weight, x) in self.terms {
                for (sum, &x) in sums.iter_mut().zip(&x[at..at + GROUP]) {
                    *sum += weight * x;
                }
            }
            *group = sums;
        }
        for (at, out) in rest.iter_mut().enumerate() {
            *out = self.terms.iter().fold(0.0, |sum, &(weight, x)| sum + weight * x[behind + at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_those_of_f64() {
        for lambda in [0.1f32, 0.5, 0.7, 0.9, 0.999, 1.0] {
            let mut values: Vec<f32> = (0..4000).map(|i| 2f32.powf(i as f32 * 0.0632 - 126.0)).collect();
            let half = std::f32::consts::FRAC_1_SQRT_2;
            values.extend([0.0, 1.0, 3.0, 1e-3, 0.7, half, half.next_down(), half.next_up(), f32::MAX]);
            let exact: Vec<f64> = values.iter().map(|&x| f64::from(x).powf(f64::from(lambda))).collect();
            power(lambda, &mut values);
            for (found, exact) in values.iter().zip(&exact) {
                let error = (f64::from(*found) - exact).abs() / exact.max(1e-300);
                assert!(error < 4e-7 || (*exact == 0.0 && *found == 0.0), "λ {lambda}: {found}, exact {exact}");
            }
        }
    }

    #[test]
    fn every_path_gives_the_same_bits() {
        let start: Vec<f32> = (0..999).map(|i| (i as f32 * 0.731).sin().abs()).collect();
        let results: Vec<(Vec<u32>, u64)> = crate::available_simd_paths()
            .into_iter()
            .map(|path| {
                crate::set_simd_path(Some(path));
                let mut values = start.clone();
                power(0.9, &mut values);
                let sum = sum_of_squares(&values);
                let mut mixed = vec![0f32; values.len()];
                weighted_sum(&[(0.5, &values), (0.3, &start), (-0.7, &start)], &mut mixed);
                (mixed.iter().map(|value| value.to_bits()).collect(), sum.to_bits())
            })
            .collect();
        crate::set_simd_path(None);
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn sums_by_hand() {
        assert_eq!(sum_of_squares(&[3.0, 4.0]), 25.0);
        let mut out = [f32::NAN; 35];
        let (ones, ramp) = ([1.0f32; 35], std::array::from_fn::<f32, 35, _>(|i| i as f32));
        weighted_sum(&[(2.0, &ones), (0.5, &ramp)], &mut out);
        assert_eq!(out, std::array::from_fn::<f32, 35, _>(|i| 2.0 + 0.5 * i as f32));
        weighted_sum(&[], &mut out);
        assert_eq!(out, [0.0; 35]);
    }

    #[test]
    #[should_panic(expected = "every term has the 2 elements of the sum")]
    fn a_short_term_panics_in_words() {
        weighted_sum(&[(1.0, &[1.0])], &mut [0.0; 2]);
    }
}
