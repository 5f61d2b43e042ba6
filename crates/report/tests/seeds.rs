//! Which rows of which seeds count: what was run with other settings, made again since, or made by other code is left out
//! and named; what is damaged, too few or not a number never reaches the table.
#![allow(clippy::unwrap_used)] // a test may stop where it stands

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{COUNTS, RECIPE, manifest};
use longtail_artifact::{
    FileRecord, Manifest, NamedTensor, RunLayout, TensorData, code_versions, hash_file, write_json_atomic,
    write_tensors,
};
use longtail_recipe::{Recipe, read_str};
use serde_json::{Value, json};

/// Seeds of the small recipe in a folder, as the stages would have left them.
struct Runs {
    folder: tempfile::TempDir,
}

fn u32_tensor(name: &str, values: Vec<u32>) -> NamedTensor {
    NamedTensor { name: name.to_owned(), shape: vec![values.len()], data: TensorData::U32(values) }
}

fn record(path: &Path) -> FileRecord {
    FileRecord { bytes: 0, blake3: hash_file(path).unwrap(), mtime_ns: 0 }
}

fn write_manifest(folder: &Path, manifest: &Manifest) {
    write_json_atomic(&folder.join("manifest.json"), &serde_json::to_value(manifest).unwrap()).unwrap();
}

fn change_manifest(folder: PathBuf, change: impl FnOnce(&mut Manifest)) {
    let mut manifest = Manifest::read(&folder).unwrap().unwrap();
    change(&mut manifest);
    write_manifest(&folder, &manifest);
}

/// Ten test images a class, five of them right; logits as they must be.
fn predictions(path: &Path, images: usize, logits: impl Fn(usize, usize) -> f32) {
    let labels: Vec<u32> = (0..images as u32).map(|image| image / 10).collect();
    let predicted = labels.iter().map(|label| if label % 2 == 0 { *label } else { 0 }).collect();
    let logits = (0..images * 10).map(|at| logits(at / 10, at % 10)).collect();
    let tensors = [
        u32_tensor("class_counts", COUNTS.to_vec()),
        u32_tensor("labels", labels),
        NamedTensor { name: "logits".into(), shape: vec![images, 10], data: TensorData::F32(logits) },
        u32_tensor("predicted", predicted),
        u32_tensor("val_labels", vec![0; 10]),
    ];
    write_tensors(path, &tensors, &json!({"chosen": {}, "val_accuracy": 0.5})).unwrap();
}

fn sound(image: usize, class: usize) -> f32 {
    let predicted = if (image / 10).is_multiple_of(2) { image / 10 } else { 0 };
    if class == predicted { 1.0 } else { 0.0 }
}

impl Runs {
    fn new(seeds: u64) -> Self {
        let runs = Runs { folder: tempfile::tempdir().unwrap() };
        fs_err::write(runs.path("small.yaml"), RECIPE).unwrap();
        (0..seeds).for_each(|seed| runs.write_seed(seed, &[]));
        runs
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn layout(&self, seed: u64) -> RunLayout {
        RunLayout::new(self.path(&format!("seed-{seed}")))
    }

    /// All stages of a seed, with some fields of the recipe changed.
    fn write_seed(&self, seed: u64, changes: &[(&str, &str)]) {
        let mut overrides = vec![("seed".to_owned(), seed.to_string())];
        overrides.extend(changes.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())));
        let recipe = read_str(RECIPE, "small.yaml", &overrides).unwrap();
        let layout = self.layout(seed);
        fs_err::create_dir_all(layout.run()).unwrap();
        let tensors = [
            u32_tensor("train", (0..50).collect()),
            u32_tensor("meta", (50..60).collect()),
            u32_tensor("val", (50..60).collect()),
            u32_tensor("test", (0..100).collect()),
        ];
        let metadata = json!({"dataset": "fashion_mnist", "data_hash": "ours", "draw": {"imbalance_factor": 100.0}});
        write_tensors(&layout.split(), &tensors, &metadata).unwrap();
        for row in &recipe.rows {
            self.write_row(&recipe, &layout, &row.representation, &row.classifier);
        }
    }

    fn write_row(&self, recipe: &Recipe, layout: &RunLayout, variant: &str, method: &str) {
        let stages = [
            (layout.representation(variant), "representation", code_versions::REPRESENTATION, "backbone.safetensors"),
            (layout.features(variant), "features", code_versions::FEATURES, "test.safetensors"),
            (layout.classifier(variant, method), "classifier", code_versions::CLASSIFIER, "predictions.safetensors"),
        ];
        let parts = [
            recipe.representation_part(variant).unwrap(),
            recipe.features_part(variant).unwrap(),
            recipe.classifier_part(variant, method).unwrap(),
        ];
        let mut inputs = vec![("split.safetensors".to_owned(), layout.split())];
        for ((folder, stage, version, file), part) in stages.into_iter().zip(parts) {
            fs_err::create_dir_all(&folder).unwrap();
            let path = folder.join(file);
            match stage {
                "classifier" => predictions(&path, 100, sound),
                _ => fs_err::write(&path, format!("{stage} {variant} {}", recipe.seed)).unwrap(),
            }
            let mut manifest = manifest(stage, version, part);
            manifest.inputs = inputs.iter().map(|(name, path)| (name.clone(), record(path))).collect();
            manifest.outputs.insert(file.to_owned(), record(&path));
            write_manifest(&folder, &manifest);
            if stage == "features" {
                inputs.clear(); // stage 3 does not read the split
            }
            inputs.push((format!("{stage}/{file}"), path));
        }
    }

    /// As a person starts it, on the whole folder.
    fn report(&self, more: &[&str]) -> Output {
        let mut command = self.command();
        command.arg("--runs").arg(self.folder.path()).args(more).output().unwrap()
    }

    /// As xtask starts it: seed 0 was asked for, seed 1 lies there.
    fn report_also(&self, more: &[&str]) -> Output {
        let (asked, also) = (self.path("seed-0"), self.path("seed-1"));
        self.command().arg("--run").arg(asked).arg("--also").arg(also).args(more).output().unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_report"));
        command.arg("--recipe").arg(self.path("small.yaml")).arg("--out").arg(self.path("report"));
        command
    }

    /// The seeds of each row in report.json.
    fn seeds(&self) -> Value {
        let json: Value = serde_json::from_slice(&fs_err::read(self.path("report/report.json")).unwrap()).unwrap();
        json["rows"].as_array().unwrap().iter().map(|row| row["seeds"].clone()).collect()
    }

    /// That `sentence` is in the report, on the terminal and on stderr, and nowhere a path.
    fn named(&self, output: &Output, sentence: &str) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let markdown = text(&fs_err::read(self.path("report/report.md")).unwrap()).replace('\\', "");
        let html = text(&fs_err::read(self.path("report/report.html")).unwrap());
        for place in [&text(&output.stderr), &text(&output.stdout), &markdown, &html] {
            assert!(place.contains(sentence), "`{sentence}` is not in\n{place}");
        }
        let folder = self.folder.path().display().to_string();
        assert!(!markdown.contains(&folder) && !html.contains(&folder));
    }
}

fn expect(output: &Output, code: i32) -> String {
    let words = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(code), "{words}");
    words
}

#[test]
fn seeds_of_one_recipe_count_together_in_silence() {
    let runs = Runs::new(2);
    for output in [runs.report(&[]), runs.report_also(&[])] {
        expect(&output, 0);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(runs.seeds(), json!([[0, 1], [0, 1], [0, 1]]));
    }
}

#[test]
fn a_seed_of_other_settings_is_left_out_and_its_field_named() {
    let runs = Runs::new(1);
    runs.write_seed(1, &[("representations.ce.epochs", "12")]);
    for output in [runs.report(&[]), runs.report_also(&[])] {
        expect(&output, 0);
        assert_eq!(runs.seeds(), json!([[0], [0], [0, 1]]), "mpcl's settings are the same");
        let here = common::recipe().representations["ce"].epochs;
        let why = format!("representations.ce.epochs is 12 in the run and {here} in the recipe");
        runs.named(&output, &format!("Left out: seed 1 (ce+joint, ce+tau_norm): {why}"));
    }
    // Siblings: a field of the data, of a classifier, and a run in the folder of another seed.
    runs.write_seed(1, &[("data.imbalance_factor", "50")]);
    let output = runs.report(&[]);
    runs.named(
        &output,
        "Left out: seed 1 (all rows): data.imbalance_factor is 50.0 in the run and 100.0 in the recipe.",
    );
    runs.write_seed(1, &[("classifiers.tau_norm.tau_norm.taus", "[0.5]")]);
    let output = runs.report(&[]);
    runs.named(&output, "Left out: seed 1 (ce+tau_norm): classifiers.tau_norm.tau_norm.taus is [0.5] in the run");
    assert_eq!(runs.seeds(), json!([[0, 1], [0], [0, 1]]));
    runs.write_seed(1, &[]);
    fs_err::rename(runs.path("seed-1"), runs.path("seed-7")).unwrap();
    runs.named(&runs.report(&[]), "seed is 1 in the run and 7 in the recipe");
}

#[test]
fn nothing_but_other_settings_is_refused_and_the_report_stays() {
    let runs = Runs::new(2);
    expect(&runs.report(&[]), 0);
    let before = fs_err::read(runs.path("report/report.md")).unwrap();
    let words = expect(&runs.report(&["--set", "representation_defaults.epochs=3"]), 2);
    assert!(words.contains("representations.ce.epochs") && words.contains("hint:"), "{words}");
    assert_eq!(fs_err::read(runs.path("report/report.md")).unwrap(), before);
}

#[test]
fn what_is_accepted_counts_and_is_named() {
    let runs = Runs::new(1);
    runs.write_seed(1, &[("representations.ce.epochs", "12")]);
    let output = runs.report(&["--accept-stale"]);
    expect(&output, 0);
    assert_eq!(runs.seeds(), json!([[0, 1], [0, 1], [0, 1]]));
    runs.named(
        &output,
        "Counted because of --accept-stale: seed 1 (ce+joint, ce+tau_norm): representations.ce.epochs is 12 in the run",
    );
    // A seed that nobody asked for is not accepted by the way.
    let output = runs.report_also(&["--accept-stale"]);
    assert_eq!(runs.seeds(), json!([[0], [0], [0, 1]]));
    runs.named(&output, "Left out: seed 1 (ce+joint, ce+tau_norm)");
}

#[test]
fn a_seed_that_was_killed_on_the_way_counts_by_what_it_finished() {
    let runs = Runs::new(2);
    fs_err::remove_file(runs.layout(1).classifier("ce", "tau_norm").join("manifest.json")).unwrap();
    let output = runs.report(&[]);
    expect(&output, 0);
    assert_eq!(runs.seeds(), json!([[0, 1], [0], [0, 1]]));
    runs.named(&output, "Not finished: seed 1 (ce+tau_norm).");
    runs.named(&output, "");
    // Stage 1 was trained again, and the process was killed before features and heads were made from it.
    change_manifest(runs.layout(1).representation("mpcl"), |manifest| {
        let file = manifest.outputs.get_mut("backbone.safetensors").unwrap();
        file.blake3 = file.blake3.chars().rev().collect();
    });
    let output = runs.report(&[]);
    assert_eq!(runs.seeds(), json!([[0, 1], [0], [0]]));
    runs.named(
        &output,
        "Left out: seed 1 (mpcl+mpfa): stage representation made backbone.safetensors again after stage features read it",
    );
    // Nothing of a seed: its folder and a split.
    fs_err::remove_dir_all(runs.path("seed-1")).unwrap();
    fs_err::create_dir(runs.path("seed-1")).unwrap();
    let output = runs.report_also(&[]);
    expect(&output, 0);
    runs.named(&output, "Not finished: seed 1 (all rows).");
}

#[test]
fn a_split_that_was_drawn_again_speaks_against_what_was_made_before() {
    let runs = Runs::new(2);
    let split = runs.layout(1).split();
    let tensors = ["train", "meta", "val", "test"].map(|name| u32_tensor(name, (0..100).collect()));
    write_tensors(&split, &tensors, &json!({"data_hash": "ours"})).unwrap();
    let output = runs.report(&[]);
    expect(&output, 0);
    runs.named(&output, "Left out: seed 1 (all rows): the split was drawn again after stage representation read it");
}

#[test]
fn seeds_of_other_images_are_not_mixed() {
    let runs = Runs::new(2);
    let layout = runs.layout(1);
    let tensors = ["train", "meta", "val", "test"].map(|name| u32_tensor(name, (0..100).collect()));
    write_tensors(&layout.split(), &tensors, &json!({"data_hash": "theirs"})).unwrap();
    let split = record(&layout.split());
    for folder in ["ce", "mpcl"].iter().flat_map(|name| [layout.representation(name), layout.features(name)]) {
        change_manifest(folder, |manifest| {
            manifest.inputs.insert("split.safetensors".into(), split.clone());
        });
    }
    let output = runs.report(&[]);
    expect(&output, 0);
    assert_eq!(runs.seeds(), json!([[0], [0], [0]]));
    runs.named(&output, "Left out: seed 1 (all rows): its images are not those of the other seeds.");
}

#[test]
fn seeds_of_older_code_are_not_mixed_and_old_ones_alone_are_named() {
    let runs = Runs::new(2);
    let age = |seed: u64| {
        change_manifest(runs.layout(seed).classifier("ce", "joint"), |manifest| manifest.code_version -= 1);
    };
    age(1);
    let output = runs.report(&[]);
    expect(&output, 0);
    let (now, old) = (code_versions::CLASSIFIER, code_versions::CLASSIFIER - 1);
    assert_eq!(runs.seeds(), json!([[0], [0, 1], [0, 1]]));
    let why = format!("stage classifier has code version {old}, other seeds have {now}");
    runs.named(&output, &format!("Left out: seed 1 (ce+joint): {why}."));
    age(0);
    let output = runs.report(&[]);
    expect(&output, 0);
    assert_eq!(runs.seeds(), json!([[0, 1], [0, 1], [0, 1]]));
    assert!(output.stderr.is_empty());
    let markdown = fs_err::read_to_string(runs.path("report/report.md")).unwrap();
    assert!(markdown.contains(&format!("Stage classifier ran with code version {old} for ce+joint;")), "{markdown}");
}

#[test]
fn devices_may_be_mixed_and_are_named() {
    let runs = Runs::new(2);
    for folder in ["ce", "mpcl"].map(|variant| runs.layout(1).representation(variant)) {
        change_manifest(folder, |manifest| manifest.device = "cuda:0".into());
    }
    // The words change although the predictions are what they were.
    expect(&runs.report(&["--seeds", "0"]), 0);
    let output = runs.report(&[]);
    expect(&output, 0);
    assert_eq!(runs.seeds(), json!([[0, 1], [0, 1], [0, 1]]));
    let markdown = fs_err::read_to_string(runs.path("report/report.md")).unwrap();
    let sentence =
        "Computed on cpu: stages of seeds 0, 1; on cuda:0: stages of seed 1. Rounding differs between devices.";
    assert!(markdown.contains(sentence), "{markdown}");
}

#[test]
fn a_report_is_written_again_when_only_its_words_change() {
    let runs = Runs::new(1);
    let device = |name: &str| {
        for folder in ["ce", "mpcl"].map(|variant| runs.layout(0).representation(variant)) {
            change_manifest(folder, |manifest| manifest.device = name.into());
        }
    };
    let read = || fs_err::read_to_string(runs.path("report/report.md")).unwrap();
    expect(&runs.report(&[]), 0);
    assert!(!read().contains("Computed on"));
    device("cuda:1");
    expect(&runs.report(&["--accept-stale"]), 0);
    assert!(read().contains("cuda:1"), "{}", read());
}

/// Damages the predictions of ce+joint of seed 1, by the hand of a program that keeps the manifest right.
fn damage(runs: &Runs, images: usize, logits: impl Fn(usize, usize) -> f32) {
    let folder = runs.layout(1).classifier("ce", "joint");
    let path = folder.join("predictions.safetensors");
    predictions(&path, images, logits);
    change_manifest(folder, |manifest| {
        manifest.outputs.insert("predictions.safetensors".into(), record(&path));
    });
}

#[test]
fn predictions_that_do_not_hold_stop_a_seed_that_was_asked_for_and_leave_others_out() {
    let runs = Runs::new(2);
    let refused = |sentence: &str| {
        let words = expect(&runs.report(&[]), 2);
        assert!(words.contains(sentence) && words.contains("predictions.safetensors"), "{words}");
        let output = runs.report_also(&[]);
        expect(&output, 0);
        assert_eq!(runs.seeds(), json!([[0], [0, 1], [0, 1]]));
        runs.named(&output, &format!("Left out: seed 1 (ce+joint): {sentence}"));
    };
    damage(&runs, 100, |image, class| if (image, class) == (3, 4) { f32::NAN } else { sound(image, class) });
    refused("`logits`[3, 4] is NaN, not a finite number");
    damage(&runs, 100, |image, class| if (image, class) == (3, 4) { f32::INFINITY } else { sound(image, class) });
    refused("`logits`[3, 4] is inf, not a finite number");
    damage(&runs, 100, |image, class| if (image, class) == (3, 4) { 2.0 } else { sound(image, class) });
    refused("`predicted`[3] is class 0, but the logit of class 4 is larger");
    damage(&runs, 90, sound);
    refused("it has 90 test images, but the split has 100");
    // Without a split the other seeds tell.
    fs_err::remove_file(runs.layout(0).split()).unwrap();
    fs_err::remove_file(runs.layout(1).split()).unwrap();
    let words = expect(&runs.report(&[]), 2);
    assert!(words.contains("has other test image counts") && words.contains("class 9 has 0, not 10"), "{words}");
    runs.named(&runs.report_also(&[]), "it has other test image counts: class 9 has 0, not 10");
}

#[test]
fn ranges_and_the_papers_numbers_are_held_against_what_counts() {
    // Seed 1 is of other settings, and its numbers would lie outside.
    let runs = Runs::new(1);
    runs.write_seed(1, &[("representations.ce.epochs", "12")]);
    let folder = runs.layout(1).classifier("ce", "joint");
    let path = folder.join("predictions.safetensors");
    predictions(&path, 100, |_, class| if class == 0 { 1.0 } else { 0.0 });
    let rows = "rows=[{representation: ce, classifier: joint, paper: {all: 51.5}, expected: {all: [50, 50]}}]";
    let output = runs.report_also(&["--set", rows]);
    let words = expect(&output, 0);
    assert!(words.contains("inside") && words.contains("51.5") && !words.contains("OUTSIDE"), "{words}");
    // Of a row that does not count, nothing is said.
    let rows = rows.replace("joint", "tau_norm");
    fs_err::remove_file(runs.layout(0).classifier("ce", "tau_norm").join("manifest.json")).unwrap();
    let both = rows.replace("rows=[", "rows=[{representation: ce, classifier: joint},");
    let words = expect(&runs.report_also(&["--set", &both.replace("[50, 50]", "[99, 100]")]), 0);
    assert!(!words.contains("OUTSIDE") && words.contains("not run"), "{words}");
}
