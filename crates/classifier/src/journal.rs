//! Where training writes what it measures, and keeps its state between epochs.

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

    /// Says how many epochs there will be, `done` of them behind us.
    fn begin(&mut self, epochs: usize, done: usize);

    /// Called after every epoch, `done` epochs done in all: saves if a checkpoint is due or Ctrl-C was pressed.
    ///
    /// # Errors
    /// [`ClassifierError::Interrupted`] after Ctrl-C, once the state is saved.
    fn end_of_epoch(&mut self, done: usize, state: &dyn Fn(&mut StateWriter)) -> Result<(), ClassifierError>;
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

    fn begin(&mut self, epochs: usize, done: usize) {
        self.inner.begin(epochs, self.epochs_before + done);
    }

    fn end_of_epoch(&mut self, done: usize, state: &dyn Fn(&mut StateWriter)) -> Result<(), ClassifierError> {
        self.inner.end_of_epoch(self.epochs_before + done, state)
    }
}

/// One measured number.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// 0-based.
    pub epoch: usize,
    /// `train`, `val`, `meta` or `generate`.
    pub split: String,
    /// What was measured.
    pub name: String,
    /// The number.
    pub value: f64,
}

/// Keeps everything in memory; can stop after a number of epochs as if Ctrl-C had been pressed.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    /// All numbers, in order.
    pub measurements: Vec<Measurement>,
    /// All notes.
    pub notes: Vec<String>,
    /// Stop after this many epochs in all.
    pub stop_after: Option<usize>,
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

    fn begin(&mut self, _epochs: usize, _done: usize) {}

    fn end_of_epoch(&mut self, done: usize, state: &dyn Fn(&mut StateWriter)) -> Result<(), ClassifierError> {
        if self.stop_after == Some(done) {
            let mut writer = StateWriter::default();
            state(&mut writer);
            self.saved = Some(writer.into_tensors());
            return Err(ClassifierError::Interrupted(Interrupted));
        }
        Ok(())
    }
}
