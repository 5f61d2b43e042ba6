//! Cross-entropy with class weights, logit offsets and smoothing: one fused operation, which other losses are made of.

use std::sync::Arc;

use candle_core::Tensor;
use longtail_ops::{CrossEntropySpec, cross_entropy};

use super::{ClassificationLoss, CrossEntropyOp};
use crate::step::StepAt;
use crate::{Scalar, TrainingError};

/// Cross-entropy on shifted logits, weighted by class, smoothed: mean over the batch, in nats.
///
/// `ℓ_i = w_{y_i} · [ −Σ_k t_ik log softmax(η_i + o)_k ]`, `t = (1−ε)·onehot(y) + ε/K`, and the mean is
/// `Σ_i ℓ_i / Σ_i w_{y_i}` (PyTorch's).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CrossEntropy {
    /// `w`, (K,); none = all 1.
    class_weights: Option<Arc<[f64]>>,
    /// `o`, (K,); none = all 0.
    logit_offsets: Option<Arc<[f64]>>,
    /// Label smoothing ε in [0, 1).
    smoothing: f64,
}

impl CrossEntropy {
    /// On logits shifted by `offsets`, (K), nats.
    pub fn with_logit_offsets(offsets: Vec<f64>) -> Self {
        Self { logit_offsets: Some(offsets.into()), ..Self::default() }
    }

    /// With a weight for each class, (K), above 0.
    pub fn with_class_weights(weights: Vec<f64>) -> Self {
        Self { class_weights: Some(weights.into()), ..Self::default() }
    }

    /// The same loss with label smoothing ε in [0, 1).
    #[must_use]
    pub fn with_smoothing(mut self, smoothing: f64) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// The mean loss, the same at every step: a scalar that can be differentiated once.
    ///
    /// # Shapes
    /// - `logits`: `(N, K)` f32 or f64, N at least 1  - `labels`: `(N,)` below K
    /// # Errors
    /// If sizes or labels do not fit.
    pub fn of(&self, logits: &Tensor, labels: &[u32]) -> Result<Tensor, TrainingError> {
        let (rows, classes) = logits.dims2()?;
        self.check(labels, rows, classes)?;
        Ok(logits.contiguous()?.apply_op1(CrossEntropyOp::new(self.clone(), labels.to_vec()))?)
    }

    /// The mean loss of host logits; its gradient with respect to them goes to `dlogits` where given.
    ///
    /// # Shapes
    /// - `logits`, `dlogits`: `(N, K)` row-major, N at least 1  - `labels`: `(N,)` below K
    /// # Errors
    /// If sizes or labels do not fit.
    pub fn value_and_gradient<T: Scalar>(
        &self,
        logits: &[T],
        labels: &[u32],
        num_classes: usize,
        dlogits: Option<&mut [T]>,
    ) -> Result<f64, TrainingError> {
        TrainingError::check_size("logits", logits.len(), labels.len() * num_classes)?;
        self.check(labels, labels.len(), num_classes)?;
        let mut losses = vec![T::ZERO; labels.len()];
        let weights = self.class_weights.as_deref().map(narrow::<T>);
        let offsets = self.logit_offsets.as_deref().map(narrow::<T>);
        let spec = CrossEntropySpec {
            labels: Some(labels),
            soft_targets: None,
            sample_weights: None,
            class_weights: weights.as_deref(),
            logit_offsets: offsets.as_deref(),
            smoothing: self.smoothing,
        };
        Ok(cross_entropy(&spec, logits, labels.len(), num_classes, &mut losses, dlogits)?.wide())
    }

    /// `w`, (K,), where classes are weighted.
    pub fn class_weights(&self) -> Option<&[f64]> {
        self.class_weights.as_deref()
    }

    /// `o`, (K,), where logits are shifted.
    pub fn logit_offsets(&self) -> Option<&[f64]> {
        self.logit_offsets.as_deref()
    }

    /// Label smoothing ε.
    pub fn smoothing(&self) -> f64 {
        self.smoothing
    }

    /// `Σ_i w_{y_i}`, the same at every step.
    pub fn sum_of_weights(&self, labels: &[u32]) -> f64 {
        match &self.class_weights {
            None => labels.len() as f64,
            Some(weights) => labels.iter().filter_map(|&label| weights.get(label as usize)).sum(),
        }
    }

    fn check(&self, labels: &[u32], rows: usize, classes: usize) -> Result<(), TrainingError> {
        TrainingError::check_size("labels", labels.len(), rows)?;
        TrainingError::check_labels(labels, classes)?;
        for per_class in [&self.class_weights, &self.logit_offsets].into_iter().flatten() {
            TrainingError::check_size("class weights or logit offsets", per_class.len(), classes)?;
        }
        Ok(())
    }
}

impl ClassificationLoss for CrossEntropy {
    fn forward(&self, logits: &Tensor, labels: &[u32], _: &StepAt) -> Result<Tensor, TrainingError> {
        self.of(logits, labels)
    }

    fn weight_of(&self, labels: &[u32], _: &StepAt) -> f64 {
        self.sum_of_weights(labels)
    }
}

fn narrow<T: Scalar>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&value| T::of(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::{balanced_softmax, class_balanced};
    use candle_core::{Device, Var};

    const LOGITS: [f64; 6] = [1.0, 2.0, 0.5, -1.0, 0.0, 3.0];

    fn log_softmax(row: &[f64]) -> Vec<f64> {
        let total: f64 = row.iter().map(|value| value.exp()).sum();
        row.iter().map(|value| value - total.ln()).collect()
    }

    #[test]
    fn balanced_softmax_is_cross_entropy_on_shifted_logits() {
        let counts = [100, 10, 1];
        let loss = balanced_softmax(&counts).expect("counts are positive");
        let actual = loss.value_and_gradient(&LOGITS, &[2, 0], 3, None).expect("valid");
        let shifted: Vec<f64> =
            LOGITS.iter().enumerate().map(|(index, value)| value + f64::from(counts[index % 3]).ln()).collect();
        let expected = -0.5 * (log_softmax(&shifted[..3])[2] + log_softmax(&shifted[3..])[0]);
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn class_weights_divide_by_their_own_sum() {
        let loss = CrossEntropy { class_weights: Some(vec![1.0, 1.0, 3.0].into()), ..Default::default() };
        let actual = loss.value_and_gradient(&LOGITS, &[2, 0], 3, None).expect("valid");
        let expected = -(3.0 * log_softmax(&LOGITS[..3])[2] + log_softmax(&LOGITS[3..])[0]) / 4.0;
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn the_mean_is_that_of_its_parts_by_their_weight() {
        for class_weights in [None, Some(vec![1.0, 2.0, 3.0].into())] {
            let loss = CrossEntropy { class_weights, ..Default::default() };
            let mean =
                |logits: &[f64], labels: &[u32]| loss.value_and_gradient(logits, labels, 3, None).expect("valid");
            let weight = |labels: &[u32]| loss.sum_of_weights(labels);
            let parts = weight(&[2]) * mean(&LOGITS[..3], &[2]) + weight(&[0]) * mean(&LOGITS[3..], &[0]);
            assert!((mean(&LOGITS, &[2, 0]) - parts / weight(&[2, 0])).abs() < 1e-15);
        }
    }

    #[test]
    fn candle_sees_the_same_value_and_gradient() {
        for loss in [
            CrossEntropy::default(),
            CrossEntropy::default().with_smoothing(0.1),
            balanced_softmax(&[9, 3, 1]).expect("positive"),
            class_balanced(&[9, 3, 1], 0.9).expect("positive"),
        ] {
            let logits = Var::from_slice(&LOGITS, (2, 3), &Device::Cpu).expect("2·3 values");
            let value = loss.of(&logits, &[1, 2]).expect("valid");
            let doubled = (&value * 2.0).expect("scalar");
            let store = doubled.backward().expect("differentiable");
            let through_candle = f64::values(store.get(&logits).expect("a gradient")).expect("f64");
            let mut direct = [0.0; 6];
            let mean = loss.value_and_gradient(&LOGITS, &[1, 2], 3, Some(&mut direct)).expect("valid");
            assert_eq!(value.to_scalar::<f64>().expect("scalar"), mean);
            for (index, gradient) in through_candle.iter().enumerate() {
                assert!((gradient - 2.0 * direct[index]).abs() < 1e-15);
                let at = |shift: f64| {
                    let mut moved = LOGITS;
                    moved[index] += shift;
                    loss.value_and_gradient(&moved, &[1, 2], 3, None).expect("valid")
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((direct[index] - difference).abs() < 1e-9, "{} is not {difference}", direct[index]);
            }
        }
    }

    #[test]
    fn labels_and_sizes_are_checked() {
        let loss = CrossEntropy::default();
        assert!(loss.value_and_gradient(&LOGITS, &[3, 0], 3, None).is_err());
        assert!(loss.value_and_gradient(&LOGITS, &[0], 3, None).is_err());
        assert!(balanced_softmax(&[3, 0]).is_err());
    }
}
