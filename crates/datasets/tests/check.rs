//! The `datasets` binary as people run it.

use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_datasets"))
        .args(arguments)
        .current_dir(root())
        .env_remove("LONGTAIL_DATA")
        .output()
        .expect("the binary runs")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8").replace(&root().display().to_string(), "[ROOT]")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A recipe of the repository's kind, with a split that one can check by hand.
fn recipe(folder: &Path) -> String {
    let path = folder.join("small.yaml");
    let text = "description: a test\ndata: {dataset: fashion_mnist, shot_groups: {many_above: 1000, few_below: 200}}\n\
        representations:\n  ce: {method: {ce: {}}, backbone: {cifar_resnet: 8}, augmentation: basic, epochs: 1, batch_size: 8, lr: 0.1}\n\
        classifiers: {joint: }\nrows: [{representation: ce, classifier: joint}]\n";
    std::fs::write(&path, text).expect("writing");
    path.display().to_string()
}

#[test]
fn the_embedded_data_set_is_as_published() {
    let output = run(&["check", "fashion-mnist"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let expected = "\
Fashion-MNIST in [ROOT]/data/fashion-mnist
  layout        IDX, unsigned bytes
  file          train-images-idx3-ubyte.gz  26421856 bytes
  file          train-labels-idx1-ubyte.gz  29491 bytes
  file          t10k-images-idx3-ubyte.gz  4422079 bytes
  file          t10k-labels-idx1-ubyte.gz  5125 bytes
  train         60000 images, 10 classes of 6000
  test          10000 images, 10 classes of 1000
  channel means 0.28604 (published 0.286)
  record order  official (all bytes match the published files)
";
    assert!(stdout(&output).starts_with(expected), "{}", stdout(&output));
    assert!(stdout(&output).ends_with("\nok\n"));
}

#[test]
fn with_a_recipe_the_split_is_shown_too() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let output = run(&["check", "--recipe", &recipe(folder.path())]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let expected = "\
split by the recipe, imbalance factor 100
  train         14860 images: 5990 3590 2152 1290 773 463 278 166 99 59
  groups        4 many (> 1000), 3 medium, 3 few (< 200)
  meta          100 images (held out of train)
  validation    100 images (the meta set)
  test          10000 images
  class counts  by the formula; none are published for these settings
ok
";
    assert!(stdout(&output).ends_with(expected), "{}", stdout(&output));
}

#[test]
fn what_is_missing_is_said_with_a_remedy() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let dir = folder.path().display().to_string();
    let output = run(&["check", "cifar100", "--data", &dir]);
    assert_eq!(output.status.code(), Some(2));
    let words = stderr(&output);
    assert!(
        words.contains("error: CIFAR-100 is not in order") && words.contains("no files found; looked in"),
        "{words}"
    );
    assert!(words.contains("hint: fetch the binary version"), "{words}");

    let output = run(&["check", "cifar100", "--data", &dir, "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["ok"], &report["dataset"]), (&false.into(), &"CIFAR-100".into()));
    assert!(report["hint"].as_str().expect("a hint").contains("cifar-100-binary.tar.gz"));
}

#[test]
fn names_that_nobody_knows_are_named() {
    let output = run(&["check", "fashion-minst"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("`fashion-minst` is neither a data set nor a recipe in `pipelines/`"),
        "{}",
        stderr(&output)
    );
    let output = run(&["check"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn json_has_what_the_words_have() {
    let output = run(&["check", "fashion-mnist", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&report["ok"], &report["train"]["images"], &report["test"]["per_class"]),
        (&true.into(), &60_000.into(), &1000.into())
    );
    assert_eq!(report["files"].as_array().map(Vec::len), Some(4));
}

/// Needs the user's own copy: LONGTAIL_CIFAR100 names its folder.
#[test]
fn cifar100_lt_has_the_published_counts() {
    let Some(dir) = std::env::var_os("LONGTAIL_CIFAR100") else {
        println!("skipped: LONGTAIL_CIFAR100 does not name a folder with train.bin and test.bin");
        return;
    };
    let output = run(&["check", "cifar100-lt-if100", "--data", dir.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let words = stdout(&output);
    for line in [
        "channel means 0.50708 0.48655 0.44092",
        "train         10626 images: 490",
        "34 many (> 100), 35 medium, 31 few (< 20)",
        "as published for CIFAR-100-LT",
    ] {
        assert!(words.contains(line), "{line}\n{words}");
    }
}
