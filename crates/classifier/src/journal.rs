//! Where training writes what it measures, and keeps its state, inside an epoch too.

use longtail_artifact::Interrupted;
use longtail_training::{StateReader, StateWriter};

use crate::ClassifierError;

/// What a method needs from the stage around it. The binary's is [`StageJournal`](crate::StageJournal); tests use
/// [`MemoryJournal`].
pub trait Journal {
    /// One number of one epoch.
    fn scalar(&mut self, epoch: usize, split: &str, name: &str, value: f64, unit: &str) -> Result<(), ClassifierError>;

    /// A line for the person at the terminal.
    fn note(&mut self, line: &str);

    /// The state of the last checkpoint, once.
    fn resume(&mut self) -> Result<Option<StateReader>, ClassifierError>;

    /// Says how many rows training takes in all; `done` is behind us.
    fn begin(&mut self, rows: u64, done: Progress);

    /// Called after every batch and after every epoch: saves if a checkpoint is due or Ctrl-C was pressed. `state` writes into an
    /// empty writer.
    ///
    /// # Errors
    /// [`ClassifierError::Interrupted`] after Ctrl-C, once the state is saved.
    fn after(&mut self, done: Progress, state: &SaveState<'_>) -> Result<(), ClassifierError>;
}

/// Writes the state of training into a checkpoint.
pub type SaveState<'a> = dyn Fn(&mut StateWriter) -> Result<(), ClassifierError> + 'a;

/// How far training is, over all trials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whole epochs.
    pub epochs: usize,
    /// Batches and ends of epochs.
    pub steps: u64,
    /// Rows that were trained on.
    pub rows: u64,
}

/// A journal whose epochs are counted on from those of earlier trials.
pub(crate) struct Shifted<'a> {
    pub inner: &'a mut dyn Journal,
    pub epochs_before: usize,
}

impl Journal for Shifted<'_> {
    fn scalar(&mut self, epoch: usize, split: &str, name: &str, value: f64, unit: &str) -> Result<(), ClassifierError> {
        self.inner.scalar(self.epochs_before + epoch, split, name, value, unit)
    }

    fn note(&mut self, line: &str) {
        self.inner.note(line);
    }

    fn resume(&mut self) -> Result<Option<StateReader>, ClassifierError> {
        self.inner.resume()
    }

    fn begin(&mut self, rows: u64, done: Progress) {
        self.inner.begin(rows, done);
    }

    fn after(&mut self, done: Progress, state: &SaveState<'_>) -> Result<(), ClassifierError> {
        self.inner.after(done, state)
    }
}

/// A journal that has the numbers already: what an epoch says at its start is not said again when it is gone on with.
pub(crate) struct WithoutNumbers<'a>(pub &'a mut dyn Journal);

impl Journal for WithoutNumbers<'_> {
    fn scalar(&mut self, _: usize, _: &str, _: &str, _: f64, _: &str) -> Result<(), ClassifierError> {
        Ok(())
    }

    fn note(&mut self, line: &str) {
        self.0.note(line);
    }

    fn resume(&mut self) -> Result<Option<StateReader>, ClassifierError> {
        self.0.resume()
    }

    fn begin(&mut self, rows: u64, done: Progress) {
        self.0.begin(rows, done);
    }

    fn after(&mut self, done: Progress, state: &SaveState<'_>) -> Result<(), ClassifierError> {
        self.0.after(done, state)
    }
}

/// One measured number.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Epoch, counted from 0.
    pub epoch: usize,
    /// `train`, `val`, `meta` or `generate`.
    pub split: String,
    /// What was measured.
    pub name: String,
    /// The number.
    pub value: f64,
}

/// Keeps everything in memory; can stop after a number of epochs or steps as if Ctrl-C had been pressed.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    /// All numbers, in order.
    pub measurements: Vec<Measurement>,
    /// All notes.
    pub notes: Vec<String>,
    /// Stop after this many epochs in all.
    pub stop_after: Option<usize>,
    /// Stop after this many steps in all.
    pub stop_after_steps: Option<u64>,
    /// The last state saved (on stopping), to hand to another journal.
    pub saved: Option<Vec<longtail_artifact::NamedTensor>>,
}

impl MemoryJournal {
    /// A journal that hands out `saved` as its checkpoint.
    pub fn resumed_from(saved: Vec<longtail_artifact::NamedTensor>) -> Self {
        Self { saved: Some(saved), ..Self::default() }
    }

    /// The values of one series, by epoch.
    pub fn series(&self, split: &str, name: &str) -> Vec<f64> {
        self.measurements.iter().filter(|m| m.split == split && m.name == name).map(|m| m.value).collect()
    }
}

impl Journal for MemoryJournal {
    fn scalar(
        &mut self,
        epoch: usize,
        split: &str,
        name: &str,
        value: f64,
        _unit: &str,
    ) -> Result<(), ClassifierError> {
        self.measurements.push(Measurement { epoch, split: split.to_owned(), name: name.to_owned(), value });
        Ok(())
    }

    fn note(&mut self, line: &str) {
        self.notes.push(line.to_owned());
    }

    fn resume(&mut self) -> Result<Option<StateReader>, ClassifierError> {
        Ok(self.saved.take().map(|tensors| StateReader::new("memory", tensors)))
    }

    fn begin(&mut self, _rows: u64, _done: Progress) {}

    fn after(&mut self, done: Progress, state: &SaveState<'_>) -> Result<(), ClassifierError> {
        if self.stop_after == Some(done.epochs) || self.stop_after_steps == Some(done.steps) {
            let mut writer = StateWriter::default();
            state(&mut writer)?;
            self.saved = Some(writer.into_tensors());
            return Err(ClassifierError::Interrupted(Interrupted));
        }
        Ok(())
    }
}
