//! LAPACK through ndarray-linalg, behind a handful of functions.
//!
//! For covariances of features and their factors, matrices of `ndarray` as large as a feature. Not here: networks (their products are
//! `longtail-ops`'s, in f32), files. The build script finds OpenBLAS or says at once how to install it; the rest of the workspace
//! links BLAS only through this crate. Few functions, so that another backend is one file away:
//!
//! - [`scatter`]: `Σ (x − c)(x − c)ᵀ` of rows of f32; the others are of f64. [`cholesky`] and [`eigh`]: factors of a symmetric matrix. [`solve`]: A·x = b.
//! - [`qr_r`]: the R of a QR. [`init`]: one thread in OpenBLAS; the others call it.
//!
//! # Threads
//! OpenBLAS runs on one thread, always: callers run rayon over classes instead, which also fixes the order of sums. Every
//! function here calls [`init`] itself, so that no binary and no test can forget to; a library that was loaded with
//! another `OPENBLAS_NUM_THREADS` is corrected before the first call.
//!
//! # Bits
//! OpenBLAS picks its kernels by CPU model. The same build on the same model gives the same bits; golden tests compare with
//! a tolerance.
//!
//! ```
//! use ndarray::array;
//! let a = array![[4.0, 2.0], [2.0, 3.0]];
//! let lower = longtail_linalg::cholesky(a.view())?;
//! assert!((lower[[0, 0]] - 2.0).abs() < 1e-12 && (lower[[1, 1]] - 2f64.sqrt()).abs() < 1e-12);
//! # Ok::<(), longtail_linalg::LinalgError>(())
//! ```

mod error;
mod factor;
mod ffi;
mod scatter;

pub use error::LinalgError;
pub use factor::{cholesky, eigh, qr_r, solve};
pub use ffi::init;
pub use scatter::scatter;
