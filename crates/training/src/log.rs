//! What a step measures on its way into the epoch's means.

use candle_core::{DType, Tensor};

use crate::step::StepAt;
use crate::{EpochMeter, TrainingError};

/// A number of a step: a scalar tensor, or one that the host knows.
#[derive(Debug, Clone)]
pub enum Measured {
    /// A scalar, f32 or f64.
    Tensor(Tensor),
    /// A value that is already in host memory.
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

/// Numbers that are fetched together.
const TOGETHER: usize = 512;

/// Measurements whose numbers lie on a GPU still: fetched many at once, so that a step waits for nothing. Its steps are named when their
/// numbers come, so a loss that is not finite is found that late, but before any checkpoint.
#[derive(Debug, Default)]
pub struct Pending {
    entries: Vec<(&'static str, Use, Source)>,
    numbers: Vec<Tensor>,
    /// Nothing is read at once, wherever it lies.
    all: bool,
}

/// What a number is for.
#[derive(Debug, Clone, Copy)]
enum Use {
    Mean { unit: &'static str, weight: f64 },
    MustBeFinite(StepAt),
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Known(f64),
    /// Its place among the numbers.
    Number(usize),
}

impl Pending {
    /// So many wait that a fetch is worth its wait.
    pub fn is_full(&self) -> bool {
        self.numbers.len() >= TOGETHER
    }

    /// Waits for the device, and hands everything to the meter, in the order in which it was measured.
    ///
    /// # Errors
    /// [`TrainingError::NonFinite`] for the first number that had to be finite and is not; the device's.
    pub fn fetch(&mut self, meter: &mut EpochMeter) -> Result<(), TrainingError> {
        let numbers = std::mem::take(&mut self.numbers);
        let numbers = if numbers.is_empty() { Vec::new() } else { Tensor::stack(&numbers, 0)?.to_vec1::<f64>()? };
        for (name, what, source) in std::mem::take(&mut self.entries) {
            let value = match source {
                Source::Known(value) => value,
                Source::Number(place) => numbers[place],
            };
            hand_over(meter, name, what, value)?;
        }
        Ok(())
    }

    /// Whether a number has to wait: it lies elsewhere, or one before it does.
    fn takes(&self, value: &Measured) -> bool {
        let is_elsewhere = matches!(value, Measured::Tensor(tensor) if !tensor.device().is_cpu());
        self.all || is_elsewhere || !self.entries.is_empty()
    }

    fn push(&mut self, name: &'static str, what: Use, value: Measured) -> Result<(), TrainingError> {
        let source = match value {
            Measured::Known(value) => Source::Known(value),
            Measured::Tensor(tensor) => {
                self.numbers.push(tensor.detach().to_dtype(DType::F64)?.reshape(())?);
                Source::Number(self.numbers.len() - 1)
            }
        };
        self.entries.push((name, what, source));
        Ok(())
    }
}

fn hand_over(meter: &mut EpochMeter, name: &'static str, what: Use, value: f64) -> Result<(), TrainingError> {
    match what {
        Use::Mean { unit, weight } => meter.add(name, unit, value, weight),
        Use::MustBeFinite(StepAt { epoch, step, lr, .. }) => {
            TrainingError::check_finite(name, value, epoch, step, lr)?;
        }
    }
    Ok(())
}

/// The measurements of one step. What lies in host memory is read at once.
#[derive(Debug)]
pub struct Log<'a> {
    meter: &'a mut EpochMeter,
    pending: Option<&'a mut Pending>,
    at: StepAt,
}

impl<'a> Log<'a> {
    /// Into `meter`, of the step at `at`; numbers on a GPU are waited for.
    pub fn new(meter: &'a mut EpochMeter, at: StepAt) -> Self {
        Self { meter, pending: None, at }
    }

    /// The same, but that numbers on a GPU come to the meter with [`Pending::fetch`].
    pub fn deferred(meter: &'a mut EpochMeter, pending: &'a mut Pending, at: StepAt) -> Self {
        Self { meter, pending: Some(pending), at }
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
        self.take(name, Use::Mean { unit, weight }, value.into())
    }

    /// Ends training if the number is not finite; to be called before anything is updated with it.
    ///
    /// # Errors
    /// [`TrainingError::NonFinite`], which names epoch, step and rate (of a number on a GPU when it is fetched); a tensor that is no scalar of
    /// f32 or f64.
    pub fn must_be_finite(&mut self, name: &'static str, value: impl Into<Measured>) -> Result<(), TrainingError> {
        self.take(name, Use::MustBeFinite(self.at), value.into())
    }

    fn take(&mut self, name: &'static str, what: Use, value: Measured) -> Result<(), TrainingError> {
        match &mut self.pending {
            Some(pending) if pending.takes(&value) => pending.push(name, what, value),
            _ => hand_over(self.meter, name, what, number(value)?),
        }
    }
}

fn number(value: Measured) -> Result<f64, TrainingError> {
    Ok(match value {
        Measured::Known(value) => value,
        Measured::Tensor(tensor) => tensor.to_dtype(DType::F64)?.to_scalar::<f64>()?,
    })
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn scalar(value: f64) -> Tensor {
        Tensor::new(value, &Device::Cpu).expect("a scalar")
    }

    fn at(step: u64) -> StepAt {
        StepAt { epoch: 2, step, epoch_fraction: 0.0, lr: 0.1, relative_lr: 1.0 }
    }

    fn measure(log: &mut Log<'_>, value: f64) -> Result<(), TrainingError> {
        log.add("train/ce", "nats", scalar(value), 3.0)?;
        log.add("meta/lr", "1", 0.5, 1.0)?;
        log.must_be_finite("train/loss", scalar(value))
    }

    #[test]
    fn what_waits_comes_to_the_same_means_in_the_same_order() {
        let (mut at_once, mut later) = (EpochMeter::default(), EpochMeter::default());
        let mut pending = Pending { all: true, ..Pending::default() };
        for step in 0..3 {
            measure(&mut Log::new(&mut at_once, at(step)), 0.1 + step as f64).expect("finite");
            measure(&mut Log::deferred(&mut later, &mut pending, at(step)), 0.1 + step as f64).expect("it waits");
        }
        assert_eq!(later, EpochMeter::default(), "nothing was read");
        pending.fetch(&mut later).expect("finite");
        assert_eq!(later, at_once);
        pending.fetch(&mut later).expect("nothing is left");
        assert_eq!(later, at_once);
    }

    #[test]
    fn on_the_cpu_nothing_waits() {
        let (mut meter, mut pending) = (EpochMeter::default(), Pending::default());
        let mut log = Log::deferred(&mut meter, &mut pending, at(0));
        assert!(measure(&mut log, f64::NAN).is_err(), "before anything is updated");
        assert!(meter.mean("train/ce").is_some_and(f64::is_nan) && !pending.is_full());
    }

    #[test]
    fn a_loss_that_is_not_finite_names_its_own_step() {
        let (mut meter, mut pending) = (EpochMeter::default(), Pending { all: true, ..Pending::default() });
        for (step, value) in [(6, 1.0), (7, f64::INFINITY), (8, 1.0)] {
            measure(&mut Log::deferred(&mut meter, &mut pending, at(step)), value).expect("it waits");
        }
        let error = pending.fetch(&mut meter).expect_err("step 7").to_string();
        assert!(error.contains("step 7") && error.contains("epoch 2"), "{error}");
    }
}
