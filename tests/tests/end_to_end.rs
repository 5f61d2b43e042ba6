//! `cargo xtask` on the tiny recipe: the table, a second run without work, staleness, seeds, filters, interruption.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use longtail_tests::{Outcome, artifacts, assert_same_bits, finish, has_checkpoint, snapshot, tiny_recipe, xtask};
use serde_json::Value;

/// `cargo xtask VERB… tests/recipes/tiny.yaml --runs RUNS`.
fn on_tiny(verb: &[&str], runs: &Path) -> Command {
    let mut command = xtask();
    command.args(verb).arg(tiny_recipe()).arg("--runs").arg(runs);
    command
}

fn expect_code(outcome: Outcome, code: i32) -> String {
    assert_eq!(outcome.code, Some(code), "{}", outcome.words);
    assert!(!outcome.words.contains("panicked") && !outcome.words.contains("stack backtrace"), "{}", outcome.words);
    outcome.words
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a writable folder");
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().expect("cp starts");
    assert!(status.success());
}

/// A folder of runs in which the tiny recipe was reproduced once; tests copy it.
fn reproduced() -> &'static (tempfile::TempDir, String) {
    static DONE: OnceLock<(tempfile::TempDir, String)> = OnceLock::new();
    DONE.get_or_init(|| {
        let runs = tempfile::tempdir().expect("a temporary folder");
        let words = expect_code(finish(&mut on_tiny(&["reproduce"], runs.path())), 0);
        (runs, words)
    })
}

fn copy_of_reproduced() -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    copy_folder(reproduced().0.path(), copy.path());
    copy
}

#[test]
fn reproduce_ends_with_the_table_and_its_files() {
    let (runs, words) = reproduced();
    for method in ["ce", "mpcl", "tailcalib_x", "mpfa", "38.3"] {
        assert!(words.contains(method), "the output does not show `{method}`:\n{words}");
    }
    let report = runs.path().join("tiny/report");
    for file in ["report.md", "report.html", "report.json"] {
        assert!(report.join(file).is_file(), "{file} was not written");
    }
    let json: Value =
        serde_json::from_slice(&std::fs::read(report.join("report.json")).expect("readable")).expect("JSON");
    let rows = json["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 10);
    for row in rows {
        assert!(row["method"].as_str().is_some_and(|method| method.contains('+')), "{row}");
        assert!(row["all"].as_f64().is_some_and(|all| (0.0..=100.0).contains(&all)), "{row}");
        assert!(row["std"].is_null(), "one seed has no spread: {row}");
        assert_eq!(row["seeds"], serde_json::json!([0]));
    }
    assert_eq!(rows[0]["paper"]["all"].as_f64(), Some(38.3));
}

#[test]
fn a_second_run_does_no_work_and_says_so() {
    let runs = copy_of_reproduced();
    let before = snapshot(runs.path());
    let words = expect_code(finish(&mut on_tiny(&["reproduce"], runs.path())), 0);
    assert!(words.contains("nothing to do"), "{words}");
    assert!(words.contains("tailcalib_x"), "the table is shown all the same: {words}");
    assert!(before == snapshot(runs.path()), "a file was written again");
    let status = expect_code(finish(&mut on_tiny(&["status"], runs.path())), 0);
    assert!(!status.contains("stale") && !status.contains("missing"), "{status}");
}

#[test]
fn a_change_of_the_recipe_makes_its_own_stages_stale_and_no_others() {
    let runs = copy_of_reproduced();
    let before = snapshot(runs.path());
    let changed = ["--set", "representations.mpcl.epochs=4", "--set", "classifiers.crt.crt.training.lr=0.2"];
    let words = expect_code(finish(on_tiny(&["status"], runs.path()).args(changed).arg("--json")), 0);
    let status: Value = serde_json::from_str(&words).expect("JSON");
    let state = |stage: &str| {
        let stages = status["stages"].as_array().expect("stages");
        stages.iter().find(|entry| entry["stage"] == stage).unwrap_or_else(|| panic!("no {stage} in {words}")).clone()
    };
    assert_eq!(state("representation/ce")["state"], "up to date");
    assert_eq!(state("classifier/ce/joint")["state"], "up to date");
    let backbone = state("representation/mpcl");
    assert_eq!(backbone["state"], "stale");
    assert!(backbone["reasons"].to_string().contains("epochs"), "{backbone}");
    assert!(state("classifier/ce/crt")["reasons"].to_string().contains("lr"), "{words}");
    // A plan changes nothing.
    expect_code(finish(on_tiny(&["reproduce"], runs.path()).args(changed).arg("--dry-run")), 0);
    assert!(before == snapshot(runs.path()), "a look changed a file");
}

#[test]
fn one_stage_again_by_force_gives_the_same_bits_and_keeps_the_rest() {
    let runs = copy_of_reproduced();
    let run = runs.path().join("tiny/seed-0");
    let backbone = std::fs::metadata(run.join("representation/ce/backbone.safetensors"))
        .and_then(|file| file.modified())
        .expect("there");
    let command = ["run", "classifier"];
    let filters = ["--variant", "ce", "--method", "crt", "--method", "ncm", "--force"];
    expect_code(finish(on_tiny(&command, runs.path()).args(filters)), 0);
    expect_code(finish(on_tiny(&["reproduce"], runs.path()).args(["--from", "features", "--force"])), 0);
    assert_same_bits(&reproduced().0.path().join("tiny/seed-0"), &run);
    let after = std::fs::metadata(run.join("representation/ce/backbone.safetensors"))
        .and_then(|file| file.modified())
        .expect("there");
    assert_eq!(backbone, after, "`--from features` trained the backbone again");
}

#[test]
fn a_stage_whose_inputs_are_missing_is_refused_with_the_next_step() {
    let runs = tempfile::tempdir().expect("a temporary folder");
    let words = expect_code(finish(on_tiny(&["run", "classifier"], runs.path()).args(["--variant", "ce"])), 2);
    assert!(words.contains("error:") && words.contains("hint:"), "{words}");
    assert!(words.contains("representation/ce") || words.contains("features/ce"), "{words}");
}

#[test]
fn two_seeds_share_a_table_with_their_spread() {
    let runs = copy_of_reproduced();
    let small = ["--seed", "1", "--set", "rows=[{representation: ce, classifier: joint}]"];
    expect_code(finish(on_tiny(&["reproduce"], runs.path()).args(small)), 0);
    let path = runs.path().join("tiny/report/report.json");
    let json: Value = serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON");
    let row = &json["rows"][0];
    assert_eq!(row["seeds"], serde_json::json!([0, 1]), "{json}");
    assert!(row["std"]["all"].as_f64().is_some(), "{json}");
}

#[test]
fn numbers_outside_the_expected_range_end_with_1() {
    let runs = copy_of_reproduced();
    let rows = "rows=[{representation: ce, classifier: joint, expected: {all: [99.9, 100]}}]";
    expect_code(finish(on_tiny(&["reproduce"], runs.path()).args(["--set", rows])), 1);
    // Also when nothing had to be done.
    expect_code(finish(on_tiny(&["reproduce"], runs.path()).args(["--set", rows])), 1);
}

#[cfg(unix)]
fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([name, &process.to_string()]).status().expect("kill starts");
    assert!(status.success());
}

/// Starts a long training below xtask and waits until it has written a checkpoint.
#[cfg(unix)]
fn long_training(runs: &Path) -> std::process::Child {
    let mut command = on_tiny(&["reproduce"], runs);
    command.args([
        "--set",
        "representations.ce.epochs=5000",
        "--set",
        "rows=[{representation: ce, classifier: joint}]",
    ]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("xtask starts");
    let stage = runs.join("tiny/seed-0/representation/ce");
    wait_until(Duration::from_secs(120), || has_checkpoint(&stage));
    child
}

fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < limit, "waited {limit:?} in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_with_130_and_leaves_a_checkpoint() {
    let runs = tempfile::tempdir().expect("a temporary folder");
    let child = long_training(runs.path());
    signal("-INT", child.id());
    let outcome: Outcome = child.wait_with_output().expect("xtask ends").into();
    assert_eq!(outcome.code, Some(130), "{}", outcome.words);
    let stage = runs.path().join("tiny/seed-0/representation/ce");
    assert!(has_checkpoint(&stage));
    assert!(!stage.join("manifest.json").exists());
}

#[cfg(unix)]
#[test]
fn stages_die_with_xtask() {
    let runs = tempfile::tempdir().expect("a temporary folder");
    let mut child = long_training(runs.path());
    child.kill().expect("xtask can be killed");
    child.wait().expect("xtask ends");
    // The stage's lock is free again as soon as it is dead; then the stage can be started by hand.
    let run = runs.path().join("tiny/seed-0");
    let settled = || {
        let before = snapshot(&run);
        std::thread::sleep(Duration::from_millis(400));
        before == snapshot(&run)
    };
    wait_until(Duration::from_secs(10), settled);
    assert!(!artifacts(&run).iter().any(|file| file.ends_with("backbone.safetensors")));
}
