//! What can go wrong in a factorisation.

use thiserror::Error;

/// An error of this crate. No variant carries a path: the caller knows which file the matrix came from.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum LinalgError {
    /// The matrix has a shape the function cannot take.
    #[error("`{function}` got a matrix of {rows} × {columns}; it needs {expected}")]
    Shape {
        /// The function that refused.
        function: &'static str,
        /// Number of rows of the matrix.
        rows: usize,
        /// Columns it got.
        columns: usize,
        /// What it takes, in words.
        expected: &'static str,
    },
    /// An entry is NaN or infinite.
    #[error("`{function}` got {value} at row {row}, column {column}; every entry must be finite")]
    NotFinite {
        /// The function that refused.
        function: &'static str,
        /// First bad row.
        row: usize,
        /// Its first bad column.
        column: usize,
        /// The value found there.
        value: f64,
    },
    /// Cholesky met a matrix that is not positive definite.
    #[error("the {dim} × {dim} matrix is not positive definite: its leading minor of order {minor} is not positive")]
    NotPositiveDefinite {
        /// Rows of the matrix.
        dim: usize,
        /// Order of the first minor that is not positive, from 1.
        minor: usize,
    },
    /// The system has no unique solution.
    #[error("the {dim} × {dim} system is singular")]
    Singular {
        /// Rows of the matrix.
        dim: usize,
    },
    /// LAPACK gave an unexpected status.
    #[error("LAPACK's `{routine}` failed: {reason}")]
    Lapack {
        /// Name of the LAPACK routine.
        routine: &'static str,
        /// Its status, or what ndarray-linalg said of it.
        reason: String,
    },
}
