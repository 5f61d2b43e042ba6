//! SGD with momentum, Nesterov's variant and coupled weight decay.

use std::ops::Range;

use longtail_ops::{SgdStep, sgd_step};

use crate::{Scalar, TrainingError};

/// What stays the same from step to step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdSettings {
    /// μ in [0, 1).
    pub momentum: f64,
    /// Nesterov's variant.
    pub nesterov: bool,
    /// ω ≥ 0, added to the gradient as ω·w where the decay mask allows.
    pub weight_decay: f64,
}

/// `d = g + ω·w; b ← μ·b + d; w ← w − lr·(nesterov ? d + μ·b : b)`, b from 0.
///
/// # Source
/// `torch.optim.SGD` with dampening 0; its first step sets b = d, the same as from 0.
#[derive(Debug, Clone)]
pub struct Sgd<T> {
    settings: SgdSettings,
    decay_ranges: Option<Vec<Range<usize>>>,
    buffer: Vec<T>,
}

impl<T: Scalar> Sgd<T> {
    /// For `len` weights; only those in `decay_ranges` (sorted, disjoint) decay, without ranges all do.
    pub fn new(settings: SgdSettings, len: usize, decay_ranges: Option<Vec<Range<usize>>>) -> Self {
        Self { settings, decay_ranges, buffer: vec![T::ZERO; len] }
    }

    /// One step on `weights` with `gradient`.
    ///
    /// # Errors
    /// If a size differs from `len`.
    pub fn step(&mut self, lr: f64, weights: &mut [T], gradient: &[T]) -> Result<(), TrainingError> {
        TrainingError::check_size("weights", weights.len(), self.buffer.len())?;
        TrainingError::check_size("gradient", gradient.len(), self.buffer.len())?;
        let SgdSettings { momentum, nesterov, weight_decay } = self.settings;
        let step = SgdStep { lr, momentum, nesterov, weight_decay };
        sgd_step(weights, gradient, &mut self.buffer, step, self.decay_ranges.as_deref());
        Ok(())
    }

    /// The settings.
    pub fn settings(&self) -> SgdSettings {
        self.settings
    }

    /// `g + ω·w`, with ω = 0 outside the decay ranges: the gradient as the momentum buffer takes it.
    ///
    /// # Errors
    /// If a size differs from `len`.
    pub fn decayed_gradient(&self, weights: &[T], gradient: &[T]) -> Result<Vec<T>, TrainingError> {
        TrainingError::check_size("weights", weights.len(), self.buffer.len())?;
        TrainingError::check_size("gradient", gradient.len(), self.buffer.len())?;
        let everything = 0..weights.len();
        let decay = T::of(self.settings.weight_decay);
        let mut decayed = gradient.to_vec();
        for range in self.decay_ranges.as_deref().unwrap_or(std::slice::from_ref(&everything)) {
            for index in range.clone() {
                decayed[index] = gradient[index] + decay * weights[index];
            }
        }
        Ok(decayed)
    }

    /// The momentum buffer b.
    pub fn buffer(&self) -> &[T] {
        &self.buffer
    }

    /// Puts back a saved momentum buffer.
    ///
    /// # Errors
    /// If its size differs.
    pub fn restore(&mut self, buffer: Vec<T>) -> Result<(), TrainingError> {
        TrainingError::check_size("momentum buffer", buffer.len(), self.buffer.len())?;
        self.buffer = buffer;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_by_hand() {
        // w = 1, g = 1, μ = 1/2, ω = 1/4, lr = 1/2. Step 1: d = 5/4, b = 5/4, w = 3/8.
        // Step 2: d = 1 + 3/32 = 35/32, b = 5/8 + 35/32 = 55/32, w = 3/8 − 55/64 = −31/64.
        let settings = SgdSettings { momentum: 0.5, nesterov: false, weight_decay: 0.25 };
        let mut sgd = Sgd::<f64>::new(settings, 1, None);
        let mut weights = [1.0];
        sgd.step(0.5, &mut weights, &[1.0]).expect("sizes fit");
        assert_eq!((weights[0], sgd.buffer()[0]), (0.375, 1.25));
        sgd.step(0.5, &mut weights, &[1.0]).expect("sizes fit");
        assert_eq!((weights[0], sgd.buffer()[0]), (-31.0 / 64.0, 55.0 / 32.0));
    }

    #[test]
    fn nesterov_looks_ahead_and_only_ranges_decay() {
        // d = 1 (no decay outside the ranges), b = 1, update = d + b/2 = 3/2.
        let settings = SgdSettings { momentum: 0.5, nesterov: true, weight_decay: 0.25 };
        let mut sgd = Sgd::<f64>::new(settings, 2, Some(vec![1..2, 2..2]));
        let mut weights = [1.0, 1.0];
        sgd.step(1.0, &mut weights, &[1.0, 1.0]).expect("sizes fit");
        assert_eq!(weights, [-0.5, 1.0 - 1.5 * 1.25]);
        assert_eq!(sgd.decayed_gradient(&[4.0, 4.0], &[1.0, 1.0]).expect("sizes fit"), vec![1.0, 2.0]);
    }

    #[test]
    fn a_wrong_size_is_an_error() {
        let settings = SgdSettings { momentum: 0.5, nesterov: true, weight_decay: 0.25 };
        let mut sgd = Sgd::<f32>::new(settings, 2, None);
        assert!(sgd.step(1.0, &mut [1.0], &[1.0]).is_err());
        assert!(sgd.restore(vec![0.0]).is_err());
    }
}
