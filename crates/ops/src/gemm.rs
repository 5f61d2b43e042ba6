//! Dense matrix products with one fixed order of sums, whatever the number of threads.

use rayon::prelude::*;

use crate::Real;

/// Multiply-adds in one task. Small enough to share out, large enough that a task's cost is not
/// felt.
const TASK_MULTIPLY_ADDS: usize = 1 << 20;

/// `C ← α·A·B + β·C` on strided matrices. When `beta` is zero, C is not read (NaN in it is dropped,
/// as BLAS has it).
///
/// The rows of C are cut into blocks by a rule that looks at `m`, `n`, `k` only; each block is one
/// single-threaded product. So the same bits come out for every number of threads.
///
/// # Shapes
/// - `a`: `(m, k)`, element `(i, j)` at `i·rs + j·cs` with `a_strides = (rs, cs)`
/// - `b`: `(k, n)` - `c`: `(m, n)`, row-major with a row stride `c_strides.0 ≥ n` and `c_strides.1
///   == 1`, or any strides when it fits one block
///
/// # Panics
/// When a slice is too short for its shape and strides.
pub fn gemm<T: Real>(
    m: usize,
    n: usize,
    k: usize,
    alpha: T,
    a: &[T],
    a_strides: (usize, usize),
    b: &[T],
    b_strides: (usize, usize),
    beta: T,
    c: &mut [T],
    c_strides: (usize, usize),
) {
    if m == 0 || n == 0 {
        return;
    }
    let rows = (TASK_MULTIPLY_ADDS / (n * k).max(1)).clamp(16, 1 << 14).next_multiple_of(16);
    let splittable = c_strides.1 == 1 && c_strides.0 >= n && m > rows;
    if !splittable {
        return gemm_single(m, n, k, alpha, a, a_strides, b, b_strides, beta, c, c_strides);
    }
    let used = (m - 1) * c_strides.0 + n;
    c[..used].par_chunks_mut(rows * c_strides.0).enumerate().for_each(|(block, c)| {
        let first = block * rows;
        let count = rows.min(m - first);
        let a = a.get(first * a_strides.0..).expect("A holds m rows");
        gemm_single(count, n, k, alpha, a, a_strides, b, b_strides, beta, c, c_strides);
    });
}

/// The same product on the calling thread: for use inside a task that is parallel already.
pub fn gemm_single<T: Real>(
    m: usize,
    n: usize,
    k: usize,
    alpha: T,
    a: &[T],
    a_strides: (usize, usize),
    b: &[T],
    b_strides: (usize, usize),
    beta: T,
    c: &mut [T],
    c_strides: (usize, usize),
) {
    let span = |rows: usize, cols: usize, strides: (usize, usize)| {
        if rows == 0 || cols == 0 { 0 } else { (rows - 1) * strides.0 + (cols - 1) * strides.1 + 1 }
    };
    if m == 0 || n == 0 {
        return;
    }
    assert!(a.len() >= span(m, k, a_strides), "gemm: A has {} elements, needs {}", a.len(), span(m, k, a_strides));
    assert!(b.len() >= span(k, n, b_strides), "gemm: B has {} elements, needs {}", b.len(), span(k, n, b_strides));
    assert!(c.len() >= span(m, n, c_strides), "gemm: C has {} elements, needs {}", c.len(), span(m, n, c_strides));
    assert!(
        (m == 1 || c_strides.0 > 0) && (n == 1 || c_strides.1 > 0),
        "gemm: C's strides {c_strides:?} would write one element twice"
    );
    let signed = |stride: usize| isize::try_from(stride).expect("a stride fits an isize");
    // SAFETY: the spans of all three matrices were checked against their slices just above, C is
    // borrowed mutably and so overlaps neither A nor B, and T is f32 or f64 (Real has no other
    // implementation), which `gemm` supports.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            signed(c_strides.1),
            signed(c_strides.0),
            beta != T::ZERO,
            a.as_ptr(),
            signed(a_strides.1),
            signed(a_strides.0),
            b.as_ptr(),
            signed(b_strides.1),
            signed(b_strides.0),
            beta,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_by_two_by_hand() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        let mut c = [1.0f64; 4];
        gemm(2, 2, 2, 1.0, &a, (2, 1), &b, (2, 1), 0.0, &mut c, (2, 1));
        assert_eq!(c, [19.0, 22.0, 43.0, 50.0]);
        gemm(2, 2, 2, 2.0, &a, (1, 2), &b, (2, 1), 1.0, &mut c, (2, 1));
        assert_eq!(c, [19.0 + 52.0, 22.0 + 60.0, 43.0 + 76.0, 50.0 + 88.0]);
    }

    #[test]
    fn beta_zero_drops_nan_and_nan_in_a_passes() {
        let mut c = [f32::NAN; 2];
        gemm(2, 1, 1, 1.0, &[2.0, f32::NAN], (1, 1), &[3.0], (1, 1), 0.0, &mut c, (1, 1));
        assert_eq!(c[0], 6.0);
        assert!(c[1].is_nan());
    }

    #[test]
    fn zero_inner_dimension_scales_c() {
        let mut c = [3.0f32, 4.0];
        gemm(1, 2, 0, 1.0, &[], (0, 1), &[], (2, 1), 0.5, &mut c, (2, 1));
        assert_eq!(c, [1.5, 2.0]);
    }

    #[test]
    fn blocks_agree_with_a_plain_loop() {
        let (m, n, k) = (1500, 70, 33);
        let a: Vec<f64> = (0..m * k).map(|i| (i % 17) as f64 - 8.0).collect();
        let b: Vec<f64> = (0..k * n).map(|i| (i % 13) as f64 - 6.0).collect();
        let mut c = vec![0.0; m * n];
        gemm(m, n, k, 1.0, &a, (k, 1), &b, (n, 1), 0.0, &mut c, (n, 1));
        for (i, j) in [(0, 0), (17, 3), (1499, 69), (777, 40)] {
            let expected: f64 = (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
            assert_eq!(c[i * n + j], expected);
        }
    }

    #[test]
    #[should_panic(expected = "gemm: A has 3 elements, needs 4")]
    fn short_slices_panic_in_words() {
        gemm(2, 1, 2, 1.0, &[0f32; 3], (2, 1), &[0f32; 2], (1, 1), 0.0, &mut [0f32; 2], (1, 1));
    }
}
