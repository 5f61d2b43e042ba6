//! Adam with decoupled weight decay.

use candle_core::Tensor;
use longtail_backbone::by_float;
use longtail_backbone::host::{read, write};
use longtail_ops::{AdamStep, adam_step};

use crate::TrainingError;

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
#[derive(Debug)]
pub struct Adam {
    settings: AdamSettings,
    /// First moment m as a flat vector.
    first: Tensor,
    /// Second moment v as a flat vector.
    second: Tensor,
    steps: [u64; 1],
}

impl Adam {
    /// For weights like `weights`, flat; moments from 0.
    ///
    /// # Errors
    /// If there is no memory for the moments.
    pub fn new(settings: AdamSettings, weights: &Tensor) -> Result<Self, TrainingError> {
        Ok(Self { settings, first: weights.zeros_like()?, second: weights.zeros_like()?, steps: [0] })
    }

    /// One step on `weights`, in place, with `gradient`.
    ///
    /// # Errors
    /// If sizes or types differ.
    pub fn step(&mut self, lr: f64, weights: &Tensor, gradient: &Tensor) -> Result<(), TrainingError> {
        TrainingError::check_size("weights", weights.elem_count(), self.first.elem_count())?;
        TrainingError::check_size("gradient", gradient.elem_count(), self.first.elem_count())?;
        let [steps] = &mut self.steps;
        *steps += 1;
        let AdamSettings { beta1, beta2, epsilon, weight_decay } = self.settings;
        let step = AdamStep { lr, beta1, beta2, eps: epsilon, weight_decay, decoupled: true };
        #[cfg(feature = "cuda")]
        if weights.device().is_cuda() {
            return step_on_cuda(step, *steps, weights, gradient, (&self.first, &self.second));
        }
        by_float!(weights, T => {
            write(weights, |weights: &mut [T]| write(&self.first, |first: &mut [T]| {
                write(&self.second, |second: &mut [T]| read(gradient, |gradient: &[T]| {
                    adam_step(weights, gradient, first, second, *steps, step, None);
                }))
            }))???
        })?;
        Ok(())
    }

    /// The moments m and v, and the number of steps taken.
    pub fn state(&mut self) -> (&mut Tensor, &mut Tensor, &mut [u64]) {
        (&mut self.first, &mut self.second, &mut self.steps)
    }
}

/// The same by the kernel of a GPU; (m, v).
#[cfg(feature = "cuda")]
fn step_on_cuda(
    step: AdamStep,
    steps: u64,
    weights: &Tensor,
    gradient: &Tensor,
    (first, second): (&Tensor, &Tensor),
) -> Result<(), TrainingError> {
    use longtail_backbone::device::{read, write};
    use longtail_ops::gpu::{AdamNumbers, gpu_adam};
    let AdamStep { lr, beta1, beta2, eps, weight_decay, decoupled } = step;
    let correction = |beta: f64| (1.0 - beta.powf(steps as f64)) as f32;
    let rate = Tensor::new(&[lr as f32], weights.device())?;
    let corrections = Tensor::new(&[correction(beta1), correction(beta2)], weights.device())?;
    write(weights, |driver, weights| {
        write(first, |_, first| {
            write(second, |_, second| {
                read(gradient, |_, gradient| {
                    read(&rate, |_, rate| {
                        read(&corrections, |_, corrections| {
                            let numbers = AdamNumbers {
                                rate,
                                corrections,
                                betas: (beta1 as f32, beta2 as f32),
                                epsilon: eps as f32,
                                shrink: if decoupled { (1.0 - lr * weight_decay) as f32 } else { 1.0 },
                                l2: if decoupled { 0.0 } else { weight_decay as f32 },
                            };
                            gpu_adam(driver, weights, gradient, first, second, &numbers)
                        })
                    })
                })
            })
        })
    })???????;
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::Scalar;

    fn vector<T: Scalar>(values: &[T]) -> Tensor {
        Tensor::from_slice(values, values.len(), &Device::Cpu).expect("a vector")
    }

    #[test]
    fn the_first_step_has_the_size_of_the_rate() {
        // m̂ = g, v̂ = g²: the step is lr·sign(g) but for ε.
        let weights = vector(&[1.0, 1.0]);
        let settings = AdamSettings { epsilon: 1e-300, ..AdamSettings::default() };
        let mut adam = Adam::new(settings, &weights).expect("memory");
        adam.step(0.1, &weights, &vector(&[3.0, -1e-5])).expect("sizes fit");
        let weights = f64::values(&weights).expect("f64");
        assert!((weights[0] - 0.9).abs() < 1e-12 && (weights[1] - 1.1).abs() < 1e-12, "{weights:?}");
    }

    #[test]
    fn decay_is_decoupled_from_the_gradient() {
        let weights = vector(&[2.0]);
        let settings = AdamSettings { weight_decay: 0.5, ..AdamSettings::default() };
        Adam::new(settings, &weights).expect("memory").step(0.1, &weights, &vector(&[0.0])).expect("sizes fit");
        let weights = f64::values(&weights).expect("f64");
        assert!((weights[0] - 1.9).abs() < 1e-12, "{weights:?}");
    }

    #[test]
    fn a_restored_state_goes_on_to_the_same_bits() {
        let (a, b) = (vector(&[0.3f32]), vector(&[0.3f32]));
        let mut straight = Adam::new(AdamSettings::default(), &a).expect("memory");
        let mut resumed = Adam::new(AdamSettings::default(), &b).expect("memory");
        straight.step(0.1, &a, &vector(&[0.7f32])).expect("sizes fit");
        let b = a.copy().expect("memory");
        let (from, to) = (straight.state(), resumed.state());
        (*to.0, *to.1) = (from.0.copy().expect("memory"), from.1.copy().expect("memory"));
        to.2.copy_from_slice(from.2);
        straight.step(0.1, &a, &vector(&[-0.2f32])).expect("sizes fit");
        resumed.step(0.1, &b, &vector(&[-0.2f32])).expect("sizes fit");
        assert_eq!(f32::values(&a).expect("f32"), f32::values(&b).expect("f32"));
    }
}
