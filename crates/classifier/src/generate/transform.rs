//! What happens to a feature row before it is used: L2 norm, Tukey's power, the former norm again.

use longtail_ops::{power, sum_of_squares};
use rayon::prelude::*;

use crate::ClassifierError;

/// Norms below this leave a row as it is (PyTorch's `F.normalize` uses the same bound).
const MIN_NORM: f32 = 1e-12;

/// Euclidean norm of a row, summed in f64.
pub fn norm(row: &[f32]) -> f32 {
    sum_of_squares(row).sqrt() as f32
}

/// Scales a row to unit norm; a zero row stays zero.
pub fn normalize(row: &mut [f32]) {
    let length = norm(row).max(MIN_NORM);
    for value in row {
        *value /= length;
    }
}

/// Scales every row of `(N, dim)` to unit norm; zero rows stay zero.
pub fn normalize_rows(rows: &mut [f32], dim: usize) {
    rows.par_chunks_mut(dim).for_each(normalize);
}

/// Tukey's ladder of powers, element-wise: `x^λ`; `λ = 1` is the identity.
///
/// # Source
/// TailCalib's `tukey_transform` (λ > 0); the rescaling is ours (mpcl_mpfa.md §5 row 16).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tukey {
    /// λ in (0, 1].
    pub lambda: f64,
    /// Each row is rescaled to the norm it had before (a unit vector's norm becomes about `d^((1−λ)/2)` otherwise).
    pub keep_norm: bool,
}

impl Tukey {
    /// Rows stay as they are.
    pub const IDENTITY: Self = Self { lambda: 1.0, keep_norm: false };

    /// Can these rows `(N, dim)` be raised to the power?
    ///
    /// # Errors
    /// [`ClassifierError::NegativeFeature`] names the first negative value: a power of it is not a number.
    pub fn check(self, rows: &[f32], dim: usize) -> Result<(), ClassifierError> {
        if self.lambda == 1.0 {
            return Ok(());
        }
        match rows.iter().position(|&value| value < 0.0) {
            None => Ok(()),
            Some(at) => Err(ClassifierError::NegativeFeature {
                row: at / dim,
                column: at % dim,
                value: rows[at],
                lambda: self.lambda,
            }),
        }
    }

    /// One row, whose values are not negative unless λ = 1.
    pub fn apply(self, row: &mut [f32]) {
        if self.lambda == 1.0 {
            return;
        }
        let before = if self.keep_norm { norm(row) } else { 0.0 };
        power(self.lambda as f32, row);
        if self.keep_norm {
            let after = norm(row);
            if after > MIN_NORM {
                let scale = before / after;
                row.iter_mut().for_each(|value| *value *= scale);
            }
        }
    }
}

/// [`Tukey`] of every row of `(N, dim)`.
///
/// # Errors
/// As [`Tukey::check`].
pub fn tukey_rows(rows: &mut [f32], dim: usize, tukey: Tukey) -> Result<(), ClassifierError> {
    tukey.check(rows, dim)?;
    rows.par_chunks_mut(dim).for_each(|row| tukey.apply(row));
    Ok(())
}

/// What a method does to features on their way into its head: at training and at test alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeatureTransform {
    /// Unit norm before Tukey and again before the head.
    pub l2: bool,
    /// Tukey's λ in (0, 1]; 1 = off.
    pub tukey: f64,
    /// Give a row its former norm after Tukey.
    pub tukey_keep_norm: bool,
}

impl FeatureTransform {
    /// Features as they were dumped.
    pub const IDENTITY: Self = Self { l2: false, tukey: 1.0, tukey_keep_norm: false };

    /// The first half: L2 if asked for. Class means and covariances are taken here (un-Tukey'd).
    pub fn first(&self, rows: &mut [f32], dim: usize) {
        if self.l2 {
            normalize_rows(rows, dim);
        }
    }

    /// The second half, of rows that went through [`first`](Self::first): Tukey, without the last normalisation.
    pub fn second(&self) -> Tukey {
        Tukey { lambda: self.tukey, keep_norm: self.tukey_keep_norm }
    }

    /// The whole way of an evaluated feature: L2 → Tukey → L2.
    ///
    /// # Errors
    /// As [`tukey_rows`].
    pub fn apply(&self, rows: &mut [f32], dim: usize) -> Result<(), ClassifierError> {
        self.first(rows, dim);
        tukey_rows(rows, dim, self.second())?;
        self.first(rows, dim);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tukey_by_hand() {
        let mut rows = [4.0, 9.0, 0.0, 1.0];
        tukey_rows(&mut rows, 2, Tukey { lambda: 0.5, keep_norm: false }).expect("non-negative");
        let close = rows.iter().zip([2.0f32, 3.0, 0.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close && rows[2] == 0.0, "{rows:?}");
    }

    #[test]
    fn the_former_norm_comes_back() {
        // (9, 16, 0) has norm √337; its square root is (3, 4, 0) of norm 5
        let mut rows = [9.0, 16.0, 0.0];
        tukey_rows(&mut rows, 3, Tukey { lambda: 0.5, keep_norm: true }).expect("non-negative");
        let scale = 337f32.sqrt() / 5.0;
        assert!((rows[0] - 3.0 * scale).abs() < 1e-5 && (rows[1] - 4.0 * scale).abs() < 1e-5 && rows[2] == 0.0);
    }

    #[test]
    fn lambda_one_is_the_identity_even_below_zero() {
        let mut rows = [-1.0, 2.0];
        tukey_rows(&mut rows, 2, Tukey { lambda: 1.0, keep_norm: true }).expect("identity");
        assert_eq!(rows, [-1.0, 2.0]);
        let error = tukey_rows(&mut rows, 2, Tukey { lambda: 0.9, keep_norm: true }).expect_err("negative");
        assert!(matches!(error, ClassifierError::NegativeFeature { row: 0, column: 0, .. }), "{error}");
    }

    #[test]
    fn a_zero_row_stays_zero() {
        let mut rows = [0.0, 0.0, 3.0, 4.0];
        normalize_rows(&mut rows, 2);
        assert_eq!(rows, [0.0, 0.0, 0.6, 0.8]);
    }
}
