//! Balanced softmax: logits shifted by the log of the training counts.

use super::CrossEntropy;
use crate::TrainingError;

/// Cross-entropy on logits shifted by [`log_counts`].
///
/// # Errors
/// If a class has no training image.
pub fn balanced_softmax(class_counts: &[u32]) -> Result<CrossEntropy, TrainingError> {
    Ok(CrossEntropy::with_logit_offsets(log_counts(class_counts)?))
}

/// The logit offsets of balanced softmax, `o_k = log N_k`.
///
/// With them, cross-entropy is `−log( N_y·exp(η_y) / Σ_j N_j·exp(η_j) )`. At test time the raw logits are used.
///
/// # Shapes
/// - `class_counts`: `(K,)`, all at least 1  - returns `(K,)`, nats
/// # Errors
/// If a class has no training image: its logarithm is −∞.
/// # Source
/// Ren et al. 2020, Theorem 1; BALMS `loss/BalancedSoftmaxLoss.py`.
pub fn log_counts(class_counts: &[u32]) -> Result<Vec<f64>, TrainingError> {
    class_counts
        .iter()
        .enumerate()
        .map(|(class, &count)| match count {
            0 => Err(TrainingError::EmptyClass { class, why: "balanced softmax" }),
            count => Ok(f64::from(count).ln()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_logs_and_zero_counts_are_named() {
        assert_eq!(log_counts(&[1]).expect("positive"), vec![0.0]);
        let error = log_counts(&[5, 0]).expect_err("zero count").to_string();
        assert_eq!(error, "class 1 has no training image, but balanced softmax needs at least one for every class");
    }
}
