//! Class-balanced weights by the effective number of samples.

use super::CrossEntropy;
use crate::TrainingError;

/// Cross-entropy weighted by [`effective_number_weights`].
///
/// # Errors
/// If a class has no training image, or β is out of range.
pub fn class_balanced(class_counts: &[u32], beta: f64) -> Result<CrossEntropy, TrainingError> {
    Ok(CrossEntropy::with_class_weights(effective_number_weights(class_counts, beta)?))
}

/// `w_k ∝ (1−β)/(1−β^{N_k})`, scaled so that they sum to K.
///
/// # Shapes
/// - `class_counts`: `(K,)`, all at least 1  - `beta` in [0, 1); 0 gives all ones  - returns `(K,)`
/// # Errors
/// If a class has no training image, or β is out of range.
/// # Source
/// Cui et al. 2019, Eq. 2; LDAM `cifar_train.py` (β = 0.9999 there).
pub fn effective_number_weights(class_counts: &[u32], beta: f64) -> Result<Vec<f64>, TrainingError> {
    if !(0.0..1.0).contains(&beta) {
        return Err(TrainingError::Unsupported { what: "β of the class-balanced loss", value: beta.to_string() });
    }
    let mut weights = Vec::with_capacity(class_counts.len());
    for (class, &count) in class_counts.iter().enumerate() {
        if count == 0 {
            return Err(TrainingError::EmptyClass { class, why: "the class-balanced loss" });
        }
        weights.push((1.0 - beta) / (1.0 - beta.powf(f64::from(count))));
    }
    let scale = weights.len() as f64 / weights.iter().sum::<f64>();
    weights.iter_mut().for_each(|weight| *weight *= scale);
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_beta_by_hand() {
        // β = 1/2: 1/2 / (1 − 1/2) = 1 and 1/2 / (1 − 1/4) = 2/3; times 2 / (5/3) = 6/5.
        let weights = effective_number_weights(&[1, 2], 0.5).expect("valid");
        assert!((weights[0] - 1.2).abs() < 1e-12 && (weights[1] - 0.8).abs() < 1e-12, "{weights:?}");
        assert_eq!(effective_number_weights(&[7, 3], 0.0).expect("valid"), vec![1.0, 1.0]);
        assert!(effective_number_weights(&[1, 0], 0.5).is_err());
        assert!(effective_number_weights(&[1], 1.0).is_err());
    }
}
