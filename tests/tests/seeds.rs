//! Seeds of one recipe whose settings have parted: the table is of those that fit, and says which do not and why.

use std::path::Path;

use longtail_tests::{finish, tiny_recipe, xtask};
use serde_json::{Value, json};

const ROWS: &str = "rows=[{representation: ce, classifier: joint}, {representation: ce, classifier: tau_norm}]";

/// `cargo xtask VERB… tests/recipes/tiny.yaml` on two rows and one epoch; its exit code is checked, its words come back.
fn on_two_rows(verb: &[&str], runs: &Path, more: &[&str], code: i32) -> String {
    let mut command = xtask();
    command.args(verb).arg(tiny_recipe()).arg("--runs").arg(runs).args(["--set", ROWS]).args(more);
    let outcome = finish(&mut command);
    assert_eq!(outcome.code, Some(code), "{}", outcome.words);
    outcome.words
}

fn seeds(runs: &Path) -> Vec<Value> {
    let bytes = std::fs::read(runs.join("tiny/report/report.json")).expect("a report");
    let json: Value = serde_json::from_slice(&bytes).expect("JSON");
    json["rows"].as_array().expect("rows").iter().map(|row| row["seeds"].clone()).collect()
}

#[test]
fn a_seed_with_other_epochs_is_left_out_and_named() {
    let runs = tempfile::tempdir().expect("a temporary folder");
    let (one, two) = (["--set", "representations.ce.epochs=1"], ["--set", "representations.ce.epochs=2"]);
    on_two_rows(&["reproduce"], runs.path(), &[&one[..], &["--seeds", "2"]].concat(), 0);
    assert_eq!(seeds(runs.path()), [json!([0, 1]), json!([0, 1])]);
    let words = on_two_rows(&["reproduce"], runs.path(), &two, 0);
    let sentence = "Left out: seed 1 (all rows): representations.ce.epochs is 1 in the run and 2 in the recipe";
    assert!(words.contains(sentence), "{words}");
    assert_eq!(seeds(runs.path()), [json!([0]), json!([0])]);
    let markdown = std::fs::read_to_string(runs.path().join("tiny/report/report.md")).expect("a report");
    assert!(markdown.contains(sentence), "{markdown}");
    // The report is what it should be, although seed 1 is not in it.
    let status: Value =
        serde_json::from_str(&on_two_rows(&["status"], runs.path(), &[&two[..], &["--json"]].concat(), 0))
            .expect("JSON");
    let report = status["stages"].as_array().expect("stages").iter().find(|entry| entry["stage"] == "report");
    assert_eq!(report.expect("a report")["state"], "up to date", "{status}");
    // The verb that makes the table alone does the same.
    assert!(on_two_rows(&["run", "report"], runs.path(), &two, 0).contains(sentence));
    // Seed 1 follows; then both count again.
    on_two_rows(&["reproduce"], runs.path(), &[&two[..], &["--seed", "1"]].concat(), 0);
    assert_eq!(seeds(runs.path()), [json!([0, 1]), json!([0, 1])]);
}
