//! The training loop of stage 3: heads on feature rows, epoch by epoch, with trials over a value that is searched.

use std::cell::RefCell;

use candle_core::Tensor;
use longtail_metrics::{GroupAccuracy, argmax_rows, evaluate};
use longtail_recipe::{HeadTraining, ShotGroups};
use longtail_training::{
    Compute, Decay, EpochMeter, HeadTrainer, HeadTrainerSettings, HeadWeights, Log, Pending, Schedule, StateReader,
    StateWriter, StepAt, TrainedPart, Upload,
};

use crate::ClassifierError;
use crate::data::{FeatureSet, FitData};
use crate::generate::FeatureTransform;
use crate::journal::{Journal, Progress, Shifted, WithoutNumbers};

/// Batches of one epoch: `(features (n, d), labels (n))`, the features where the head is trained.
pub type Batches<'a> = Box<dyn Iterator<Item = Result<(Tensor, Vec<u32>), ClassifierError>> + 'a>;

/// Batches of rows of `dim` values that come from host memory.
pub fn from_host<'a>(
    batches: impl Iterator<Item = (Vec<f32>, Vec<u32>)> + 'a,
    dim: usize,
    compute: &Compute,
) -> Batches<'a> {
    Box::new(FromHost { batches, dim, upload: Upload::new(compute) })
}

struct FromHost<I> {
    batches: I,
    dim: usize,
    upload: Upload,
}

impl<I: Iterator<Item = (Vec<f32>, Vec<u32>)>> FromHost<I> {
    fn upload(&mut self, (rows, labels): (Vec<f32>, Vec<u32>)) -> Result<(Tensor, Vec<u32>), ClassifierError> {
        Ok((self.upload.tensor(rows, (labels.len(), self.dim))?, labels))
    }
}

impl<I: Iterator<Item = (Vec<f32>, Vec<u32>)>> Iterator for FromHost<I> {
    type Item = Result<(Tensor, Vec<u32>), ClassifierError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.nth(0)
    }

    /// What is skipped goes nowhere.
    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        let batch = self.batches.nth(n)?;
        Some(self.upload(batch))
    }
}

/// Where a head's training rows come from.
pub trait RowSource {
    /// Values to try, one training each; the best on validation data is kept. Most methods have one trial.
    fn trials(&self) -> usize {
        1
    }

    /// Starts a trial from nothing.
    fn begin_trial(&mut self, _trial: usize) -> Result<(), ClassifierError> {
        Ok(())
    }

    /// Rows of one epoch, for the progress bar.
    fn rows_per_epoch(&self) -> usize;

    /// The batches of one 0-based epoch, as tensors of `compute`'s device; the same whatever was asked for before. What is skipped
    /// need not be made.
    fn batches(
        &mut self,
        epoch: usize,
        compute: &Compute,
        journal: &mut dyn Journal,
    ) -> Result<Batches<'_>, ClassifierError>;

    /// Called after each epoch with the head as it is now.
    fn after_epoch(
        &mut self,
        _epoch: usize,
        _head: &HeadWeights,
        _journal: &mut dyn Journal,
    ) -> Result<(), ClassifierError> {
        Ok(())
    }

    /// Writes what `batches` depends on beside the epoch; it stays as it is within an epoch.
    fn save(&self, _state: &mut StateWriter) {}

    /// Reads it back.
    fn restore(&mut self, _state: &mut StateReader) -> Result<(), ClassifierError> {
        Ok(())
    }
}

/// What is trained, and how.
pub struct TrainPlan<'a> {
    /// The head every trial starts from.
    pub head: HeadWeights,
    /// All of it, or LWS's scales.
    pub part: TrainedPart,
    /// Epochs, rates, momentum, weight decay.
    pub training: &'a HeadTraining,
    /// What evaluated features go through.
    pub transform: FeatureTransform,
    /// Groups for the validation accuracy in the log.
    pub groups: ShotGroups,
    /// Where it is trained; a GPU is prepared.
    pub compute: Compute,
}

/// A trained head and what validation said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainResult {
    /// The head after its last epoch, of the best trial.
    pub head: HeadWeights,
    /// The trial it is from.
    pub trial: usize,
    /// Its accuracy on validation data, none without any.
    pub val_accuracy: Option<f64>,
    /// The last epoch's accuracy of every trial.
    pub trial_accuracies: Vec<Option<f64>>,
}

/// The best trial so far.
struct Best {
    trial: usize,
    accuracy: Option<f64>,
    head: HeadWeights,
}

/// Trains a head; goes on from the journal's checkpoint if there is one.
///
/// The head after the last epoch is kept, never the best epoch; of several trials the one with the best final validation
/// accuracy, the first of equals.
///
/// # Errors
/// A loss that is not finite, a damaged checkpoint, or [`ClassifierError::Interrupted`].
pub fn train_head(
    plan: &TrainPlan<'_>,
    data: &FitData,
    source: &mut dyn RowSource,
    journal: &mut dyn Journal,
) -> Result<TrainResult, ClassifierError> {
    let HeadTraining { epochs, lr, ref schedule, momentum, weight_decay, .. } = *plan.training;
    let schedule = Schedule::new(Decay::from(schedule), lr, epochs, 0);
    let settings = HeadTrainerSettings { momentum, weight_decay, part: plan.part, ..HeadTrainerSettings::default() };
    let val = prepare(&data.val, plan.transform)?;
    let trials = source.trials();
    let mut best: Option<Best> = None;
    let mut trial_accuracies = Vec::with_capacity(trials);
    let compute = &plan.compute;
    let fresh = || HeadTrainer::new(&plan.head, settings.clone(), compute.device());
    let mut trainer = fresh()?;
    let mut at = Position::default();
    let (mut meter, mut pending) = (EpochMeter::default(), Pending::default());
    if let Some(mut state) = journal.resume()? {
        at = Position::restore(&mut state)?;
        meter = restore_loss(&mut state, at.rows)?;
        source.begin_trial(at.trial)?;
        source.restore(&mut state)?;
        trainer.restore(&mut state)?;
        trial_accuracies = state.vector::<f64>("trial_accuracies")?.into_iter().map(from_nan).collect();
        let [has_best, trial] = state.counters::<2>("best")?;
        if has_best == 1 {
            let values = state.vector_of::<f32>("best_head", plan.head.values.len())?;
            let accuracy = trial_accuracies.get(trial as usize).copied().flatten();
            best = Some(Best { trial: trial as usize, accuracy, head: HeadWeights::new(plan.head.shape, values)? });
        }
        journal.note(&match at.done.epochs < trials * epochs {
            true => format!("continuing from epoch {}, after {} of its batches", at.done.epochs + 1, at.batch),
            false => "all epochs are already done; scoring the head".to_owned(),
        });
    } else {
        source.begin_trial(0)?;
    }
    journal.begin((trials * epochs * source.rows_per_epoch()) as u64, at.done);
    let first = at.trial;
    for trial in first..trials {
        if trial > first {
            source.begin_trial(trial)?;
            trainer = fresh()?;
            at = Position { trial, done: at.done, ..Position::default() };
        }
        let journal = &mut Shifted { inner: &mut *journal, epochs_before: trial * epochs };
        while at.epoch < epochs {
            let (epoch, lr) = (at.epoch, schedule.lr(at.epoch));
            // The source is in use while its batches are; its state is that of the epoch's start.
            let mut of_source = StateWriter::default();
            source.save(&mut of_source);
            let batches = match at.batch {
                0 => source.batches(epoch, compute, journal)?,
                _ => source.batches(epoch, compute, &mut WithoutNumbers(journal))?,
            };
            for batch in batches.skip(at.batch) {
                let (rows, labels) = batch?;
                if !labels.is_empty() {
                    let relative_lr = schedule.relative(epoch);
                    let step_at = StepAt { epoch, step: trainer.steps(), epoch_fraction: 0.0, lr, relative_lr };
                    trainer.step(&step_at, &rows, &labels, &mut Log::deferred(&mut meter, &mut pending, step_at))?;
                }
                if pending.is_full() {
                    pending.fetch(&mut meter)?;
                }
                at.count_batch(labels.len());
                let measured = RefCell::new((&mut pending, &mut meter));
                journal.after(at.done, &|state| {
                    let (pending, meter) = &mut *measured.borrow_mut();
                    pending.fetch(meter)?;
                    state.clone_from(&of_source);
                    save(state, &at, meter, &trainer, &trial_accuracies, best.as_ref())
                })?;
            }
            pending.fetch(&mut meter)?;
            journal.scalar(epoch, "train", "loss", meter.mean("loss").unwrap_or(0.0), "nats")?;
            meter.clear();
            journal.scalar(epoch, "train", "lr", lr, "")?;
            let head = trainer.head()?;
            source.after_epoch(epoch, &head, journal)?;
            if let Some(accuracy) = accuracy(&head, &val, data, plan.groups)? {
                for (group, value) in accuracy.groups() {
                    if let Some(value) = value {
                        journal.scalar(epoch, "val", &format!("accuracy_{group}"), value, "fraction")?;
                    }
                }
            }
            at = at.next_epoch();
            journal.after(at.done, &|state| {
                source.save(state);
                save(state, &at, &meter, &trainer, &trial_accuracies, best.as_ref())
            })?;
        }
        let head = trainer.head()?;
        let final_accuracy = accuracy(&head, &val, data, plan.groups)?.and_then(|accuracy| accuracy.all);
        trial_accuracies.push(final_accuracy);
        if best.as_ref().is_none_or(|best| final_accuracy > best.accuracy) {
            best = Some(Best { trial, accuracy: final_accuracy, head });
        }
    }
    let best = best.unwrap_or(Best { trial: 0, accuracy: None, head: plan.head.clone() });
    Ok(TrainResult { head: best.head, trial: best.trial, val_accuracy: best.accuracy, trial_accuracies })
}

/// The losses of the rows of an epoch that are behind us.
fn restore_loss(state: &mut StateReader, rows: u64) -> Result<EpochMeter, ClassifierError> {
    let loss_sum = state.vector_of::<f64>("loss_sum", 1)?[0];
    let names = vec![("loss".to_owned(), "nats".to_owned()); usize::from(rows > 0)];
    let numbers = [loss_sum, rows as f64];
    Ok(EpochMeter::restore(names, if rows > 0 { &numbers } else { &[] }).expect("two numbers a name"))
}

/// Where training is: what is left of an epoch follows from it.
#[derive(Debug, Clone, Copy, Default)]
struct Position {
    trial: usize,
    epoch: usize,
    /// Batches of this epoch that are behind us.
    batch: usize,
    /// Rows of this epoch that are behind us.
    rows: u64,
    done: Progress,
}

impl Position {
    fn restore(state: &mut StateReader) -> Result<Self, ClassifierError> {
        let [trial, epoch, batch, rows, epochs, steps, all_rows] = state.counters("position")?;
        let done = Progress { epochs: epochs as usize, steps, rows: all_rows };
        Ok(Self { trial: trial as usize, epoch: epoch as usize, batch: batch as usize, rows, done })
    }

    fn save(&self, state: &mut StateWriter) {
        let [trial, epoch, batch, epochs] = [self.trial, self.epoch, self.batch, self.done.epochs].map(|n| n as u64);
        state.counters("position", &[trial, epoch, batch, self.rows, epochs, self.done.steps, self.done.rows]);
    }

    fn count_batch(&mut self, rows: usize) {
        self.batch += 1;
        self.rows += rows as u64;
        self.done.steps += 1;
        self.done.rows += rows as u64;
    }

    fn next_epoch(self) -> Self {
        let done = Progress { epochs: self.done.epochs + 1, steps: self.done.steps + 1, ..self.done };
        Self { trial: self.trial, epoch: self.epoch + 1, done, ..Self::default() }
    }
}

/// Adds everything but the source's state to a checkpoint.
fn save(
    state: &mut StateWriter,
    at: &Position,
    meter: &EpochMeter,
    trainer: &HeadTrainer,
    trial_accuracies: &[Option<f64>],
    best: Option<&Best>,
) -> Result<(), ClassifierError> {
    at.save(state);
    state.vector("loss_sum", &[meter.sum("loss")]);
    trainer.save(state)?;
    state.vector("trial_accuracies", &trial_accuracies.iter().map(|a| to_nan(*a)).collect::<Vec<f64>>());
    state.counters("best", &[u64::from(best.is_some()), best.map_or(0, |best| best.trial as u64)]);
    if let Some(best) = best {
        state.vector("best_head", &best.head.values);
    }
    Ok(())
}

fn to_nan(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

fn from_nan(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

/// A set's features on their way into the head.
pub fn prepare(set: &FeatureSet, transform: FeatureTransform) -> Result<FeatureSet, ClassifierError> {
    let mut out = set.clone();
    transform.apply(&mut out.features, out.dim)?;
    Ok(out)
}

/// Accuracies of a head on prepared features; none on an empty set.
pub fn accuracy(
    head: &HeadWeights,
    prepared: &FeatureSet,
    data: &FitData,
    groups: ShotGroups,
) -> Result<Option<GroupAccuracy>, ClassifierError> {
    if prepared.labels.is_empty() {
        return Ok(None);
    }
    let logits = head.logits(&prepared.features)?;
    let predicted = argmax_rows(&logits, data.num_classes());
    Ok(Some(evaluate(&predicted, &prepared.labels, &data.class_counts, groups)?))
}
