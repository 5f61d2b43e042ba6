//! SGD with momentum, Nesterov's variant and coupled weight decay; where a step would lead, without taking it.

use std::ops::Range;

use candle_core::Tensor;
use longtail_backbone::by_float;
use longtail_backbone::host::{read, write};
use longtail_ops::{SgdStep, sgd_step};
use longtail_recipe::VirtualStep;

#[cfg(feature = "cuda")]
use super::sgd_on_cuda;
use crate::{Scalar, TrainingError};

/// What stays the same from step to step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdSettings {
    /// Momentum μ in [0, 1).
    pub momentum: f64,
    /// Nesterov's variant.
    pub nesterov: bool,
    /// ω ≥ 0, added to the gradient as ω·w where the decay mask allows.
    pub weight_decay: f64,
}

/// `d = g + ω·w; b ← μ·b + d; w ← w − lr·(nesterov ? d + μ·b : b)`, b from 0, on slices that the caller keeps.
///
/// # Source
/// `torch.optim.SGD` with dampening 0; its first step sets b = d, the same as from 0.
#[derive(Debug, Clone)]
struct SgdRule {
    settings: SgdSettings,
    decay_ranges: Option<Vec<Range<usize>>>,
}

impl SgdRule {
    /// Only weights in `decay_ranges` (sorted, disjoint) decay; without ranges all do.
    fn new(settings: SgdSettings, decay_ranges: Option<Vec<Range<usize>>>) -> Self {
        Self { settings, decay_ranges }
    }

    /// One step on `weights` with `gradient` and the momentum buffer b.
    ///
    /// # Errors
    /// If their sizes differ.
    fn step<T: Scalar>(
        &self,
        lr: f64,
        weights: &mut [T],
        gradient: &[T],
        buffer: &mut [T],
    ) -> Result<(), TrainingError> {
        TrainingError::check_size("weights", weights.len(), buffer.len())?;
        TrainingError::check_size("gradient", gradient.len(), buffer.len())?;
        let SgdSettings { momentum, nesterov, weight_decay } = self.settings;
        let step = SgdStep { lr, momentum, nesterov, weight_decay };
        sgd_step(weights, gradient, buffer, step, self.decay_ranges.as_deref());
        Ok(())
    }

    /// `g + ω·w`, with ω = 0 outside the decay ranges: the gradient as the momentum buffer takes it.
    fn decayed_gradient<T: Scalar>(&self, weights: &[T], gradient: &[T]) -> Vec<T> {
        let everything = 0..weights.len();
        let decay = T::of(self.settings.weight_decay);
        let mut decayed = gradient.to_vec();
        for range in self.decay_ranges.as_deref().unwrap_or(std::slice::from_ref(&everything)) {
            for index in range.clone() {
                decayed[index] = gradient[index] + decay * weights[index];
            }
        }
        decayed
    }

    /// Of −∂g/∂Θ in ∂Ŵ/∂Θ.
    fn factor(&self, kind: VirtualStep, lr: f64) -> f64 {
        match kind {
            VirtualStep::Nesterov => lr * (1.0 + self.settings.momentum),
            VirtualStep::Sgd | VirtualStep::Momentum => lr,
        }
    }

    /// Ŵ into `there`; all slices are of one length.
    fn ahead<T: Scalar>(
        &self,
        kind: VirtualStep,
        lr: f64,
        weights: &[T],
        gradient: &[T],
        buffer: &[T],
        there: &mut [T],
    ) {
        let (rate, momentum) = (T::of(lr), T::of(self.settings.momentum));
        let changed = match kind {
            VirtualStep::Momentum | VirtualStep::Nesterov => {
                let mut direction = self.decayed_gradient(weights, gradient);
                for (direction, buffer) in direction.iter_mut().zip(buffer) {
                    let averaged = momentum * *buffer + *direction;
                    *direction =
                        if kind == VirtualStep::Nesterov { *direction + momentum * averaged } else { averaged };
                }
                Some(direction)
            }
            VirtualStep::Sgd => None,
        };
        let direction = changed.as_deref().unwrap_or(gradient);
        for (there, (weight, direction)) in there.iter_mut().zip(weights.iter().zip(direction)) {
            *there = *weight - rate * *direction;
        }
    }
}

/// `SgdRule` over tensors, with its momentum buffer.
#[derive(Debug)]
pub struct Sgd {
    rule: SgdRule,
    buffer: Tensor,
    /// Of each weight whether it decays, where the weights lie on a GPU.
    #[cfg(feature = "cuda")]
    decays: Option<Tensor>,
}

impl Sgd {
    /// For weights like `weights`, flat; only those in `decay_ranges` (sorted, disjoint) decay, without ranges all do.
    ///
    /// # Errors
    /// If there is no memory for the buffer.
    pub fn new(
        settings: SgdSettings,
        weights: &Tensor,
        decay_ranges: Option<Vec<Range<usize>>>,
    ) -> Result<Self, TrainingError> {
        Ok(Self {
            #[cfg(feature = "cuda")]
            decays: sgd_on_cuda::decays(weights, decay_ranges.as_deref())?,
            rule: SgdRule::new(settings, decay_ranges),
            buffer: weights.zeros_like()?,
        })
    }

    /// One step on `weights`, in place, with `gradient`.
    ///
    /// # Errors
    /// If sizes or types differ.
    pub fn step(&mut self, lr: f64, weights: &Tensor, gradient: &Tensor) -> Result<(), TrainingError> {
        let (rule, buffer) = (&self.rule, &self.buffer);
        #[cfg(feature = "cuda")]
        if let Some(decays) = &self.decays {
            return sgd_on_cuda::step(lr, rule.settings, weights, gradient, buffer, decays);
        }
        by_float!(weights, T => {
            write(weights, |weights: &mut [T]| write(buffer, |buffer: &mut [T]| read(gradient, |gradient: &[T]| {
                rule.step(lr, weights, gradient, buffer)
            })))???
        })
    }

    /// Writes Ŵ, where one step from `weights` would lead, to `there`, and returns the factor of −∂g/∂Θ in ∂Ŵ/∂Θ.
    ///
    /// | step | Ŵ | factor |
    /// |---|---|---|
    /// | `sgd` | W − α·g | α |
    /// | `momentum` | W − α·(μb + g + ωW) | α |
    /// | `nesterov` | W − α·[(g + ωW) + μ(μb + g + ωW)] | α(1+μ) |
    ///
    /// W and the momentum buffer b are only read. ω is 0 outside the decay ranges.
    ///
    /// # Errors
    /// If sizes or types differ.
    /// # Source
    /// mpcl_mpfa.md §4.3 (Eq. 6; MW-Net and MetaSAug take the plain step, BALMS the optimiser's).
    pub fn virtual_step(
        &self,
        kind: VirtualStep,
        lr: f64,
        weights: &Tensor,
        gradient: &Tensor,
        there: &Tensor,
    ) -> Result<f64, TrainingError> {
        let (rule, buffer) = (&self.rule, &self.buffer);
        for (what, tensor) in [("weights", weights), ("gradient", gradient), ("virtual weights", there)] {
            TrainingError::check_size(what, tensor.elem_count(), buffer.elem_count())?;
        }
        #[cfg(feature = "cuda")]
        if let Some(decays) = &self.decays {
            sgd_on_cuda::ahead(kind, lr, rule.settings, (weights, gradient, buffer, decays), there)?;
            return Ok(rule.factor(kind, lr));
        }
        by_float!(weights, T => {
            write(there, |there: &mut [T]| read(weights, |weights: &[T]| read(gradient, |gradient: &[T]| {
                read(buffer, |buffer: &[T]| rule.ahead(kind, lr, weights, gradient, buffer, there))
            })))???
        })?;
        Ok(rule.factor(kind, lr))
    }

    /// Returns the settings of the optimiser.
    pub fn settings(&self) -> SgdSettings {
        self.rule.settings
    }

    /// The momentum buffer b, flat.
    pub fn buffer(&self) -> &Tensor {
        &self.buffer
    }

    /// The momentum buffer b, to be put in place.
    pub fn buffer_mut(&mut self) -> &mut Tensor {
        &mut self.buffer
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn vector(values: &[f64]) -> Tensor {
        Tensor::from_slice(values, values.len(), &Device::Cpu).expect("a vector")
    }

    fn values(tensor: &Tensor) -> Vec<f64> {
        f64::values(tensor).expect("f64")
    }

    #[test]
    fn two_steps_by_hand() {
        // w = 1, g = 1, μ = 1/2, ω = 1/4, lr = 1/2. Step 1: d = 5/4, b = 5/4, w = 3/8.
        // Step 2: d = 1 + 3/32 = 35/32, b = 5/8 + 35/32 = 55/32, w = 3/8 − 55/64 = −31/64.
        let settings = SgdSettings { momentum: 0.5, nesterov: false, weight_decay: 0.25 };
        let (weights, gradient) = (vector(&[1.0]), vector(&[1.0]));
        let mut sgd = Sgd::new(settings, &weights, None).expect("memory");
        sgd.step(0.5, &weights, &gradient).expect("sizes fit");
        assert_eq!((values(&weights), values(sgd.buffer())), (vec![0.375], vec![1.25]));
        sgd.step(0.5, &weights, &gradient).expect("sizes fit");
        assert_eq!((values(&weights), values(sgd.buffer())), (vec![-31.0 / 64.0], vec![55.0 / 32.0]));
    }

    #[test]
    fn nesterov_looks_ahead_and_only_ranges_decay() {
        // d = 1 (no decay outside the ranges), b = 1, update = d + b/2 = 3/2.
        let settings = SgdSettings { momentum: 0.5, nesterov: true, weight_decay: 0.25 };
        let weights = vector(&[1.0, 1.0]);
        let mut sgd = Sgd::new(settings, &weights, Some(vec![1..2, 2..2])).expect("memory");
        sgd.step(1.0, &weights, &vector(&[1.0, 1.0])).expect("sizes fit");
        assert_eq!(values(&weights), [-0.5, 1.0 - 1.5 * 1.25]);
    }

    #[test]
    fn a_wrong_size_is_an_error() {
        let settings = SgdSettings { momentum: 0.5, nesterov: true, weight_decay: 0.25 };
        let weights = vector(&[1.0, 1.0]);
        let mut sgd = Sgd::new(settings, &weights, None).expect("memory");
        assert!(sgd.step(1.0, &vector(&[1.0]), &weights).is_err());
        assert!(
            sgd.virtual_step(VirtualStep::Sgd, 1.0, &weights, &vector(&[1.0]), &weights.zeros_like().expect("memory"))
                .is_err()
        );
    }

    #[test]
    fn each_virtual_step_is_the_one_that_the_optimiser_would_take() {
        for (kind, nesterov) in [(VirtualStep::Momentum, false), (VirtualStep::Nesterov, true)] {
            let settings = SgdSettings { momentum: 0.9, nesterov, weight_decay: 0.1 };
            let (weights, gradient) = (vector(&[1.0, -2.0]), vector(&[0.3, 0.7]));
            let mut sgd = Sgd::new(settings, &weights, Some(vec![0..1, 1..1])).expect("memory");
            sgd.step(0.1, &weights, &vector(&[1.0, -1.0])).expect("sizes fit");
            let there = vector(&[9.0, 9.0]);
            let factor = sgd.virtual_step(kind, 0.5, &weights, &gradient, &there).expect("sizes fit");
            assert_eq!(factor, if nesterov { 0.5 * 1.9 } else { 0.5 });
            sgd.step(0.5, &weights, &gradient).expect("sizes fit");
            for (actual, expected) in values(&weights).iter().zip(values(&there)) {
                assert!((actual - expected).abs() < 1e-15, "{kind:?}: {actual} is not {expected}");
            }
        }
    }

    #[test]
    fn the_plain_virtual_step_knows_neither_momentum_nor_decay() {
        let settings = SgdSettings { momentum: 0.9, nesterov: false, weight_decay: 0.1 };
        let (weights, there) = (vector(&[1.0]), vector(&[9.0]));
        let mut sgd = Sgd::new(settings, &weights, None).expect("memory");
        *sgd.buffer_mut() = vector(&[5.0]);
        let factor = sgd.virtual_step(VirtualStep::Sgd, 0.5, &weights, &vector(&[0.5]), &there).expect("sizes fit");
        assert_eq!((values(&there), factor), (vec![0.75], 0.5));
    }
}
