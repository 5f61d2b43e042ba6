//! One run of stage 3: inputs, fitting, scoring, outputs; resumable at any batch.

use std::process::ExitCode;

use anyhow::Context as _;
use longtail_artifact::{
    Interrupted, MetricsWriter, NamedTensor, StageRun, TensorData, WithHint, interrupted, stage_specs, write_tensors,
};
use longtail_metrics::{GroupAccuracy, argmax_rows, evaluate};
use longtail_recipe::ClassifierRecipe;
use longtail_stage::{Frame, StageArgs, Terminal};
use longtail_training::{CheckpointClock, Compute, StateReader, StateWriter};
use serde_json::{Map, Value, json};

use crate::ClassifierError;
use crate::inputs::Inputs;
use crate::journal::{Journal, Progress, SaveState};
use crate::method::base::{Context, Fitted, method};

/// Minutes between checkpoints: a head and its momentum are small.
const CHECKPOINT_MINUTES: f64 = 0.25;

/// Runs one method on one variant, from files to files.
///
/// # Errors
/// Everything that keeps it from finishing; finished artifacts are left as they were.
pub fn run(args: &StageArgs, method_name: &str) -> anyhow::Result<ExitCode> {
    let of = format!("{}+{method_name}", args.variant);
    let frame = Frame::new("classifier", &of, format!("cannot start stage `classifier` ({of})"), args)?;
    let layout = frame.layout();
    let recipe = frame.recipe()?;
    let classifier = recipe.classifier(method_name)?;
    let views = if matches!(classifier, ClassifierRecipe::TailcalibX(_)) { recipe.features.views } else { 0 };
    let part = recipe.classifier_part(&args.variant, method_name)?;
    let settled = frame.device()?;
    let device = settled.to_string();
    let images = frame.compare_images(&recipe)?;
    frame.require_representation(&recipe, &images, &device)?;
    frame.require_features(&recipe, &images, &device)?;
    let spec = stage_specs::classifier(layout, &images, &args.variant, views, part, &device);
    let folder = layout.classifier(&args.variant, method_name);
    let Some(stage) = frame.begin(&folder, &spec)? else { return Ok(ExitCode::SUCCESS) };
    let inputs = Inputs::load(layout, &args.variant, views)
        .with_context(|| frame.cannot_start())
        .hint("`cargo xtask status` says which stage is stale; `features inspect FILE` shows a dump")?;
    let mut journal = StageJournal::new(stage, of, args.quiet);
    let fitted = {
        let groups = recipe.data.shot_groups;
        let compute = Compute::open(settled, "classifier")?;
        compute.prepare(false)?; // no product is rounded to TensorFloat-32: heads are the CPU's but for roundings
        let mut context = Context { seed: recipe.seed, groups, journal: &mut journal, compute };
        method(classifier)
            .fit(&inputs.data, &mut context)
            .with_context(|| format!("classifier `{method_name}` on `{}` could not be fitted", args.variant))?
    };
    // From here on the classifier is fixed; the test features open.
    let test = inputs.test.open(&fitted)?;
    let classes = inputs.data.num_classes();
    let logits = fitted.head.logits(&test.features)?;
    let predicted = argmax_rows(&logits, classes);
    let accuracy = evaluate(&predicted, &test.labels, &inputs.data.class_counts, recipe.data.shot_groups)?;
    let val = &inputs.data.val;
    let val_predicted = argmax_rows(&fitted.head.logits(&val.features)?, classes);
    let head_hash = fitted.head.save(&folder.join("head.safetensors"), &fitted.chosen, &fitted.given)?;
    let tensors = [
        u32_tensor("class_counts", &inputs.data.class_counts),
        u32_tensor("labels", &test.labels),
        NamedTensor {
            name: "logits".to_owned(),
            shape: vec![test.labels.len(), classes],
            data: TensorData::F32(logits),
        },
        u32_tensor("predicted", &predicted),
        u32_tensor("val_labels", &val.labels),
        u32_tensor("val_predicted", &val_predicted),
    ];
    let mut metadata = json!({
        "classifier": classifier.name(),
        "chosen": fitted.chosen,
        "val_accuracy": fitted.val_accuracy,
        "shot_groups": {
            "many_above": recipe.data.shot_groups.many_above,
            "few_below": recipe.data.shot_groups.few_below,
        },
        "test_accuracy": groups(&accuracy),
    });
    if !fitted.given.is_empty() {
        metadata["given"] = json!(fitted.given);
    }
    let predictions_hash = write_tensors(&folder.join("predictions.safetensors"), &tensors, &metadata)?;
    journal.finish(&[("head.safetensors", head_hash), ("predictions.safetensors", predictions_hash)])?;
    let (outcome, line) = report(&args.variant, method_name, &fitted, &accuracy);
    frame.answer(&outcome, &line);
    Ok(ExitCode::SUCCESS)
}

fn u32_tensor(name: &str, values: &[u32]) -> NamedTensor {
    NamedTensor { name: name.to_owned(), shape: vec![values.len()], data: TensorData::U32(values.to_vec()) }
}

fn groups(accuracy: &GroupAccuracy) -> Value {
    Value::Object(accuracy.groups().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect())
}

/// The outcome for programs, and in a line for a person.
fn report(
    variant: &str,
    method_name: &str,
    Fitted { chosen, given, val_accuracy, .. }: &Fitted,
    accuracy: &GroupAccuracy,
) -> (Value, String) {
    let outcome = json!({
        "variant": variant,
        "method": method_name,
        "chosen": chosen,
        "given": given,
        "val_accuracy": val_accuracy,
        "test_accuracy": groups(accuracy),
    });
    let percent =
        |value: Option<f64>| value.map_or("n/a".to_owned(), |share| longtail_artifact::percent(100.0 * share));
    let parts: Vec<String> =
        accuracy.groups().into_iter().map(|(name, value)| format!("{name} {}", percent(value))).collect();
    let chosen = match chosen_on_validation(chosen) {
        false => String::new(),
        true => format!("; chosen on validation: {}", Value::Object(chosen.clone())),
    };
    (outcome, format!("{} (percent){chosen}", parts.join(", ")))
}

/// Whether what a method wrote down was chosen on validation data: an adaptive α follows losses on the meta set.
fn chosen_on_validation(chosen: &Map<String, Value>) -> bool {
    !chosen.is_empty() && !chosen.contains_key("alpha_per_class")
}

/// The journal of a real run: `metrics.jsonl`, a progress bar, and checkpoints in the stage's folder.
pub struct StageJournal {
    stage: StageRun,
    metrics: Option<MetricsWriter>,
    clock: CheckpointClock,
    terminal: Terminal,
}

impl StageJournal {
    /// Writes into the folder of `stage`; `what` names the bar.
    pub fn new(stage: StageRun, what: String, quiet: bool) -> Self {
        let terminal = Terminal::new(what, quiet);
        Self { stage, metrics: None, clock: CheckpointClock::start(CHECKPOINT_MINUTES), terminal }
    }

    /// Writes the manifest; the run is done.
    fn finish(mut self, outputs: &[(&str, longtail_artifact::FileHash)]) -> anyhow::Result<()> {
        self.terminal.clear();
        self.metrics(None)?.flush()?;
        self.metrics = None;
        Ok(self.stage.finish(outputs)?)
    }

    fn metrics(&mut self, resume_offset: Option<u64>) -> Result<&mut MetricsWriter, ClassifierError> {
        if self.metrics.is_none() {
            self.metrics = Some(self.stage.metrics(resume_offset)?);
        }
        Ok(self.metrics.as_mut().expect("set just above"))
    }
}

impl Journal for StageJournal {
    fn scalar(&mut self, epoch: usize, split: &str, name: &str, value: f64, unit: &str) -> Result<(), ClassifierError> {
        self.metrics(None)?.scalar(epoch as u64, epoch, split, name, value, unit)?;
        Ok(())
    }

    fn note(&mut self, line: &str) {
        self.terminal.say(line);
    }

    fn resume(&mut self) -> Result<Option<StateReader>, ClassifierError> {
        let Some(checkpoint) = self.stage.latest_checkpoint()? else {
            return Ok(None);
        };
        self.metrics(Some(checkpoint.metrics_offset))?;
        Ok(Some(StateReader::new(format!("checkpoint {}", checkpoint.step), checkpoint.tensors)))
    }

    fn begin(&mut self, rows: u64, done: Progress) {
        self.terminal.start(rows, done.rows);
        self.terminal.message("rows");
        self.clock.saved(done.steps);
    }

    fn after(&mut self, done: Progress, state: &SaveState<'_>) -> Result<(), ClassifierError> {
        self.terminal.at(done.rows);
        let stop = interrupted();
        if stop || self.clock.is_due(done.steps) {
            let mut writer = StateWriter::default();
            state(&mut writer)?;
            let metrics = self.metrics(None)?;
            metrics.flush()?;
            let offset = metrics.offset();
            self.stage.save_checkpoint(done.steps, &writer.into_tensors(), &json!({}), offset)?;
            self.clock.saved(done.steps);
        }
        if stop { Err(ClassifierError::Interrupted(Interrupted)) } else { Ok(()) }
    }
}
