//! Factorisations and solutions of dense f64 systems.

use ndarray::{Array1, Array2, ArrayView2};
use ndarray_linalg::{Cholesky, Factorize, QR, Solve, UPLO, error::LinalgError as Upstream};

use crate::{LinalgError, ffi};

fn check_finite(function: &'static str, a: &ArrayView2<f64>) -> Result<(), LinalgError> {
    match a.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some(((row, column), &value)) => Err(LinalgError::NotFinite { function, row, column, value }),
    }
}

fn check_square(function: &'static str, a: &ArrayView2<f64>) -> Result<usize, LinalgError> {
    let (rows, columns) = a.dim();
    if rows != columns {
        return Err(LinalgError::Shape { function, rows, columns, expected: "a square matrix" });
    }
    check_finite(function, a)?;
    Ok(rows)
}

/// LAPACK's positive status (a failed minor or pivot, from 1), if that is what went wrong.
fn lapack_code(error: &Upstream) -> Option<i32> {
    match error {
        Upstream::Lapack(lax::error::Error::LapackComputationalFailure { return_code }) => Some(*return_code),
        _ => None,
    }
}

/// Cholesky factor: the lower triangular L with positive diagonal and `A = L·Lᵀ`.
///
/// # Shapes
/// `a`: `(n, n)` f64, symmetric (only the lower triangle is read), finite; returns `(n, n)`, zeros above the diagonal.
///
/// # Errors
/// [`LinalgError::NotPositiveDefinite`] names the first bad minor; no jitter is added here.
///
/// # Source
/// LAPACK `dpotrf`.
pub fn cholesky(a: ArrayView2<f64>) -> Result<Array2<f64>, LinalgError> {
    ffi::init();
    let dim = check_square("cholesky", &a)?;
    a.cholesky(UPLO::Lower).map_err(|error| match lapack_code(&error) {
        Some(minor) => LinalgError::NotPositiveDefinite { dim, minor: minor.max(0) as usize },
        None => LinalgError::Lapack { routine: "dpotrf", reason: error.to_string() },
    })
}

/// Eigenvalues in ascending order and eigenvectors (columns) of a symmetric matrix: `A = V·diag(w)·Vᵀ`.
///
/// # Shapes
/// `a`: `(n, n)` f64, symmetric (one triangle is read), finite; returns `w` `(n,)` and `V` `(n, n)`.
///
/// # Errors
/// [`LinalgError::Lapack`] when the iteration does not converge.
///
/// # Source
/// LAPACK `dsyevd` (divide and conquer), four times faster than ndarray-linalg's `dsyev` at n = 1024.
pub fn eigh(a: ArrayView2<f64>) -> Result<(Array1<f64>, Array2<f64>), LinalgError> {
    let dim = check_square("eigh", &a)?;
    let mut vectors: Vec<f64> = a.iter().copied().collect();
    let mut values = vec![0.0; dim];
    ffi::syevd(&mut vectors, dim, &mut values)?;
    let rows = Array2::from_shape_vec((dim, dim), vectors).expect("dim² entries were copied");
    Ok((Array1::from_vec(values), rows.reversed_axes()))
}

/// Solves `A·X = B` by LU with partial pivoting.
///
/// # Shapes
/// `a`: `(n, n)` f64, finite; `b`: `(n, m)` f64, finite; returns `(n, m)`.
///
/// # Errors
/// [`LinalgError::Singular`] when a pivot is exactly zero; [`LinalgError::Shape`] when the rows differ.
///
/// # Source
/// LAPACK `dgetrf` and `dgetrs`.
pub fn solve(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Result<Array2<f64>, LinalgError> {
    ffi::init();
    let dim = check_square("solve", &a)?;
    check_finite("solve", &b)?;
    if b.nrows() != dim {
        return Err(LinalgError::Shape {
            function: "solve",
            rows: b.nrows(),
            columns: b.ncols(),
            expected: "as many rows on the right as on the left",
        });
    }
    let factors = a.factorize().map_err(|error| solve_error(dim, error))?;
    let mut out = Array2::zeros((dim, b.ncols()));
    for (from, mut to) in b.columns().into_iter().zip(out.columns_mut()) {
        to.assign(&factors.solve(&from).map_err(|error| solve_error(dim, error))?);
    }
    Ok(out)
}

fn solve_error(dim: usize, error: Upstream) -> LinalgError {
    match lapack_code(&error) {
        Some(_) => LinalgError::Singular { dim },
        None => LinalgError::Lapack { routine: "dgetrf", reason: error.to_string() },
    }
}

/// The R of `A = Q·R`: upper triangular (trapezoidal when N < d), with `RᵀR = AᵀA`, found without squaring A's condition.
///
/// With A the centred rows of a class divided by √(N−1), R is a factor of its covariance that needs no jitter and exists
/// for singular covariances too.
///
/// # Shapes
/// `a`: `(N, d)` f64, finite, N ≥ 1, d ≥ 1; returns `(min(N, d), d)`.
///
/// # Source
/// LAPACK `dgeqrf`.
pub fn qr_r(a: ArrayView2<f64>) -> Result<Array2<f64>, LinalgError> {
    ffi::init();
    let (rows, columns) = a.dim();
    if rows == 0 || columns == 0 {
        return Err(LinalgError::Shape {
            function: "qr_r",
            rows,
            columns,
            expected: "at least one row and one column",
        });
    }
    check_finite("qr_r", &a)?;
    let (_, r) = a.qr().map_err(|error| LinalgError::Lapack { routine: "dgeqrf", reason: error.to_string() })?;
    Ok(r.as_standard_layout().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn cholesky_by_hand() {
        let a = array![[4.0, 2.0], [2.0, 5.0]];
        assert_eq!(cholesky(a.view()).expect("positive definite"), array![[2.0, 0.0], [1.0, 2.0]]);
    }

    #[test]
    fn a_singular_covariance_is_refused_with_its_minor() {
        let a = array![[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 1.0]];
        let error = cholesky(a.view()).expect_err("rank 2");
        assert_eq!(error, LinalgError::NotPositiveDefinite { dim: 3, minor: 2 });
    }

    #[test]
    fn eigenvalues_by_hand() {
        let (values, vectors) = eigh(array![[2.0, 1.0], [1.0, 2.0]].view()).expect("symmetric");
        assert!((values[0] - 1.0).abs() < 1e-14 && (values[1] - 3.0).abs() < 1e-14);
        assert!((vectors[[0, 1]] - vectors[[1, 1]]).abs() < 1e-14, "the eigenvector of 3 is (1, 1)/√2");
    }

    #[test]
    fn solve_by_hand() {
        let x = solve(array![[2.0, 0.0], [0.0, 4.0]].view(), array![[2.0], [2.0]].view()).expect("regular");
        assert_eq!(x, array![[1.0], [0.5]]);
        let error = solve(array![[1.0, 1.0], [1.0, 1.0]].view(), array![[2.0], [2.0]].view()).expect_err("singular");
        assert_eq!(error, LinalgError::Singular { dim: 2 });
    }

    #[test]
    fn wrong_shapes_and_values_are_refused() {
        let wide = Array2::<f64>::zeros((2, 3));
        assert!(matches!(cholesky(wide.view()), Err(LinalgError::Shape { rows: 2, columns: 3, .. })));
        let bad = array![[1.0, 0.0], [0.0, f64::INFINITY]];
        assert!(matches!(eigh(bad.view()), Err(LinalgError::NotFinite { row: 1, column: 1, .. })));
        assert!(matches!(qr_r(Array2::zeros((0, 3)).view()), Err(LinalgError::Shape { .. })));
    }
}
