//! A finished run where nothing can be written is finished all the same. Folders in the place of files stand for a read-only disk: they stop root, too.

use std::path::Path;

use longtail_tests::{Outcome, finish, tiny_recipe, xtask};

fn reproduce(runs: &Path, more: &[&str]) -> Outcome {
    let mut command = xtask();
    command.arg("reproduce").arg(tiny_recipe()).arg("--runs").arg(runs);
    finish(command.args(["--set", "rows=[{representation: ce, classifier: joint}]"]).args(more))
}

/// Puts a folder where a file is or will be.
fn block(file: &Path) {
    let _ = std::fs::remove_file(file);
    std::fs::create_dir(file).expect("writable");
}

#[test]
fn what_is_finished_needs_no_lock_and_what_is_not_says_why() {
    let runs = tempfile::tempdir().expect("a temporary folder");
    let recipe = runs.path().join("tiny");
    // Times that cannot be saved are no reason to stop.
    std::fs::create_dir_all(recipe.join("timings.json")).expect("writable");
    let first = reproduce(runs.path(), &[]);
    assert!(first.code == Some(0) && first.words.contains("cannot be saved"), "{}", first.words);
    let seed = recipe.join("seed-0");
    for folder in ["representation/ce", "features/ce", "classifier/ce/joint", "../report"] {
        block(&seed.join(folder).join(".lock"));
    }
    block(&seed.join("xtask.lock"));
    let again = reproduce(runs.path(), &[]);
    assert!(again.code == Some(0) && again.words.contains("nothing to do"), "{}", again.words);
    let status = finish(
        xtask()
            .arg("status")
            .arg(tiny_recipe())
            .arg("--runs")
            .arg(runs.path())
            .args(["--set", "rows=[{representation: ce, classifier: joint}]"]),
    );
    assert!(status.code == Some(0) && !status.words.contains("missing"), "{}", status.words);
    let more = reproduce(runs.path(), &["--force"]);
    assert!(more.code == Some(2) && more.words.contains("xtask.lock"), "{}", more.words);
}
