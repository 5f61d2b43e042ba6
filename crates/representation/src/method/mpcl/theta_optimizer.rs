//! How Θ moves: Adam, or the plain step of Eq. 7.

use candle_core::Tensor;
use longtail_recipe::MetaOptimizer;
use longtail_training::{Adam, AdamSettings, State, StateList, TrainingError};

use crate::RepresentationError;

/// Θ's optimiser and its state (mpcl_mpfa.md §5 row 11).
#[derive(Debug)]
pub(super) enum ThetaOptimizer {
    Adam(Adam),
    /// `Θ ← Θ·(1 − β·ω) − β·g`.
    Plain {
        weight_decay: f64,
    },
}

impl ThetaOptimizer {
    pub(super) fn new(
        kind: MetaOptimizer,
        settings: AdamSettings,
        theta: &Tensor,
    ) -> Result<Self, RepresentationError> {
        Ok(match kind {
            MetaOptimizer::Adam => Self::Adam(Adam::new(settings, theta)?),
            MetaOptimizer::Sgd => Self::Plain { weight_decay: settings.weight_decay },
        })
    }

    pub(super) fn step(&mut self, rate: f64, theta: &mut Tensor, gradient: &Tensor) -> Result<(), RepresentationError> {
        TrainingError::check_size("meta gradient", gradient.elem_count(), theta.elem_count())?;
        match self {
            Self::Adam(adam) => adam.step(rate, theta, gradient)?,
            Self::Plain { weight_decay } => {
                *theta = ((&*theta * (1.0 - rate * *weight_decay))? - (gradient * rate)?)?;
            }
        }
        Ok(())
    }

    pub(super) fn state(&mut self) -> StateList<'_> {
        match self {
            Self::Plain { .. } => Vec::new(),
            Self::Adam(adam) => {
                let (first, second, steps) = adam.state();
                vec![
                    ("meta.adam.first", State::Tensor(first)),
                    ("meta.adam.second", State::Tensor(second)),
                    ("meta.adam.steps", State::Counters(steps)),
                ]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_plain_step_by_hand() {
        let vector = |value: f64| Tensor::new(&[value], &Device::Cpu).expect("a vector");
        let (mut theta, settings) = (vector(2.0), AdamSettings { weight_decay: 0.5, ..AdamSettings::default() });
        let mut optimizer = ThetaOptimizer::new(MetaOptimizer::Sgd, settings, &theta).expect("memory");
        optimizer.step(0.1, &mut theta, &vector(3.0)).expect("sizes fit");
        assert!((theta.to_vec1::<f64>().expect("f64")[0] - (2.0 * 0.95 - 0.3)).abs() < 1e-15);
    }
}
