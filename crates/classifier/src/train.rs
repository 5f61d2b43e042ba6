//! The training loop of stage 3: heads on feature rows, epoch by epoch, with trials over a value that is searched.

use longtail_recipe::{HeadTraining, ShotGroups};
use longtail_training::{
    Decay, GroupAccuracy, HeadTrainer, HeadTrainerSettings, HeadWeights, Schedule, StateReader, StateWriter,
    TrainedPart, argmax_rows, evaluate,
};

use crate::ClassifierError;
use crate::data::{FeatureSet, FitData};
use crate::generate::FeatureTransform;
use crate::journal::{Journal, Shifted};

/// Batches of one epoch: `(features (n, d), labels (n))`.
pub type Batches<'a> = Box<dyn Iterator<Item = (Vec<f32>, Vec<u32>)> + 'a>;

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

    /// The batches of one 0-based epoch; the same whatever was asked for before.
    fn batches(&mut self, epoch: usize, journal: &mut dyn Journal) -> Result<Batches<'_>, ClassifierError>;

    /// Called after each epoch with the head as it is now.
    fn after_epoch(
        &mut self,
        _epoch: usize,
        _head: &HeadWeights,
        _journal: &mut dyn Journal,
    ) -> Result<(), ClassifierError> {
        Ok(())
    }

    /// Writes what `batches` depends on beside the epoch.
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
    let schedule = Schedule::new(Decay::try_from(schedule)?, lr, epochs, 0);
    let settings = HeadTrainerSettings { momentum, weight_decay, part: plan.part, ..HeadTrainerSettings::default() };
    let val = prepare(&data.val, plan.transform)?;
    let trials = source.trials();
    let mut best: Option<Best> = None;
    let mut trial_accuracies = Vec::with_capacity(trials);
    let mut trainer = HeadTrainer::new(plan.head.clone(), settings.clone())?;
    let (mut first_trial, mut first_epoch) = (0, 0);
    if let Some(mut state) = journal.resume()? {
        let [trial, epoch] = state.counters::<2>("position")?;
        (first_trial, first_epoch) = (trial as usize, epoch as usize);
        source.begin_trial(first_trial)?;
        source.restore(&mut state)?;
        trainer.restore(&mut state)?;
        trial_accuracies = state.vector::<f64>("trial_accuracies")?.into_iter().map(from_nan).collect();
        let [has_best, trial] = state.counters::<2>("best")?;
        if has_best == 1 {
            let values = state.vector_of::<f32>("best_head", plan.head.values.len())?;
            let accuracy = trial_accuracies.get(trial as usize).copied().flatten();
            best = Some(Best { trial: trial as usize, accuracy, head: HeadWeights::new(plan.head.shape, values)? });
        }
    } else {
        source.begin_trial(0)?;
    }
    journal.begin(trials * epochs, first_trial * epochs + first_epoch);
    for trial in first_trial..trials {
        if trial > first_trial {
            source.begin_trial(trial)?;
            trainer = HeadTrainer::new(plan.head.clone(), settings.clone())?;
        }
        let journal = &mut Shifted { inner: &mut *journal, epochs_before: trial * epochs };
        for epoch in if trial == first_trial { first_epoch } else { 0 }..epochs {
            let lr = schedule.lr(epoch);
            let loss = trainer.train_epoch(epoch, lr, source.batches(epoch, journal)?)?;
            journal.scalar(epoch, "train", "loss", loss, "nats")?;
            journal.scalar(epoch, "train", "lr", lr, "")?;
            source.after_epoch(epoch, trainer.head(), journal)?;
            if let Some(accuracy) = accuracy(trainer.head(), &val, data, plan.groups)? {
                for (group, value) in accuracy.groups() {
                    if let Some(value) = value {
                        journal.scalar(epoch, "val", &format!("accuracy_{group}"), value, "fraction")?;
                    }
                }
            }
            journal.end_of_epoch(epoch + 1, &|state| {
                state.counters("position", &[trial as u64, epoch as u64 + 1]);
                source.save(state);
                trainer.save(state);
                state.vector("trial_accuracies", &trial_accuracies.iter().map(|a| to_nan(*a)).collect::<Vec<f64>>());
                state.counters("best", &[u64::from(best.is_some()), best.as_ref().map_or(0, |b| b.trial as u64)]);
                if let Some(best) = &best {
                    state.vector("best_head", &best.head.values);
                }
            })?;
        }
        let final_accuracy = accuracy(trainer.head(), &val, data, plan.groups)?.and_then(|accuracy| accuracy.all);
        trial_accuracies.push(final_accuracy);
        if best.as_ref().is_none_or(|best| final_accuracy > best.accuracy) {
            best = Some(Best { trial, accuracy: final_accuracy, head: trainer.head().clone() });
        }
    }
    let best = best.unwrap_or(Best { trial: 0, accuracy: None, head: plan.head.clone() });
    Ok(TrainResult { head: best.head, trial: best.trial, val_accuracy: best.accuracy, trial_accuracies })
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
