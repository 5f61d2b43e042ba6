//! Sums of flat vectors.

use rayon::prelude::*;

use crate::Real;
use crate::simd::{Kernel, dispatch};

/// Elements of one task.
const CHUNK: usize = 1 << 15;

/// `y += a·x`.
pub fn axpy<T: Real>(y: &mut [T], a: T, x: &[T]) {
    assert!(y.len() == x.len(), "axpy: {} and {} elements", y.len(), x.len());
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| dispatch(Axpy { y, a, x }));
}

struct Axpy<'a, T> {
    y: &'a mut [T],
    a: T,
    x: &'a [T],
}

impl<T: Real> Kernel for Axpy<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        for (y, &x) in self.y.iter_mut().zip(self.x) {
            *y += self.a * x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_by_hand() {
        let mut y = [1.0f32, 2.0];
        axpy(&mut y, 2.0, &[10.0, 20.0]);
        assert_eq!(y, [21.0, 42.0]);
    }
}
