//! `datasets check` on photo sets, as people run it.

use std::path::Path;
use std::process::{Command, Output};

use longtail_datasets::synthesize::{Layout, Options, synthesize};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_datasets"));
    command
        .args(arguments)
        .env_remove("LONGTAIL_DATA")
        .current_dir(std::env::temp_dir())
        .output()
        .expect("the binary runs")
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn tree(folder: &Path) -> String {
    let out = folder.join("tree");
    let layout = Layout::ImagenetLt;
    let options =
        Options { layout, out, classes: 3, train_images: 30, val_per_class: 4, test_per_class: 2, seed: 0, side: 24 };
    synthesize(&options).expect("a tree");
    options.out.display().to_string()
}

#[test]
fn a_small_tree_is_usable_and_not_the_published_data_set() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let dir = tree(folder.path());
    let output = run(&["check", "imagenet-lt", "--data", &dir, "--images"]);
    let text = words(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}{}", words(&output.stderr));
    for expected in [
        "  archive       ILSVRC 2012, classification and localisation (CLS-LOC): ILSVRC2012_img_train.tar",
        "  train         30 of 30 images are found, 0 of them cannot be decoded",
        "  validation    12 of 12 images are found",
        "  test          6 of 6 images are found",
        "  class counts  not the published data set",
        "  PROBLEM       training images: 30, published: 115846",
        "published: [385, 479, 136]",
        "not as published",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    // With a recipe, the split too; in JSON the same.
    let recipe = folder.path().join("small.yaml");
    let lines = "data: {dataset: imagenet_lt, image_side: 32, meta_per_class: 1}\n\
                 representations: {ce: {method: {ce: {}}}}\nclassifiers: {joint: }\n";
    std::fs::write(&recipe, lines).expect("writing");
    let output = run(&["check", "--recipe", &recipe.display().to_string(), "--data", &dir, "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["split"], serde_json::json!({"train": 30, "meta": 3, "val": 9, "test": 6}));
    assert_eq!((&report["usable"], &report["ok"]), (&true.into(), &false.into()));
}

#[test]
fn missing_images_are_found_before_training() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let dir = tree(folder.path());
    let list = std::fs::read_to_string(Path::new(&dir).join("ImageNet_LT_train.txt")).expect("a list");
    let image = |line: usize| {
        let (path, _) = list.lines().nth(line - 1).expect("a line").rsplit_once(' ').expect("a label");
        Path::new(&dir).join(path)
    };
    (2..=9).for_each(|line| std::fs::remove_file(image(line)).expect("removing"));
    std::fs::write(image(20), b"bad").expect("writing");
    let output = run(&["check", "imagenet-lt", "--data", &dir]);
    let text = words(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("  train         22 of 30 images are found  ("), "{text}");
    assert_eq!(text.matches("there is no such file").count(), 5, "{text}");
    assert!(text.contains("ImageNet_LT_train.txt`): there is no such file") && text.contains("(line 2 of "), "{text}");
    assert!(text.contains("PROBLEM       8 images of the lists are not on disk"), "{text}");
    let decoded = words(&run(&["check", "imagenet-lt", "--data", &dir, "--images"]).stdout);
    assert!(decoded.contains("1 of them cannot be decoded") && decoded.contains("(line 20 of "), "{decoded}");
    // A recipe that skips bad images can run on what there is.
    let recipe = folder.path().join("small.yaml");
    let lines = "data: {dataset: imagenet_lt, meta_per_class: 1, on_bad_image: skip}\n\
                 representations: {ce: {method: {ce: {}}}}\nclassifiers: {joint: }\n";
    std::fs::write(&recipe, lines).expect("writing");
    assert_eq!(run(&["check", "--recipe", &recipe.display().to_string(), "--data", &dir]).status.code(), Some(1));
}

#[test]
fn without_data_there_is_one_screen() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let output = run(&["check", "imagenet-lt", "--data", &folder.path().display().to_string()]);
    assert_eq!(output.status.code(), Some(2));
    let text = words(&output.stderr).replace(&folder.path().display().to_string(), "DIR");
    assert!(text.starts_with("error: ImageNet-LT is not in order\n"), "{text}");
    assert!(
        text.contains("138 GB") && text.contains("cargo xtask data synthesize imagenet-lt --out runs/tree"),
        "{text}"
    );
    assert!(text.lines().count() <= 24, "{text}");
}
