//! The three routines that ndarray-linalg lacks, declared by hand, and OpenBLAS's thread count.
//!
//! The only `unsafe` of the crate. Each function checks its slices' lengths before it passes a pointer on.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};
use std::sync::OnceLock;

use crate::LinalgError;

unsafe extern "C" {
    fn openblas_set_num_threads(threads: c_int);
    fn openblas_get_num_threads() -> c_int;
    fn cblas_ssyrk(
        order: c_int,
        uplo: c_int,
        trans: c_int,
        n: c_int,
        k: c_int,
        alpha: f32,
        a: *const f32,
        lda: c_int,
        beta: f32,
        c: *mut f32,
        ldc: c_int,
    );
    fn dsyevd_(
        jobz: *const c_char,
        uplo: *const c_char,
        n: *const c_int,
        a: *mut f64,
        lda: *const c_int,
        w: *mut f64,
        work: *mut f64,
        lwork: *const c_int,
        iwork: *mut c_int,
        liwork: *const c_int,
        info: *mut c_int,
    );
}

const CBLAS_ROW_MAJOR: c_int = 101;
const CBLAS_UPPER: c_int = 121;
const CBLAS_TRANS: c_int = 112;

/// Sets OpenBLAS to one thread, once, and returns the number it then reports (1).
///
/// Every function of this crate calls it; a binary calls it first thing in `main`, so that the thread pool is settled
/// before work starts. Cheap after the first call.
pub fn init() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| {
        // SAFETY: both are plain C functions of OpenBLAS without pointer arguments; the `OnceLock` lets one thread
        // through, and no other call into OpenBLAS of this crate runs before it returns.
        let reported = unsafe {
            openblas_set_num_threads(1);
            openblas_get_num_threads()
        };
        usize::try_from(reported).unwrap_or(1)
    })
}

fn to_c_int(function: &'static str, rows: usize, columns: usize) -> Result<(c_int, c_int), LinalgError> {
    match (c_int::try_from(rows), c_int::try_from(columns)) {
        (Ok(rows), Ok(columns)) => Ok((rows, columns)),
        _ => Err(LinalgError::Shape { function, rows, columns, expected: "sides below 2³¹" }),
    }
}

/// Upper triangle of `XᵀX` into `out` (`columns` × `columns`, row-major); the lower triangle is left as it was.
pub(crate) fn syrk_upper(x: &[f32], rows: usize, columns: usize, out: &mut [f32]) -> Result<(), LinalgError> {
    init();
    assert_eq!(x.len(), rows * columns, "x holds rows × columns values");
    assert_eq!(out.len(), columns * columns, "out holds columns × columns values");
    let (n_rows, n_columns) = to_c_int("scatter", rows, columns)?;
    if columns == 0 {
        return Ok(());
    }
    // SAFETY: lengths were checked above; with row-major order and `Trans`, A is rows × columns with leading dimension
    // `columns`, and C is columns × columns with the same leading dimension. beta = 0: C is written, not read.
    unsafe {
        cblas_ssyrk(
            CBLAS_ROW_MAJOR,
            CBLAS_UPPER,
            CBLAS_TRANS,
            n_columns,
            n_rows,
            1.0,
            x.as_ptr(),
            n_columns,
            0.0,
            out.as_mut_ptr(),
            n_columns,
        );
    }
    Ok(())
}

/// Eigenvalues (ascending) of a symmetric matrix; `a` is overwritten by the eigenvectors, one per row.
///
/// LAPACK is column-major, so the columns it writes are rows to us, and a symmetric input needs no transposition.
pub(crate) fn syevd(a: &mut [f64], dim: usize, eigenvalues: &mut [f64]) -> Result<(), LinalgError> {
    init();
    assert_eq!(a.len(), dim * dim, "a holds dim × dim values");
    assert_eq!(eigenvalues.len(), dim, "one eigenvalue per row");
    if dim == 0 {
        return Ok(());
    }
    let (n, _) = to_c_int("eigh", dim, dim)?;
    let (vectors, upper) = (b'V' as c_char, b'U' as c_char);
    let mut info: c_int = 0;
    let (mut work_size, mut iwork_size, query) = (0f64, 0 as c_int, -1 as c_int);
    // SAFETY: a workspace query (lwork = liwork = -1): only the two sizes and info are written.
    unsafe {
        dsyevd_(
            &vectors,
            &upper,
            &n,
            a.as_mut_ptr(),
            &n,
            eigenvalues.as_mut_ptr(),
            &mut work_size,
            &query,
            &mut iwork_size,
            &query,
            &mut info,
        );
    }
    if info != 0 {
        return Err(LinalgError::Lapack { routine: "dsyevd", reason: format!("workspace query gave info = {info}") });
    }
    let mut work = vec![0f64; work_size as usize];
    let mut iwork = vec![0 as c_int; iwork_size as usize];
    let (work_len, _) = to_c_int("eigh", work.len(), 0)?;
    // SAFETY: a is dim × dim, eigenvalues has dim entries, and both workspaces have the sizes LAPACK asked for.
    unsafe {
        dsyevd_(
            &vectors,
            &upper,
            &n,
            a.as_mut_ptr(),
            &n,
            eigenvalues.as_mut_ptr(),
            work.as_mut_ptr(),
            &work_len,
            iwork.as_mut_ptr(),
            &iwork_size,
            &mut info,
        );
    }
    match info {
        0 => Ok(()),
        _ => Err(LinalgError::Lapack { routine: "dsyevd", reason: format!("info = {info}") }),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn openblas_runs_on_one_thread() {
        assert_eq!(super::init(), 1);
        assert_eq!(super::init(), 1);
    }
}
