//! LAPACK through ndarray-linalg, behind a handful of functions.
