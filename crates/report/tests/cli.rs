//! The binary on made-up runs: exit codes, what is written, that a second run writes nothing; and that damaged
//! predictions are refused in words.
#![allow(clippy::unwrap_used)] // a test may stop where it stands

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use longtail_artifact::{NamedTensor, TensorData, code_versions, write_tensors};
use longtail_recipe::{Recipe, read_str};
use longtail_report::{SeedRun, collect, predictions_file, summarize};
use serde_json::{Value, json};

const RECIPE: &str = "\
recipe: small
data: {dataset: fashion_mnist, imbalance_factor: 100, shot_groups: {many_above: 1000, few_below: 200}}
representations: {ce: {method: {ce: {}}}}
classifiers: {joint: , tau_norm: , crt: }
rows:
  - {representation: ce, classifier: joint, paper: {all: 38.3}}
  - {representation: ce, classifier: tau_norm, expected: {all: [60, 100]}}
  - {representation: ce, classifier: crt}
";
const COUNTS: [u32; 10] = [5990, 3591, 2153, 1290, 773, 463, 278, 166, 99, 59];

fn tensor(name: &str, values: &[u32]) -> NamedTensor {
    NamedTensor { name: name.to_owned(), shape: vec![values.len()], data: TensorData::U32(values.to_vec()) }
}

/// Predictions of ten images a class, the first `right` of each right.
fn write_predictions(run: &Path, classifier: &str, right: usize, metadata: Value) -> PathBuf {
    let path = predictions_file(run, "ce", classifier);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    let labels: Vec<u32> = (0..100).map(|image| image / 10).collect();
    let predicted: Vec<u32> =
        (0..100).map(|image| if (image % 10) < right as u32 { image / 10 } else { (image / 10 + 1) % 10 }).collect();
    let tensors = [tensor("class_counts", &COUNTS), tensor("labels", &labels), tensor("predicted", &predicted)];
    write_tensors(&path, &tensors, &metadata).unwrap();
    let seed = run.file_name().unwrap().to_str().unwrap().trim_start_matches("seed-").to_owned();
    let recipe = read_str(RECIPE, "small.yaml", &[("seed".to_owned(), seed)]).unwrap();
    let part = recipe.classifier_part("ce", classifier).unwrap();
    let manifest = json!({"stage": "classifier", "key": "", "code_version": code_versions::CLASSIFIER, "recipe_part": part, "inputs": {},
                          "outputs": {}, "device": "cpu"});
    fs_err::write(path.with_file_name("manifest.json"), manifest.to_string()).unwrap();
    path
}

struct Runs {
    folder: tempfile::TempDir,
}

impl Runs {
    /// Seeds 0 and 1 of `joint` and `tau_norm`; `crt` was not run.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("small.yaml"), RECIPE).unwrap();
        for seed in 0..2usize {
            let run = folder.path().join(format!("seed-{seed}"));
            write_predictions(&run, "joint", 5 + seed, json!({"chosen": {}}));
            write_predictions(&run, "tau_norm", 7, json!({"chosen": {"tau": 0.5}, "val_accuracy": 0.75}));
        }
        Runs { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn report(&self, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_report"));
        command.arg("--recipe").arg(self.path("small.yaml")).arg("--runs").arg(self.folder.path()).args(more);
        command.env("COLUMNS", "200").output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_table_is_printed_and_written_and_then_there_is_nothing_to_do() {
    let runs = Runs::new();
    let first = runs.report(&[]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let table = text(&first.stdout);
    for words in ["55.00 ± 7.07", "70.00 ± 0.00", "38.3", "not run", "inside"] {
        assert!(table.contains(words), "{words} in {table}");
    }
    for file in
        ["report.md", "report.html", "report.json", "manifest.json", "figures/all-rows.svg", "figures/ce+joint.svg"]
    {
        assert!(runs.path("report").join(file).is_file(), "{file}");
    }
    let page = runs.path("report/report.html");
    let (bytes, written) = (fs_err::read(&page).unwrap(), fs_err::metadata(&page).unwrap().modified().unwrap());
    let second = runs.report(&[]);
    assert_eq!(text(&second.stdout), table);
    assert_eq!(fs_err::metadata(&page).unwrap().modified().unwrap(), written, "up to date");
    assert_eq!(runs.report(&["--force"]).status.code(), Some(0));
    assert_eq!(fs_err::read(&page).unwrap(), bytes, "the same artifacts give the same bytes");
}

#[test]
fn json_goes_to_the_terminal_and_the_file_alike() {
    let runs = Runs::new();
    let output = runs.report(&["--json", "--seeds", "1"]);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let written: Value = serde_json::from_slice(&fs_err::read(runs.path("report/report.json")).unwrap()).unwrap();
    assert_eq!(printed, written);
    assert_eq!(printed["rows"][0]["seeds"], json!([1]));
    assert_eq!(printed["rows"][0]["all"], 60.0);
}

#[test]
fn a_row_outside_its_range_gives_exit_code_1_again_and_again() {
    let runs = Runs::new();
    for _ in 0..2 {
        let output = runs.report(&["--set", "rows.1.expected.all=[80, 90]"]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("OUTSIDE: all 70.00 not in [80, 90]"));
    }
}

#[test]
fn what_cannot_be_reported_gives_exit_code_2_and_leaves_the_report() {
    let runs = Runs::new();
    assert_eq!(runs.report(&[]).status.code(), Some(0));
    let before = fs_err::read(runs.path("report/report.md")).unwrap();
    let damaged = predictions_file(&runs.path("seed-1"), "ce", "joint");
    let bytes = fs_err::read(&damaged).unwrap();
    fs_err::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let output = runs.report(&[]);
    assert_eq!(output.status.code(), Some(2));
    let words = text(&output.stderr);
    assert!(words.contains("predictions.safetensors") && words.contains("hint:"), "{words}");
    assert_eq!(fs_err::read(runs.path("report/report.md")).unwrap(), before);
    let missing = runs.report(&["--seeds", "7"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("no run of seed 7"), "{}", text(&missing.stderr));
}

fn recipe() -> Recipe {
    read_str(RECIPE, "small.yaml", &[]).unwrap()
}

fn collect_error(change: impl FnOnce(&Path)) -> String {
    let runs = Runs::new();
    let path = predictions_file(&runs.path("seed-0"), "ce", "joint");
    change(&path);
    let seeds = [0, 1].map(|seed| SeedRun {
        seed,
        dir: runs.path(&format!("seed-{seed}")),
        optional: false,
        other_images: None,
    });
    let error = collect(&recipe(), &seeds, false).expect_err("the predictions do not hold").to_string();
    error.replace(&runs.folder.path().display().to_string(), "RUNS")
}

#[test]
fn predictions_that_contradict_themselves_are_refused() {
    let write = |path: &Path, counts: &[u32], labels: &[u32], predicted: &[u32]| {
        let tensors = [tensor("class_counts", counts), tensor("labels", labels), tensor("predicted", predicted)];
        write_tensors(path, &tensors, &json!({})).unwrap();
    };
    let label = collect_error(|path| write(path, &COUNTS, &[0, 10], &[0, 1]));
    assert!(label.contains("`labels`[1] is class 10, but `class_counts` has 10 classes"), "{label}");
    let length = collect_error(|path| write(path, &COUNTS, &[0, 1, 2], &[0, 1]));
    assert!(length.contains("labels"), "{length}");
    let empty = collect_error(|path| write(path, &COUNTS, &[], &[]));
    assert!(empty.contains("no test image"), "{empty}");
    let other = collect_error(|path| write(path, &[1; 10], &[0], &[0]));
    assert!(other.contains("class 0 has 5990, not 1"), "{other}");
}

#[test]
fn a_row_without_a_manifest_has_not_finished() {
    let runs = Runs::new();
    fs_err::remove_file(predictions_file(&runs.path("seed-0"), "ce", "joint").with_file_name("manifest.json")).unwrap();
    let seeds = [SeedRun { seed: 0, dir: runs.path("seed-0"), optional: false, other_images: None }];
    let summary = summarize(&recipe(), &collect(&recipe(), &seeds, false).unwrap());
    assert!(summary.rows[0].seeds.is_empty() && summary.rows[1].seeds == [0]);
}

#[test]
fn no_damage_makes_the_reader_panic() {
    let runs = Runs::new();
    let path = predictions_file(&runs.path("seed-0"), "ce", "joint");
    let good = fs_err::read(&path).unwrap();
    let seeds = [SeedRun { seed: 0, dir: runs.path("seed-0"), optional: false, other_images: None }];
    // Every cut of the header, some of the data; one flipped bit in every byte of the header.
    for end in (0..good.len()).filter(|end| *end < 64 || end % 37 == 0) {
        fs_err::write(&path, &good[..end]).unwrap();
        assert!(collect(&recipe(), &seeds, false).is_err(), "cut at {end}");
    }
    for position in 0..good.len().min(400) {
        let mut bytes = good.clone();
        bytes[position] ^= 1 << (position % 8);
        fs_err::write(&path, &bytes).unwrap();
        let _ = collect(&recipe(), &seeds, false).map(|predictions| summarize(&recipe(), &predictions));
    }
}

#[test]
fn a_report_replaces_no_recipe_no_run_and_no_other_report() {
    let runs = Runs::new();
    let refused = |more: &[&str], words: &str| {
        let output = runs.report(more);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(words) && stderr.contains("--out a separate folder"), "{stderr}");
    };
    // The recipe itself, under a name of ours.
    let own = runs.path("own");
    fs_err::create_dir_all(&own).unwrap();
    fs_err::write(own.join("report.json"), RECIPE).unwrap();
    let (recipe, out) = (own.join("report.json").display().to_string(), own.display().to_string());
    let output = Command::new(env!("CARGO_BIN_EXE_report"))
        .args(["--recipe", &recipe, "--out", &out, "--runs"])
        .arg(runs.folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert_eq!(fs_err::read_to_string(&recipe).unwrap(), RECIPE);
    // A run.
    fs_err::write(runs.path("seed-0/recipe.yaml"), RECIPE).unwrap();
    refused(&["--out", &runs.path("seed-0").display().to_string()], "is the folder of a run");
    // Another recipe's report, with --force too.
    assert_eq!(runs.report(&[]).status.code(), Some(0));
    let before = fs_err::read(runs.path("report/report.md")).unwrap();
    for more in [&["--set", "recipe=other"][..], &["--set", "recipe=other", "--force"]] {
        refused(more, "holds the report of `small`, but this is `other`");
    }
    assert_eq!(fs_err::read(runs.path("report/report.md")).unwrap(), before);
}
