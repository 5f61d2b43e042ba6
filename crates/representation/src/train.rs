//! The training loop of stage 1.

use longtail_artifact::{MetricsWriter, StageRun};
use longtail_datasets::{BatchIter, EvalLoader, Loader, PlacedBatch};
use longtail_recipe::RepresentationRecipe;
use longtail_recipe::ShotGroups;
use longtail_training::{
    CheckpointClock, Decay, EpochMeter, Feed, Log, Model, Pending, Schedule, Sgd, SgdSettings, StateReader,
    StateWriter, Step, StepAt, StepClock, restore_state, save_state,
};

use crate::method::Method;
use crate::stability;
use crate::validation::validate;
use crate::{ImageFeed, RepresentationError};

/// Steps between two looks at whether the run is still in the stable region.
const WATCH_EVERY: u64 = 50;

/// All that training moves or reads.
pub struct Training {
    /// Backbone and head, with SGD over all weights.
    pub step: Step,
    /// `ce` or `mpcl`.
    pub method: Box<dyn Method>,
    /// The rate of an epoch.
    pub schedule: Schedule,
    /// Training images.
    pub loader: Loader,
    /// Validation images; may be empty.
    pub validation: EvalLoader,
    /// Training images per class.
    pub class_counts: Vec<u32>,
    /// Where many, medium and few part.
    pub bounds: ShotGroups,
    /// Total number of epochs.
    pub epochs: usize,
    /// Minutes between checkpoints.
    pub checkpoint_minutes: f64,
    /// Takes batches to where the model lies.
    pub feed: ImageFeed,
    /// What steps measured and nobody has waited for.
    pub pending: Pending,
}

/// Where training stands; with the meter, model and method, the whole state.
#[derive(Debug, Clone, Default, PartialEq)]
struct Position {
    epoch: usize,
    batch: usize,
    step: u64,
    meter: EpochMeter,
}

/// Batches of an epoch: made here, or places for a device that holds the images.
enum Batches {
    Made(BatchIter),
    Placed(BatchIter<PlacedBatch>),
}

/// Who wants to know how it goes, and whether to stop.
pub trait Observer {
    /// Before the first step: how many there are in all, and how many a checkpoint has done already.
    fn start(&mut self, total_steps: u64, first_step: u64);

    /// After each step; `true` asks for a checkpoint and an orderly end.
    fn stop_after(&mut self, step: u64) -> bool;

    /// Between two batches of a validation pass: `true` asks for a checkpoint and an orderly end.
    fn stop_now(&mut self) -> bool {
        false
    }

    /// When all is written: how the images changed since training began, if they did. The host knows where they are.
    ///
    /// # Errors
    /// The user asked to stop.
    fn images_changed(&mut self) -> Result<Option<String>, RepresentationError> {
        Ok(None)
    }

    /// A line for the user.
    fn say(&mut self, line: &str);
}

impl Training {
    /// The optimiser of a recipe.
    ///
    /// # Errors
    /// If there is no memory for its momentum.
    pub fn optimizer(recipe: &RepresentationRecipe, model: &Model) -> Result<Sgd, RepresentationError> {
        let settings =
            SgdSettings { momentum: recipe.momentum, nesterov: recipe.nesterov, weight_decay: recipe.weight_decay };
        Ok(Sgd::new(settings, &model.weights, model.decay_ranges(recipe.wd_groups))?)
    }

    /// The schedule of a recipe, its peak by linear scaling.
    ///
    /// # Errors
    /// If this build does not know the schedule.
    pub fn schedule(recipe: &RepresentationRecipe) -> Result<Schedule, RepresentationError> {
        let peak = Schedule::linear_scaling(recipe.lr, recipe.batch_size, recipe.lr_batch_size);
        Ok(Schedule::new(Decay::from(&recipe.schedule), peak, recipe.epochs, recipe.warmup_epochs))
    }

    /// Total number of steps.
    pub fn total_steps(&self) -> u64 {
        (self.epochs * self.loader.batches_per_epoch()) as u64
    }

    /// Trains from the newest checkpoint of `run`, or from the start, to the last epoch.
    ///
    /// # Errors
    /// A loss that is not finite, an image or file that cannot be read or written, or
    /// [`RepresentationError::Interrupted`] when the observer asked to stop (a checkpoint is then written).
    pub fn run(&mut self, run: &mut StageRun, observer: &mut dyn Observer) -> Result<(), RepresentationError> {
        let (mut at, offset) = self.resume(run, observer)?;
        let mut metrics = run.metrics(offset)?;
        observer.start(self.total_steps(), at.step);
        let mut clock = CheckpointClock::start(self.checkpoint_minutes);
        clock.saved(at.step);
        while at.epoch < self.epochs {
            let lr = self.schedule.lr(at.epoch);
            let (mut speed, mut warned) = (StepClock::start(), false);
            let mut batches = self.batches(&at); // order = f(seed, epoch), not of threads
            loop {
                let here = StepAt::new(&self.schedule, at.epoch, at.batch, self.loader.batches_per_epoch());
                let Some(images) = self.take_step(&mut batches, &here, &mut at.meter)? else { break };
                speed.add(images);
                (at.batch, at.step) = (at.batch + 1, at.step + 1);
                let stop = observer.stop_after(at.step);
                if stop || clock.is_due(at.step) {
                    self.save(run, &mut at, &mut metrics)?; // atomic; when it falls changes no bit
                    clock.saved(at.step);
                }
                if stop {
                    return Err(RepresentationError::Interrupted { step: at.step });
                }
                if !warned && at.step.is_multiple_of(WATCH_EVERY) {
                    warned = warn(&at, observer);
                }
            }
            if !self.finish_epoch(&mut at, lr, &speed, &mut metrics, observer)? {
                self.save(run, &mut at, &mut metrics)?; // the validation pass is run again
                return Err(RepresentationError::Interrupted { step: at.step });
            }
            if !warned {
                warn(&at, observer);
            }
            at = Position { epoch: at.epoch + 1, step: at.step, ..Position::default() };
        }
        Ok(())
    }

    /// The rest of the epoch.
    fn batches(&self, at: &Position) -> Batches {
        let placed = match self.feed.holds_images() {
            true => self.loader.placed_from(at.epoch, at.batch),
            false => None,
        };
        placed.map_or_else(|| Batches::Made(self.loader.epoch_from(at.epoch, at.batch)), Batches::Placed)
    }

    /// A step on the next batch: how many images it had, or `None` after the last.
    fn take_step(
        &mut self,
        batches: &mut Batches,
        at: &StepAt,
        meter: &mut EpochMeter,
    ) -> Result<Option<usize>, RepresentationError> {
        let batch = match batches {
            Batches::Placed(batches) => match batches.next().transpose()? {
                Some(batch) => self.feed.placed(Feed::Train, batch)?,
                None => return Ok(None),
            },
            Batches::Made(batches) => match batches.next().transpose()? {
                Some(batch) => self.feed.batch(Feed::Train, batch)?,
                None => return Ok(None),
            },
        };
        if self.pending.is_full() {
            self.pending.fetch(meter)?;
        }
        self.method.step(&mut self.step, &batch, at, &mut Log::deferred(meter, &mut self.pending, *at))?;
        Ok(Some(batch.len()))
    }

    /// Validation accuracy and the epoch's means, into `metrics.jsonl` and one line; `false` if the observer stopped it before anything
    /// was written.
    fn finish_epoch(
        &mut self,
        at: &mut Position,
        lr: f64,
        speed: &StepClock,
        metrics: &mut MetricsWriter,
        observer: &mut dyn Observer,
    ) -> Result<bool, RepresentationError> {
        self.pending.fetch(&mut at.meter)?; // waits for a GPU: the speed is that of work done
        let images_per_sec = speed.images_per_sec();
        let (counts, bounds, stop) = (&self.class_counts, self.bounds, &mut || observer.stop_now());
        let accuracy = validate(&mut self.step.model, &mut self.feed, &self.validation, counts, bounds, stop)?;
        let Some(accuracy) = accuracy else { return Ok(false) };
        let mut scalar = |name: &str, value: f64, unit: &str| {
            let (split, name) = name.split_once('/').unwrap_or(("train", name));
            metrics.scalar(at.step, at.epoch, split, name, value, unit)
        };
        scalar("train/lr", lr, "1")?;
        for (name, unit, mean) in at.meter.means() {
            scalar(name, mean, unit)?;
        }
        for (group, value) in accuracy.groups() {
            if let Some(value) = value {
                scalar(&format!("val/accuracy_{group}"), value, "fraction")?;
            }
        }
        scalar("train/unstable", stability::warnings(&at.meter).len() as f64, "warnings")?;
        // No speed here: every field but `wall_secs`, from which it follows, is the same in each run.
        metrics.flush()?;
        observer.say(&summary(at, self.epochs, lr, images_per_sec, accuracy.all));
        Ok(true)
    }

    /// The newest good checkpoint's position and its offset in `metrics.jsonl`; the start if there is none.
    fn resume(
        &mut self,
        run: &mut StageRun,
        observer: &mut dyn Observer,
    ) -> Result<(Position, Option<u64>), RepresentationError> {
        let Some(checkpoint) = run.latest_checkpoint()? else { return Ok((Position::default(), None)) };
        let name = format!("checkpoint of step {}", checkpoint.step);
        let mut reader = StateReader::new(name, checkpoint.tensors);
        restore_state(self.step.state(), &mut reader)?;
        let [epoch, batch, step] = reader.counters("position")?;
        let meter = reader.meter("meter")?;
        restore_state(self.method.state(), &mut reader)?;
        observer.say(&format!("resuming after step {step} (epoch {}, batch {batch})", epoch + 1));
        let at = Position { epoch: epoch as usize, batch: batch as usize, step, meter };
        Ok((at, Some(checkpoint.metrics_offset)))
    }

    fn save(
        &mut self,
        run: &StageRun,
        at: &mut Position,
        metrics: &mut MetricsWriter,
    ) -> Result<(), RepresentationError> {
        self.pending.fetch(&mut at.meter)?;
        let mut writer = StateWriter::default();
        save_state(self.step.state(), &mut writer)?;
        writer.counters("position", &[at.epoch as u64, at.batch as u64, at.step]);
        writer.meter("meter", &at.meter);
        save_state(self.method.state(), &mut writer)?;
        metrics.flush()?;
        let state = serde_json::json!({"epoch": at.epoch, "batch": at.batch, "method": self.method.name()});
        run.save_checkpoint(at.step, &writer.into_tensors(), &state, metrics.offset())?;
        Ok(())
    }
}

/// Says that the run has left the stable region, if it has; once an epoch is enough.
fn warn(at: &Position, observer: &mut dyn Observer) -> bool {
    let warnings = stability::warnings(&at.meter);
    if warnings.is_empty() {
        return false;
    }
    for warning in &warnings {
        observer.say(&format!("warning: epoch {}: {warning}", at.epoch + 1));
    }
    observer.say(&format!("hint: {}", stability::HINT));
    true
}

fn summary(at: &Position, epochs: usize, lr: f64, images_per_sec: f64, accuracy: Option<f64>) -> String {
    let mut line = format!("epoch {}/{epochs}  lr {lr:.4}", at.epoch + 1);
    for (name, label) in [("train/ce", "CE"), ("train/pc", "PC"), ("meta/cos_mean", "cos(c, c')")] {
        if let Some(mean) = at.meter.mean(name) {
            line.push_str(&format!("  {label} {mean:.3}"));
        }
    }
    if let Some(accuracy) = accuracy {
        line.push_str(&format!("  val {:.1} %", 100.0 * accuracy));
    }
    line.push_str(&speed_words(images_per_sec));
    line
}

/// Nothing where no step was taken: a run that goes on after an epoch's last batch has only its validation pass left.
fn speed_words(images_per_sec: f64) -> String {
    match images_per_sec {
        0.0 => String::new(),
        slow if slow < 9.95 => format!("  {slow:.1} images/s"),
        _ => format!("  {images_per_sec:.0} images/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::speed_words;

    #[test]
    fn no_speed_is_told_of_no_step_and_a_slow_one_is_not_none() {
        assert_eq!(speed_words(0.0), "");
        assert_eq!(
            [0.31, 9.94, 9.96, 596.4].map(speed_words),
            ["  0.3 images/s", "  9.9 images/s", "  10 images/s", "  596 images/s"]
        );
    }
}
