//! What a cross-entropy is taken of: targets, weights, offsets, smoothing.

use crate::{OpsError, Real};

/// What a cross-entropy is taken of. Exactly one of `labels` and `soft_targets` is given.
#[derive(Debug, Clone, Copy, Default)]
pub struct CrossEntropySpec<'a, T> {
    /// `(N)`, each in `0..C`.
    pub labels: Option<&'a [u32]>,
    /// `(N, C)`; rows need not sum to one.
    pub soft_targets: Option<&'a [T]>,
    /// `(N)`: multiplies each sample's part of the mean. It does not enter the denominator.
    pub sample_weights: Option<&'a [T]>,
    /// `(C)`: weight of each class. With labels the mean is divided by `Σ w_{y_i}`, as PyTorch has
    /// it; with soft targets by N.
    pub class_weights: Option<&'a [T]>,
    /// `(C)`: added to every sample's logits, `ln n_c` for balanced softmax.
    pub logit_offsets: Option<&'a [T]>,
    /// Label smoothing ε in `[0, 1)`: the target becomes `(1 − ε)·t + ε/C`.
    pub smoothing: f64,
}

impl<T: Real> CrossEntropySpec<'_, T> {
    pub(super) fn check(&self, logits: usize, n: usize, c: usize, losses: usize) -> Result<(), OpsError> {
        let length = |name: &'static str, found: usize, expected: usize| {
            if found == expected { Ok(()) } else { Err(OpsError::Length { name, found, expected }) }
        };
        length("logits", logits, n * c)?;
        length("losses", losses, n)?;
        match (self.labels, self.soft_targets) {
            (Some(_), Some(_)) => {
                return Err(OpsError::Targets { given: "but got both" });
            }
            (None, None) => {
                return Err(OpsError::Targets { given: "but got neither" });
            }
            (Some(labels), None) => {
                length("labels", labels.len(), n)?;
                if let Some((sample, &label)) = labels.iter().enumerate().find(|&(_, &label)| label as usize >= c) {
                    return Err(OpsError::LabelOutOfRange { sample, label, num_classes: c });
                }
            }
            (None, Some(soft)) => length("soft_targets", soft.len(), n * c)?,
        }
        length("sample_weights", self.sample_weights.map_or(n, <[T]>::len), n)?;
        length("class_weights", self.class_weights.map_or(c, <[T]>::len), c)?;
        length("logit_offsets", self.logit_offsets.map_or(c, <[T]>::len), c)?;
        if !(0.0..1.0).contains(&self.smoothing) {
            return Err(OpsError::Smoothing { smoothing: self.smoothing.to_string() });
        }
        Ok(())
    }

    /// What the sum over samples is divided by.
    pub(super) fn denominator(&self, n: usize) -> Result<f64, OpsError> {
        let total = match (self.labels, self.class_weights) {
            (Some(labels), Some(weights)) => labels.iter().map(|&y| weights[y as usize].to_f64()).sum(),
            _ => n as f64,
        };
        if n > 0 && total == 0.0 { Err(OpsError::ZeroWeight) } else { Ok(total) }
    }

    pub(super) fn offset(&self, class: usize) -> T {
        self.logit_offsets.map_or(T::ZERO, |offsets| offsets[class])
    }

    pub(super) fn class_weight(&self, class: usize) -> T {
        self.class_weights.map_or(T::ONE, |weights| weights[class])
    }

    /// The smoothed target of one class.
    pub(super) fn target(&self, row: usize, class: usize, c: usize) -> T {
        let raw = match (self.labels, self.soft_targets) {
            (Some(labels), _) => {
                if labels[row] as usize == class {
                    T::ONE
                } else {
                    T::ZERO
                }
            }
            (None, Some(soft)) => soft[row * c + class],
            (None, None) => T::ZERO,
        };
        if self.smoothing == 0.0 {
            raw
        } else {
            T::from_f64(1.0 - self.smoothing) * raw + T::from_f64(self.smoothing / c as f64)
        }
    }

    /// The largest shifted logit and the sum of exponentials below it.
    pub(super) fn normaliser(&self, z: &[T]) -> (T, T) {
        let mut largest = T::NEG_INFINITY;
        for (class, &z) in z.iter().enumerate() {
            let z = z + self.offset(class);
            largest = if z > largest { z } else { largest };
        }
        let mut sum = T::ZERO;
        for (class, &z) in z.iter().enumerate() {
            sum += (z + self.offset(class) - largest).exp();
        }
        (largest, sum)
    }
}
