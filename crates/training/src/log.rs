//! What a step measures on its way into the epoch's means.

use candle_core::Tensor;

use crate::step::StepAt;
use crate::{EpochMeter, TrainingError};

/// A number of a step: a scalar tensor, or one that the host knows.
#[derive(Debug, Clone)]
pub enum Measured {
    /// A scalar, f32 or f64.
    Tensor(Tensor),
    /// Known already.
    Known(f64),
}

impl From<Tensor> for Measured {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

impl From<&Tensor> for Measured {
    fn from(tensor: &Tensor) -> Self {
        Self::Tensor(tensor.clone())
    }
}

impl From<f64> for Measured {
    fn from(value: f64) -> Self {
        Self::Known(value)
    }
}

/// The measurements of one step. They are read at once, as tensors lie in host memory.
#[derive(Debug)]
pub struct Log<'a> {
    meter: &'a mut EpochMeter,
    at: StepAt,
}

impl<'a> Log<'a> {
    /// Into `meter`, of the step at `at`.
    pub fn new(meter: &'a mut EpochMeter, at: StepAt) -> Self {
        Self { meter, at }
    }

    /// Adds a number with its weight in the epoch's mean (the images of a batch, say); `unit` is nats, 1, ….
    ///
    /// # Errors
    /// A tensor that is no scalar of f32 or f64.
    pub fn add(
        &mut self,
        name: &'static str,
        unit: &'static str,
        value: impl Into<Measured>,
        weight: f64,
    ) -> Result<(), TrainingError> {
        self.meter.add(name, unit, number(value.into())?, weight);
        Ok(())
    }

    /// Ends training if the number is not finite; to be called before anything is updated with it.
    ///
    /// # Errors
    /// [`TrainingError::NonFinite`], which names epoch, step and rate; a tensor that is no scalar of f32 or f64.
    pub fn must_be_finite(&mut self, name: &'static str, value: impl Into<Measured>) -> Result<(), TrainingError> {
        let StepAt { epoch, step, lr, .. } = self.at;
        TrainingError::check_finite(name, number(value.into())?, epoch, step, lr)?;
        Ok(())
    }
}

fn number(value: Measured) -> Result<f64, TrainingError> {
    Ok(match value {
        Measured::Known(value) => value,
        Measured::Tensor(tensor) => tensor.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?,
    })
}
