//! Vector operations on flat slices: the arithmetic of virtual steps, directions and averages.

use rayon::prelude::*;

use crate::Real;
use crate::simd::{Kernel, dispatch};

/// Elements of one task.
const CHUNK: usize = 1 << 15;

/// `y += a·x`.
pub fn axpy<T: Real>(y: &mut [T], a: T, x: &[T]) {
    combine(y, T::ONE, a, x);
}

/// Exponential moving average: `average = decay·average + (1 − decay)·value`.
pub fn ema<T: Real>(average: &mut [T], value: &[T], decay: f64) {
    combine(average, T::from_f64(decay), T::from_f64(1.0 - decay), value);
}

/// `y = b·y + a·x`.
fn combine<T: Real>(y: &mut [T], b: T, a: T, x: &[T]) {
    assert!(y.len() == x.len(), "axpy: {} and {} elements", y.len(), x.len());
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| dispatch(Combine { y, b, a, x }));
}

struct Combine<'a, T> {
    y: &'a mut [T],
    b: T,
    a: T,
    x: &'a [T],
}

impl<T: Real> Kernel for Combine<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        for (y, &x) in self.y.iter_mut().zip(self.x) {
            *y = self.b * *y + self.a * x;
        }
    }
}

/// `Σ xᵢ·yᵢ` in f64: each fixed chunk is summed in order, then the chunks in theirs.
pub fn dot<T: Real>(x: &[T], y: &[T]) -> f64 {
    assert!(x.len() == y.len(), "dot: {} and {} elements", x.len(), y.len());
    let chunk = |(x, y): (&[T], &[T])| {
        // Eight running sums let the compiler use vectors without changing the order that is
        // written here.
        let mut sums = [0.0f64; 8];
        for (x, y) in x.chunks(8).zip(y.chunks(8)) {
            for ((sum, &x), &y) in sums.iter_mut().zip(x).zip(y) {
                *sum += x.to_f64() * y.to_f64();
            }
        }
        sums.iter().sum::<f64>()
    };
    x.chunks(CHUNK).zip(y.chunks(CHUNK)).map(chunk).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_by_hand() {
        let mut y = [1.0f32, 2.0];
        axpy(&mut y, 2.0, &[10.0, 20.0]);
        assert_eq!(y, [21.0, 42.0]);
        ema(&mut y, &[1.0, 2.0], 0.5);
        assert_eq!(y, [11.0, 22.0]);
        assert_eq!(dot(&[1.0f32, 2.0, 3.0], &[4.0, 5.0, 6.0]), 32.0);
    }
}
