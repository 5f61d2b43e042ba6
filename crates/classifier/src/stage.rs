//! One run of stage 3: inputs, fitting, scoring, outputs; resumable at any batch.

use std::process::ExitCode;

use anyhow::Context as _;
use longtail_artifact::{
    Begin, BeginOptions, Device, ImageMatch, Interrupted, MetricsWriter, NamedTensor, RunLayout, StageArgs, StageRun,
    TensorData, WithHint, interrupted, progress, stage_specs, write_tensors,
};
use longtail_datasets::DatasetError;
use longtail_datasets::identity::compare;
use longtail_metrics::{GroupAccuracy, argmax_rows, evaluate};
use longtail_recipe::{ClassifierRecipe, Recipe};
use longtail_training::{CheckpointClock, Compute, StateReader, StateWriter};
use serde_json::{Map, Value, json};

use crate::ClassifierError;
use crate::device::SharedDevice;
use crate::inputs::Inputs;
use crate::journal::{Journal, Progress, SaveState};
use crate::method::base::{Context, Fitted, method};

/// Minutes between checkpoints: a head and its momentum are small.
const CHECKPOINT_MINUTES: f64 = 0.25;

/// The device of a run. Products are not rounded to TensorFloat-32: heads are the CPU's but for roundings.
fn open(device: Device) -> anyhow::Result<Option<SharedDevice>> {
    match device {
        Device::Cpu => Ok(None),
        #[cfg(feature = "cuda")]
        Device::Cuda(_) => {
            let settings = longtail_ops::gpu::CudaSettings { tf32: false };
            let heads = crate::device::GpuHeads::new(Compute::open(device, "classifier")?.driver(settings)?)?;
            Ok(Some(std::rc::Rc::new(std::cell::RefCell::new(heads))))
        }
        _ => Ok(Compute::open(device, "classifier").map(|_| None)?),
    }
}

/// Runs one method on one variant, from files to files.
///
/// # Errors
/// Everything that keeps it from finishing; finished artifacts are left as they were.
pub fn run(args: &StageArgs, method_name: &str) -> anyhow::Result<ExitCode> {
    let recipe = read_recipe(args)?;
    let classifier = recipe.classifier(method_name)?;
    let layout = RunLayout::new(&args.run);
    let views = if matches!(classifier, ClassifierRecipe::TailcalibX(_)) { recipe.features.views } else { 0 };
    let part = recipe.classifier_part(&args.variant, method_name)?;
    let settled = args.device("classifier", Compute::gpus())?;
    let device = settled.to_string();
    let images = images(&recipe, args, &layout)
        .with_context(|| format!("cannot start stage `classifier` ({}+{method_name})", args.variant))?;
    let representation =
        stage_specs::representation(&layout, &images, recipe.representation_part(&args.variant)?, &device);
    let features =
        stage_specs::features(&layout, &images, &args.variant, recipe.features_part(&args.variant)?, &device);
    for (folder, spec) in
        [(layout.representation(&args.variant), representation), (layout.features(&args.variant), features)]
    {
        stage_specs::require_up_to_date(&folder, &spec, args.accept_stale)
            .with_context(|| format!("cannot start stage `classifier` ({}+{method_name})", args.variant))?;
    }
    let spec = stage_specs::classifier(&layout, &images, &args.variant, views, part, &device);
    let folder = layout.classifier(&args.variant, method_name);
    let options = BeginOptions {
        force: args.force,
        accept_stale: args.accept_stale,
        accept_device_change: args.accept_device_change,
    };
    let nothing_to_do = |words: &str| {
        if !args.quiet {
            eprintln!("classifier {}+{method_name}: {words}", args.variant);
        }
        Ok(ExitCode::SUCCESS)
    };
    let stage = match StageRun::begin(&folder, &spec, options)? {
        Begin::UpToDate => return nothing_to_do("up to date"),
        Begin::KeptStale => return nothing_to_do("kept as it is"),
        Begin::Run(stage) => stage,
    };
    let inputs = Inputs::load(&layout, &args.variant, views)
        .with_context(|| format!("cannot start stage `classifier` ({}+{method_name})", args.variant))
        .hint("`cargo xtask status` shows which stage is stale; `features inspect FILE` shows a dump")?;
    let mut journal = StageJournal::new(stage, format!("{}+{method_name}", args.variant), args.quiet);
    let fitted = {
        let groups = recipe.data.shot_groups;
        let mut context = Context { seed: recipe.seed, groups, journal: &mut journal, device: open(settled)? };
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
    report(args, method_name, &fitted, &accuracy);
    Ok(ExitCode::SUCCESS)
}

/// How the images stand to those of the features: no pixel is read here, but a head of other images is stale.
pub(crate) fn images(recipe: &Recipe, args: &StageArgs, layout: &RunLayout) -> anyhow::Result<ImageMatch> {
    compare(&recipe.data, args.data.as_deref(), layout, args.quiet).map_err(|error| match error {
        DatasetError::Interrupted => Interrupted.into(),
        error => error.explained(),
    })
}

fn read_recipe(args: &StageArgs) -> anyhow::Result<Recipe> {
    Ok(longtail_recipe::read(&args.recipe, &args.overrides()?)?)
}

fn u32_tensor(name: &str, values: &[u32]) -> NamedTensor {
    NamedTensor { name: name.to_owned(), shape: vec![values.len()], data: TensorData::U32(values.to_vec()) }
}

fn groups(accuracy: &GroupAccuracy) -> Value {
    Value::Object(accuracy.groups().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect())
}

/// One line for a person, or one JSON object.
fn report(
    args: &StageArgs,
    method_name: &str,
    Fitted { chosen, given, val_accuracy, .. }: &Fitted,
    accuracy: &GroupAccuracy,
) {
    if args.json {
        let summary = json!({
            "variant": args.variant,
            "method": method_name,
            "chosen": chosen,
            "given": given,
            "val_accuracy": val_accuracy,
            "test_accuracy": groups(accuracy),
        });
        println!("{summary}");
    } else if !args.quiet {
        let percent =
            |value: Option<f64>| value.map_or("n/a".to_owned(), |share| longtail_artifact::percent(100.0 * share));
        let parts: Vec<String> =
            accuracy.groups().into_iter().map(|(name, value)| format!("{name} {}", percent(value))).collect();
        let chosen = match chosen_on_validation(chosen) {
            false => String::new(),
            true => format!("; chosen on validation: {}", Value::Object(chosen.clone())),
        };
        println!("{}+{method_name}: {} (percent){chosen}", args.variant, parts.join(", "));
    }
}

/// Whether what a method wrote down was chosen on validation data: an adaptive α follows losses on the meta set.
fn chosen_on_validation(chosen: &Map<String, Value>) -> bool {
    !chosen.is_empty() && !chosen.contains_key("alpha_per_class")
}

/// The journal of a real run: `metrics.jsonl`, a progress bar, and checkpoints in the stage's folder.
pub struct StageJournal {
    stage: StageRun,
    metrics: Option<MetricsWriter>,
    what: String,
    quiet: bool,
    clock: CheckpointClock,
    bar: Option<indicatif::ProgressBar>,
}

impl StageJournal {
    /// Writes into the folder of `stage`; `what` names the bar.
    pub fn new(stage: StageRun, what: String, quiet: bool) -> Self {
        Self { stage, metrics: None, what, quiet, clock: CheckpointClock::start(CHECKPOINT_MINUTES), bar: None }
    }

    /// Writes the manifest; the run is done.
    fn finish(mut self, outputs: &[(&str, longtail_artifact::FileHash)]) -> anyhow::Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
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
        if self.quiet {
            return;
        }
        match &self.bar {
            Some(bar) if !bar.is_hidden() => bar.println(line),
            _ => eprintln!("{line}"),
        }
    }

    fn resume(&mut self) -> Result<Option<StateReader>, ClassifierError> {
        let Some(checkpoint) = self.stage.latest_checkpoint()? else {
            return Ok(None);
        };
        self.metrics(Some(checkpoint.metrics_offset))?;
        Ok(Some(StateReader::new(format!("checkpoint {}", checkpoint.step), checkpoint.tensors)))
    }

    fn begin(&mut self, rows: u64, done: Progress) {
        let bar = progress(rows, &self.what, self.quiet);
        bar.set_message("rows");
        bar.set_position(done.rows);
        bar.reset_eta(); // rows of an earlier run say nothing about this one's rate
        self.clock.saved(done.steps);
        self.bar = Some(bar);
    }

    fn after(&mut self, done: Progress, state: &SaveState<'_>) -> Result<(), ClassifierError> {
        if let Some(bar) = &self.bar {
            bar.set_position(done.rows);
        }
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
