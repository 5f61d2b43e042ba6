//! Ŵ: where one step of the network's optimiser would lead, without taking it.

use longtail_recipe::VirtualStep;
use longtail_training::{Scalar, Sgd, TrainingError};

use crate::RepresentationError;

/// Writes Ŵ to `virtual_weights` and returns the factor of −∂g/∂Θ in ∂Ŵ/∂Θ.
///
/// | step | Ŵ | factor |
/// |---|---|---|
/// | `sgd` | W − α·g | α |
/// | `momentum` | W − α·(μb + g + ωW) | α |
/// | `nesterov` | W − α·[(g + ωW) + μ(μb + g + ωW)] | α(1+μ) |
///
/// W, the momentum buffer b and the optimiser are only read. ω is 0 outside the decay ranges.
///
/// # Errors
/// If sizes differ.
/// # Source
/// mpcl_mpfa.md §4.3 (Eq. 6; MW-Net and MetaSAug take the plain step, BALMS the optimiser's).
pub fn virtual_step<T: Scalar>(
    kind: VirtualStep,
    lr: f64,
    weights: &[T],
    gradient: &[T],
    optimizer: &Sgd<T>,
    virtual_weights: &mut Vec<T>,
) -> Result<f64, RepresentationError> {
    TrainingError::check_size("gradient", gradient.len(), weights.len())?;
    TrainingError::check_size("momentum buffer", optimizer.buffer().len(), weights.len())?;
    let (rate, momentum) = (T::of(lr), T::of(optimizer.settings().momentum));
    let changed = match kind {
        VirtualStep::Momentum | VirtualStep::Nesterov => {
            let mut direction = optimizer.decayed_gradient(weights, gradient)?;
            for (direction, buffer) in direction.iter_mut().zip(optimizer.buffer()) {
                let averaged = momentum * *buffer + *direction;
                *direction = if kind == VirtualStep::Nesterov { *direction + momentum * averaged } else { averaged };
            }
            Some(direction)
        }
        VirtualStep::Sgd => None,
    };
    let direction = changed.as_deref().unwrap_or(gradient);
    virtual_weights.clear();
    virtual_weights.extend(weights.iter().zip(direction).map(|(weight, direction)| *weight - rate * *direction));
    Ok(match kind {
        VirtualStep::Nesterov => lr * (1.0 + optimizer.settings().momentum),
        VirtualStep::Sgd | VirtualStep::Momentum => lr,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use longtail_training::SgdSettings;

    #[test]
    fn each_kind_is_the_step_that_the_optimiser_would_take() {
        for (kind, nesterov) in [(VirtualStep::Momentum, false), (VirtualStep::Nesterov, true)] {
            let settings = SgdSettings { momentum: 0.9, nesterov, weight_decay: 0.1 };
            let mut optimizer = Sgd::<f64>::new(settings, 2, Some(vec![0..1, 1..1]));
            let (mut weights, gradient) = ([1.0, -2.0], [0.3, 0.7]);
            optimizer.step(0.1, &mut weights, &[1.0, -1.0]).expect("sizes fit");
            let mut expected = Vec::new();
            let factor = virtual_step(kind, 0.5, &weights, &gradient, &optimizer, &mut expected).expect("sizes fit");
            assert_eq!(factor, if nesterov { 0.5 * 1.9 } else { 0.5 });
            optimizer.step(0.5, &mut weights, &gradient).expect("sizes fit");
            for (actual, expected) in weights.iter().zip(&expected) {
                assert!((actual - expected).abs() < 1e-15, "{kind:?}: {actual} is not {expected}");
            }
        }
    }

    #[test]
    fn the_plain_step_knows_neither_momentum_nor_decay() {
        let settings = SgdSettings { momentum: 0.9, nesterov: false, weight_decay: 0.1 };
        let mut optimizer = Sgd::<f64>::new(settings, 1, None);
        optimizer.restore(vec![5.0]).expect("sizes fit");
        let mut out = Vec::new();
        let factor = virtual_step(VirtualStep::Sgd, 0.5, &[1.0], &[0.5], &optimizer, &mut out).expect("sizes fit");
        assert_eq!((out, factor), (vec![0.75], 0.5));
    }
}
