//! What happens to a feature row before it is used: L2 norm, Tukey's power, the former norm again.

use rayon::prelude::*;

use crate::ClassifierError;

/// Norms below this leave a row as it is (PyTorch's `F.normalize` uses the same bound).
const MIN_NORM: f32 = 1e-12;

/// Euclidean norm of a row, summed in f64.
pub fn norm(row: &[f32]) -> f32 {
    row.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt() as f32
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

/// Tukey's ladder of powers, element-wise: `x^λ`; `λ = 1` is the identity. With `keep_norm` each row is rescaled to the norm
/// it had before (a unit vector's norm becomes about `d^((1−λ)/2)` otherwise).
///
/// # Shapes
/// `rows`: `(N, dim)`, every value ≥ 0 unless λ = 1; `lambda` in (0, 1].
///
/// # Errors
/// [`ClassifierError::NegativeFeature`] names the first negative value: a power of it is not a number.
///
/// # Source
/// TailCalib's `tukey_transform` (λ > 0); the rescaling is ours (mpcl_mpfa.md §5 row 16).
pub fn tukey_rows(rows: &mut [f32], dim: usize, lambda: f64, keep_norm: bool) -> Result<(), ClassifierError> {
    if lambda == 1.0 {
        return Ok(());
    }
    if let Some(at) = rows.iter().position(|&value| value < 0.0) {
        return Err(ClassifierError::NegativeFeature { row: at / dim, column: at % dim, value: rows[at], lambda });
    }
    let power = lambda as f32;
    rows.par_chunks_mut(dim).for_each(|row| {
        let before = norm(row);
        for value in row.iter_mut() {
            *value = value.powf(power);
        }
        let after = norm(row);
        if keep_norm && after > MIN_NORM {
            let scale = before / after;
            for value in row {
                *value *= scale;
            }
        }
    });
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
    ///
    /// # Errors
    /// As [`tukey_rows`].
    pub fn power(&self, rows: &mut [f32], dim: usize) -> Result<(), ClassifierError> {
        tukey_rows(rows, dim, self.tukey, self.tukey_keep_norm)
    }

    /// The whole way of an evaluated feature: L2 → Tukey → L2.
    ///
    /// # Errors
    /// As [`tukey_rows`].
    pub fn apply(&self, rows: &mut [f32], dim: usize) -> Result<(), ClassifierError> {
        self.first(rows, dim);
        self.power(rows, dim)?;
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
        tukey_rows(&mut rows, 2, 0.5, false).expect("non-negative");
        assert_eq!(rows, [2.0, 3.0, 0.0, 1.0]);
    }

    #[test]
    fn the_former_norm_comes_back() {
        // (9, 16, 0) has norm √337; its square root is (3, 4, 0) of norm 5
        let mut rows = [9.0, 16.0, 0.0];
        tukey_rows(&mut rows, 3, 0.5, true).expect("non-negative");
        let scale = 337f32.sqrt() / 5.0;
        assert!((rows[0] - 3.0 * scale).abs() < 1e-5 && (rows[1] - 4.0 * scale).abs() < 1e-5 && rows[2] == 0.0);
    }

    #[test]
    fn lambda_one_is_the_identity_even_below_zero() {
        let mut rows = [-1.0, 2.0];
        tukey_rows(&mut rows, 2, 1.0, true).expect("identity");
        assert_eq!(rows, [-1.0, 2.0]);
        let error = tukey_rows(&mut rows, 2, 0.9, true).expect_err("negative");
        assert!(matches!(error, ClassifierError::NegativeFeature { row: 0, column: 0, .. }), "{error}");
    }

    #[test]
    fn a_zero_row_stays_zero() {
        let mut rows = [0.0, 0.0, 3.0, 4.0];
        normalize_rows(&mut rows, 2);
        assert_eq!(rows, [0.0, 0.0, 0.6, 0.8]);
    }
}
