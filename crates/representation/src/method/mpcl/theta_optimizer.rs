//! How Θ moves: Adam, or the plain step of Eq. 7.

use longtail_recipe::MetaOptimizer;
use longtail_training::{Adam, AdamSettings, Scalar, StateReader, StateWriter, TrainingError};

use crate::RepresentationError;

/// Θ's optimiser and its state (mpcl_mpfa.md §5 row 11).
#[derive(Debug, Clone)]
pub(super) enum ThetaOptimizer<T> {
    Adam(Adam<T>),
    /// `Θ ← Θ·(1 − β·ω) − β·g`.
    Plain {
        weight_decay: f64,
    },
}

impl<T: Scalar> ThetaOptimizer<T> {
    pub(super) fn new(kind: MetaOptimizer, settings: AdamSettings, len: usize) -> Self {
        match kind {
            MetaOptimizer::Adam => Self::Adam(Adam::new(settings, len)),
            MetaOptimizer::Sgd => Self::Plain { weight_decay: settings.weight_decay },
        }
    }

    pub(super) fn step(&mut self, rate: f64, theta: &mut [T], gradient: &[T]) -> Result<(), RepresentationError> {
        match self {
            Self::Adam(adam) => adam.step(rate, theta, gradient)?,
            Self::Plain { weight_decay } => {
                TrainingError::check_size("meta gradient", gradient.len(), theta.len())?;
                let (keep, rate) = (T::of(1.0 - rate * *weight_decay), T::of(rate));
                theta.iter_mut().zip(gradient).for_each(|(theta, gradient)| *theta = *theta * keep - rate * *gradient);
            }
        }
        Ok(())
    }

    pub(super) fn save(&self, writer: &mut StateWriter) {
        if let Self::Adam(adam) = self {
            let (first, second, steps) = adam.state();
            writer.vector("meta.adam.first", first);
            writer.vector("meta.adam.second", second);
            writer.counters("meta.adam.steps", &[steps]);
        }
    }

    pub(super) fn restore(&mut self, reader: &mut StateReader) -> Result<(), RepresentationError> {
        if let Self::Adam(adam) = self {
            let (first, second) = (reader.vector("meta.adam.first")?, reader.vector("meta.adam.second")?);
            let [steps] = reader.counters("meta.adam.steps")?;
            adam.restore(first, second, steps)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_step_by_hand() {
        let settings = AdamSettings { weight_decay: 0.5, ..AdamSettings::default() };
        let mut optimizer = ThetaOptimizer::<f64>::new(MetaOptimizer::Sgd, settings, 1);
        let mut theta = [2.0];
        optimizer.step(0.1, &mut theta, &[3.0]).expect("sizes fit");
        assert!((theta[0] - (2.0 * 0.95 - 0.3)).abs() < 1e-15);
    }
}
