//! When to save, and how a state becomes named tensors and comes back to the same bits.

use std::time::{Duration, Instant};

use longtail_artifact::{NamedTensor, TensorData};

use crate::{EpochMeter, Scalar, TrainingError};

/// Saves every that many steps besides the clock, for tests of resuming: when a checkpoint falls changes no bit.
pub const EVERY_STEPS_VARIABLE: &str = "LONGTAIL_CHECKPOINT_EVERY_STEPS";

/// Says when the next checkpoint is due.
#[derive(Debug, Clone)]
pub struct CheckpointClock {
    every: Duration,
    every_steps: Option<u64>,
    last: Instant,
    last_step: u64,
}

impl CheckpointClock {
    /// Due every `minutes`, counted from now, and every [`EVERY_STEPS_VARIABLE`] steps if that variable is set.
    pub fn start(minutes: f64) -> Self {
        let every_steps = std::env::var(EVERY_STEPS_VARIABLE).ok().and_then(|value| value.parse().ok());
        Self::with(Duration::try_from_secs_f64(minutes * 60.0).unwrap_or(Duration::MAX), every_steps)
    }

    /// Due every `every`, and every `every_steps` steps where given.
    pub fn with(every: Duration, every_steps: Option<u64>) -> Self {
        Self { every, every_steps: every_steps.filter(|&steps| steps > 0), last: Instant::now(), last_step: 0 }
    }

    /// Whether a checkpoint is due after `step` steps.
    pub fn is_due(&self, step: u64) -> bool {
        self.last.elapsed() >= self.every
            || self.every_steps.is_some_and(|steps| step.saturating_sub(self.last_step) >= steps)
    }

    /// Counts from now on.
    pub fn saved(&mut self, step: u64) {
        self.last = Instant::now();
        self.last_step = step;
    }
}

/// Collects a training state as named tensors. Numbers that must come back to the bit go here, not into JSON.
#[derive(Debug, Clone, Default)]
pub struct StateWriter {
    tensors: Vec<NamedTensor>,
}

impl StateWriter {
    /// A flat vector in its own type.
    pub fn vector<T: Scalar>(&mut self, name: &str, values: &[T]) {
        self.push(name, values.len(), T::to_data(values));
    }

    /// Counters; each is stored in 8 bytes.
    pub fn counters(&mut self, name: &str, values: &[u64]) {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        self.push(name, data.len(), TensorData::U8(data));
    }

    /// A meter's names and sums.
    pub fn meter(&mut self, name: &str, meter: &EpochMeter) {
        let (names, numbers) = meter.state();
        let text = names.iter().map(|(name, unit)| format!("{name}\t{unit}\n")).collect::<String>();
        self.push(&format!("{name}.names"), text.len(), TensorData::U8(text.into_bytes()));
        self.vector(&format!("{name}.sums"), &numbers);
    }

    /// All that was collected.
    pub fn into_tensors(self) -> Vec<NamedTensor> {
        self.tensors
    }

    fn push(&mut self, name: &str, len: usize, data: TensorData) {
        self.tensors.push(NamedTensor { name: name.to_owned(), shape: vec![len], data });
    }
}

/// Hands a saved state out again, each tensor once.
#[derive(Debug, Clone)]
pub struct StateReader {
    source: String,
    tensors: Vec<NamedTensor>,
}

impl StateReader {
    /// `source` names the checkpoint in errors.
    pub fn new(source: impl Into<String>, tensors: Vec<NamedTensor>) -> Self {
        Self { source: source.into(), tensors }
    }

    /// A flat vector that was written as type `T`; its size is checked where it is used.
    ///
    /// # Errors
    /// If it is missing or of another type.
    pub fn vector<T: Scalar>(&mut self, name: &str) -> Result<Vec<T>, TrainingError> {
        let data = self.take(name)?;
        T::from_data(&data).ok_or_else(|| self.problem(name, &format!("is not of type {:?}", T::DTYPE)))
    }

    /// A flat vector of a known size.
    ///
    /// # Errors
    /// If it is missing, of another type or of another size.
    pub fn vector_of<T: Scalar>(&mut self, name: &str, len: usize) -> Result<Vec<T>, TrainingError> {
        let values = self.vector::<T>(name)?;
        if values.len() == len {
            Ok(values)
        } else {
            Err(self.problem(name, &format!("has {} elements, expected {len}", values.len())))
        }
    }

    /// Counters of a known number.
    ///
    /// # Errors
    /// If they are missing or another number of them is there.
    pub fn counters<const N: usize>(&mut self, name: &str) -> Result<[u64; N], TrainingError> {
        self.counter_list(name)?.try_into().map_err(|_| self.problem(name, &format!("does not hold {N} counters")))
    }

    /// Counters, however many.
    ///
    /// # Errors
    /// If they are missing or no whole number of them is there.
    pub fn counter_list(&mut self, name: &str) -> Result<Vec<u64>, TrainingError> {
        let bytes = self.bytes(name)?;
        if bytes.len() % 8 != 0 {
            return Err(self.problem(name, "does not hold whole counters"));
        }
        Ok(bytes
            .chunks_exact(8)
            .map(|chunk| u64::from_le_bytes(chunk.try_into().expect("chunks of exactly 8 bytes")))
            .collect())
    }

    /// A meter.
    ///
    /// # Errors
    /// If its parts are missing or do not fit each other.
    pub fn meter(&mut self, name: &str) -> Result<EpochMeter, TrainingError> {
        let text = String::from_utf8(self.bytes(&format!("{name}.names"))?)
            .map_err(|_| self.problem(name, "has names that are not text"))?;
        let names = text
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(name, unit)| (name.to_owned(), unit.to_owned()))
            .collect();
        let sums = self.vector::<f64>(&format!("{name}.sums"))?;
        EpochMeter::restore(names, &sums).ok_or_else(|| self.problem(name, "has another number of sums than names"))
    }

    fn bytes(&mut self, name: &str) -> Result<Vec<u8>, TrainingError> {
        match self.take(name)? {
            TensorData::U8(bytes) => Ok(bytes),
            _ => Err(self.problem(name, "is not of type u8")),
        }
    }

    fn take(&mut self, name: &str) -> Result<TensorData, TrainingError> {
        match self.tensors.iter().position(|tensor| tensor.name == name) {
            Some(index) => Ok(self.tensors.swap_remove(index).data),
            None => Err(self.problem(name, "is missing")),
        }
    }

    fn problem(&self, name: &str, problem: &str) -> TrainingError {
        TrainingError::State { file: self.source.clone(), problem: format!("`{name}` {problem}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_to_the_same_bits() {
        let mut meter = EpochMeter::default();
        meter.add("train/ce", "nats", 0.1 + 0.2, 3.0);
        let mut writer = StateWriter::default();
        writer.vector("weights", &[0.1f32, -0.0, f32::MIN_POSITIVE]);
        writer.counters("counters", &[3, u64::MAX]);
        writer.meter("meter", &meter);
        let mut reader = StateReader::new("checkpoint", writer.into_tensors());
        let weights = reader.vector_of::<f32>("weights", 3).expect("written above");
        assert_eq!(weights.iter().map(|w| w.to_bits()).collect::<Vec<_>>()[1], (-0.0f32).to_bits());
        assert_eq!(reader.counters::<2>("counters").expect("written above"), [3, u64::MAX]);
        assert_eq!(reader.meter("meter").expect("written above"), meter);
    }

    #[test]
    fn what_is_missing_or_misshapen_is_named() {
        let mut writer = StateWriter::default();
        writer.vector("weights", &[0.0f32; 3]);
        let mut reader = StateReader::new("step-7", writer.into_tensors());
        let error = reader.clone().vector_of::<f32>("weights", 4).expect_err("3 are there").to_string();
        assert_eq!(error, "in `step-7`: `weights` has 3 elements, expected 4");
        assert!(reader.clone().vector::<f64>("weights").is_err());
        let error = reader.counters::<1>("steps").expect_err("never written").to_string();
        assert_eq!(error, "in `step-7`: `steps` is missing");
    }

    #[test]
    fn the_clock_counts_steps_when_asked() {
        let mut clock = CheckpointClock::with(Duration::MAX, Some(3));
        assert!(!clock.is_due(2) && clock.is_due(3));
        clock.saved(3);
        assert!(!clock.is_due(5) && clock.is_due(6));
        assert!(!CheckpointClock::with(Duration::MAX, None).is_due(1_000_000));
    }
}
