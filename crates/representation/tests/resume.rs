//! A run that is stopped or dies anywhere and goes on ends with the bits of one that was never stopped, with any number of
//! threads.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use longtail_artifact::{BeginOptions, ImageMatch, StageSpec};
use longtail_datasets::{DataSource, ImageSet, Split};
use longtail_ops::{below, stream};
use longtail_recipe::{Recipe, read_str};
use longtail_representation::RepresentationError;
use longtail_representation::stage::{self, Outcome};
use longtail_representation::train::Observer;
use longtail_training::Compute;

/// Ten epochs would be 20 steps; these are 3 epochs of 7.
const RECIPE: &str = "
data: {dataset: fashion_mnist, imbalance_factor: 5, meta_per_class: 2}
representation_defaults:
  backbone: {cifar_resnet: 8}
  epochs: 3
  batch_size: 16
  lr: 0.05
  warmup_epochs: 1
  checkpoint_minutes: 0.0000001
representations:
  ce: {method: {ce: {}}}
  control: {method: {mpcl: {prototypes: empirical, t_th_frac: 0.3, pc_warm: true}}}
  meta: {method: {mpcl: {t_th_frac: 0.3, meta_batch: 12, lambda_ramp_epochs: 1}}}
  central: {method: {mpcl: {t_th_frac: 0.3, jvp: central, meta_every: 2, virtual_step: momentum}}, head: {cosine: 16.0}}
  parts_ce: {micro_batch: 5, method: {ce: {}}}
  parts: {micro_batch: 6, activation_checkpointing: true, method: {mpcl: {t_th_frac: 0.3, meta_batch: 12}}}
  again: {activation_checkpointing: true, method: {mpcl: {t_th_frac: 0.3, meta_batch: 12, lambda_ramp_epochs: 1}}}
  ldam: {method: {ce: {}}, head: normed_linear, loss: {ldam: {drw: {from_epoch: 1}}}}
classifiers: {joint: {joint: {}}}
";

#[derive(Default)]
struct Stop {
    stop_after: Option<u64>,
    die_after: Option<u64>,
    /// Stop in the first validation pass from this step on.
    stop_validation_from: Option<u64>,
    /// Steps taken.
    step: u64,
}

impl Observer for Stop {
    fn start(&mut self, _total_steps: u64, _first_step: u64) {}

    fn stop_now(&mut self) -> bool {
        self.stop_validation_from.is_some_and(|from| self.step >= from)
    }

    fn stop_after(&mut self, step: u64) -> bool {
        self.step = step;
        assert!(self.die_after != Some(step), "killed");
        self.stop_after == Some(step)
    }

    fn say(&mut self, _line: &str) {}
}

fn image_set(per_class: u64, seed: u64) -> ImageSet {
    let mut rng = stream(seed, "test/images", 0, 0);
    let labels: Vec<u32> = (0..10 * per_class).map(|index| (index % 10) as u32).collect();
    let images = labels
        .iter()
        .flat_map(|&label| (0..64).map(move |pixel| (label, pixel)))
        .map(|(label, pixel)| (below(&mut rng, 128) + if pixel % 10 == label { 127 } else { 0 }) as u8)
        .collect();
    ImageSet {
        images,
        labels,
        height: 8,
        width: 8,
        channels: 1,
        num_classes: 10,
        class_names: (0..10).map(|class| class.to_string()).collect(),
    }
}

fn data(recipe: &Recipe) -> (Arc<ImageSet>, Split) {
    let source = DataSource {
        train: image_set(22, 0),
        test: image_set(2, 1),
        hash: "synthetic".into(),
        val_from: None,
        kept: None,
    };
    let split = Split::draw(&recipe.data, &source).expect("every class keeps an image");
    (Arc::new(source.train), split)
}

fn train(folder: &Path, variant: &str, observer: &mut Stop) -> Result<Outcome, RepresentationError> {
    let recipe = read_str(RECIPE, "tiny", &[]).expect("the recipe is valid");
    let (source, split) = data(&recipe);
    let spec = StageSpec {
        stage: "representation",
        code_version: 1,
        recipe_part: recipe.representation_part(variant).expect("a variant of the recipe"),
        inputs: Vec::new(),
        device: "cpu".into(),
        images: ImageMatch::Same,
    };
    let (compute, options) = (Compute::cpu(), BeginOptions::default());
    stage::run(&recipe, variant, &source, &split, folder, &spec, &compute, options, observer)
}

fn never() -> Stop {
    Stop::default()
}

/// Every hand-off file's bytes, and the metrics without their time fields.
fn result(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        if name.ends_with(".safetensors") {
            files.insert(name, std::fs::read(&path).expect("readable"));
        }
    }
    let metrics = std::fs::read_to_string(folder.join("metrics.jsonl")).expect("metrics are there");
    let lines = metrics.lines().filter(|line| !line.contains("images_per_sec")).map(|line| {
        let mut value: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        value.as_object_mut().expect("an object").remove("wall_secs");
        format!("{value}\n")
    });
    files.insert("metrics".into(), lines.collect::<String>().into_bytes());
    files
}

fn straight(variant: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    train(folder.path(), variant, &mut never()).expect("a straight run");
    result(folder.path())
}

fn assert_same(actual: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>, what: &str) {
    assert_eq!(actual.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
    for (name, bytes) in expected {
        if name == "metrics" {
            assert_eq!(String::from_utf8_lossy(&actual[name]), String::from_utf8_lossy(bytes), "{what}");
        }
        assert!(actual[name] == *bytes, "{what}: {name} differs");
    }
}

#[test]
fn stopped_and_resumed_is_a_straight_run() {
    for variant in ["ce", "control", "meta", "central", "parts_ce", "parts", "ldam"] {
        let expected = straight(variant);
        let folder = tempfile::tempdir().expect("a temporary folder");
        for step in [3, 7, 11] {
            let stopped = train(folder.path(), variant, &mut Stop { stop_after: Some(step), ..never() });
            assert!(matches!(stopped, Err(RepresentationError::Interrupted { step: at }) if at == step), "{stopped:?}");
        }
        train(folder.path(), variant, &mut never()).expect("the rest");
        assert_same(&result(folder.path()), &expected, variant);
        assert_eq!(train(folder.path(), variant, &mut never()).expect("nothing to do"), Outcome::UpToDate);
    }
}

/// With no batch in an epoch, training would end at once with the weights that it began with.
#[test]
fn a_batch_that_never_fills_is_refused() {
    let text = RECIPE.replace("batch_size: 16", "batch_size: 4096\n  drop_last: true");
    let recipe = read_str(&text, "tiny", &[]).expect("the recipe is valid");
    let (source, split) = data(&recipe);
    let error = stage::assemble(&recipe, "ce", &source, &split, &Compute::cpu()).err().expect("no batch");
    let words = error.to_string();
    assert!(words.contains("`batch_size` is 4096") && words.contains("training images"), "{words}");
    assert!(error.hint().expect("a hint").contains("--set representations.ce.batch_size="));
}

#[test]
fn killed_between_checkpoints_is_a_straight_run() {
    // The death at the first step of an epoch leaves metrics of the epoch before beyond the checkpoint's offset.
    let expected = straight("meta");
    let steps = {
        let lines = String::from_utf8(expected["metrics"].clone()).expect("text");
        let last: serde_json::Value = serde_json::from_str(lines.lines().last().expect("lines")).expect("JSON");
        last["step"].as_u64().expect("a step")
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    for step in [1, steps / 3 + 1, 2 * steps / 3 + 1, steps] {
        let mut dies = Stop { die_after: Some(step), ..never() };
        assert!(catch_unwind(AssertUnwindSafe(|| train(folder.path(), "meta", &mut dies))).is_err());
    }
    train(folder.path(), "meta", &mut never()).expect("the rest");
    assert_same(&result(folder.path()), &expected, "meta");
}

#[test]
fn stopped_in_a_validation_pass_is_a_straight_run() {
    let expected = straight("ce");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for from in [1, 8] {
        let stopped = train(folder.path(), "ce", &mut Stop { stop_validation_from: Some(from), ..never() });
        assert!(matches!(stopped, Err(RepresentationError::Interrupted { step }) if step >= from), "{stopped:?}");
    }
    train(folder.path(), "ce", &mut never()).expect("the rest");
    assert_same(&result(folder.path()), &expected, "ce");
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| straight("meta"))
    };
    assert_same(&with(2), &with(1), "threads");
}

#[test]
fn activation_checkpointing_changes_no_bit_and_micro_batch_does() {
    let whole = straight("meta");
    assert_same(&straight("again"), &whole, "activation_checkpointing");
    assert!(straight("parts")["backbone.safetensors"] != whole["backbone.safetensors"], "batch norm sees fewer images");
}
