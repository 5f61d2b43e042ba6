//! Adam with decoupled weight decay.

use longtail_ops::{AdamStep, adam_step};

use crate::{Scalar, TrainingError};

/// What stays the same from step to step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamSettings {
    /// β₁ in [0, 1). Default 0.9.
    pub beta1: f64,
    /// β₂ in [0, 1). Default 0.999.
    pub beta2: f64,
    /// ε > 0, added to √v̂. Default 1e-8.
    pub epsilon: f64,
    /// Decoupled: `w ← w·(1 − lr·ω)` before the step. Default 0.
    pub weight_decay: f64,
}

impl Default for AdamSettings {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// `m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; w ← w(1−lr·ω) − lr·m̂/(√v̂ + ε)`, hats divided by 1 − βᵗ.
///
/// # Source
/// `torch.optim.AdamW`; with ω = 0 also `torch.optim.Adam`.
#[derive(Debug, Clone)]
pub struct Adam<T> {
    settings: AdamSettings,
    first: Vec<T>,
    second: Vec<T>,
    steps: u64,
}

impl<T: Scalar> Adam<T> {
    /// For `len` weights, moments from 0.
    pub fn new(settings: AdamSettings, len: usize) -> Self {
        Self { settings, first: vec![T::ZERO; len], second: vec![T::ZERO; len], steps: 0 }
    }

    /// One step on `weights` with `gradient`.
    ///
    /// # Errors
    /// If a size differs from `len`.
    pub fn step(&mut self, lr: f64, weights: &mut [T], gradient: &[T]) -> Result<(), TrainingError> {
        TrainingError::check_size("weights", weights.len(), self.first.len())?;
        TrainingError::check_size("gradient", gradient.len(), self.first.len())?;
        self.steps += 1;
        let AdamSettings { beta1, beta2, epsilon, weight_decay } = self.settings;
        let step = AdamStep { lr, beta1, beta2, eps: epsilon, weight_decay, decoupled: true };
        adam_step(weights, gradient, &mut self.first, &mut self.second, self.steps, step, None);
        Ok(())
    }

    /// The first moments m, the second moments v, and the number of steps taken.
    pub fn state(&self) -> (&[T], &[T], u64) {
        (&self.first, &self.second, self.steps)
    }

    /// Puts back a saved state.
    ///
    /// # Errors
    /// If a size differs.
    pub fn restore(&mut self, first: Vec<T>, second: Vec<T>, steps: u64) -> Result<(), TrainingError> {
        TrainingError::check_size("first moments", first.len(), self.first.len())?;
        TrainingError::check_size("second moments", second.len(), self.second.len())?;
        (self.first, self.second, self.steps) = (first, second, steps);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_has_the_size_of_the_rate() {
        // m̂ = g, v̂ = g²: the step is lr·sign(g) but for ε.
        let mut adam = Adam::<f64>::new(AdamSettings { epsilon: 1e-300, ..AdamSettings::default() }, 2);
        let mut weights = [1.0, 1.0];
        adam.step(0.1, &mut weights, &[3.0, -1e-5]).expect("sizes fit");
        assert!((weights[0] - 0.9).abs() < 1e-12 && (weights[1] - 1.1).abs() < 1e-12, "{weights:?}");
    }

    #[test]
    fn decay_is_decoupled_from_the_gradient() {
        let settings = AdamSettings { weight_decay: 0.5, ..AdamSettings::default() };
        let mut adam = Adam::<f64>::new(settings, 1);
        let mut weights = [2.0];
        adam.step(0.1, &mut weights, &[0.0]).expect("sizes fit");
        assert!((weights[0] - 1.9).abs() < 1e-12, "{weights:?}");
    }

    #[test]
    fn a_restored_state_goes_on_to_the_same_bits() {
        let mut straight = Adam::<f32>::new(AdamSettings::default(), 1);
        let (mut a, mut b) = ([0.3], [0.3]);
        straight.step(0.1, &mut a, &[0.7]).expect("sizes fit");
        b.copy_from_slice(&a);
        let (first, second, steps) = straight.state();
        let mut resumed = Adam::<f32>::new(AdamSettings::default(), 1);
        resumed.restore(first.to_vec(), second.to_vec(), steps).expect("sizes fit");
        straight.step(0.1, &mut a, &[-0.2]).expect("sizes fit");
        resumed.step(0.1, &mut b, &[-0.2]).expect("sizes fit");
        assert_eq!(a, b);
    }
}
