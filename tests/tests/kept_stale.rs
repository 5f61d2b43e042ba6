//! `--accept-stale`: what is stale and kept is called so, by `cargo xtask` and by each stage; and what `--force` does once a run.

use std::path::Path;
use std::time::SystemTime;

use longtail_artifact::RunLayout;
use longtail_tests::{Outcome, Stage, TinyRun, finish, png, stage_command, xtask};

fn folder(root: &Path) {
    for (class, count) in [("a", 12), ("b", 6)] {
        for (part, count) in [("train", count), ("val", 2), ("test", 2)] {
            (0..count).for_each(|n| png(&root.join("photos").join(part).join(class).join(format!("{n}.png")), n * 9));
        }
    }
    // One that cannot be decoded.
    std::fs::write(root.join("photos/train/a/bad.png"), b"\x89PNG\r\n\x1a\nno more").expect("writable");
    let text = "recipe: folder\ndata: {dataset: image_folder, image_side: 32, meta_source: none, on_bad_image: skip}\n\
        representation_defaults: {backbone: {cifar_resnet: 8}, epochs: 1, batch_size: 9, lr: 0.1, augmentation: none}\n\
        representations: {one: {method: {ce: {}}}, two: {method: {ce: {}}, nesterov: true}}\nclassifiers: {joint: }\n";
    std::fs::write(root.join("folder.yaml"), text).expect("writable");
}

fn reproduce(root: &Path, more: &[&str]) -> Outcome {
    let mut command = xtask();
    command.arg("reproduce").arg(root.join("folder.yaml")).arg("--data").arg(root.join("photos"));
    let outcome = finish(command.arg("--runs").arg(root.join("runs")).args(more).env_remove("LONGTAIL_DATA"));
    assert_eq!(outcome.code, Some(0), "{}", outcome.words);
    outcome
}

fn time(path: &Path) -> SystemTime {
    std::fs::metadata(path).and_then(|file| file.modified()).expect("there")
}

#[test]
fn what_is_kept_is_called_stale_and_a_forced_run_decodes_all_images_once() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let root = root.path();
    folder(root);
    assert!(reproduce(root, &[]).words.contains("6 of 6 stages of folder ran"));
    assert!(
        reproduce(root, &["--accept-stale"]).words.contains("nothing to do: all 6 stages of folder are up to date")
    );
    let change = ["--accept-stale", "--set", "representation_defaults.epochs=2", "--set", "features.views=1"];
    let kept = reproduce(root, &change).words;
    let expected =
        "nothing was done: 4 of 6 stages of folder are stale but kept (--accept-stale), the others are up to date";
    assert!(kept.contains(expected) && kept.contains("no stage runs; 4 of 6 are stale"), "{kept}");
    assert!(!kept.contains("nothing to do"), "{kept}");

    let run = RunLayout::new(root.join("runs/folder/seed-0"));
    let before = time(&run.split());
    assert!(reproduce(root, &["--force"]).words.contains("6 of 6 stages of folder ran"));
    let [first, split] = [run.representation("one").join("manifest.json"), run.split()].map(|path| time(&path));
    assert!(before < split && split <= first, "the second variant drew the split again");
}

#[test]
fn each_stage_says_that_a_stale_one_is_kept() {
    let run = TinyRun::new(&[("rows", "[{representation: ce, classifier: joint}]")]);
    let stages = [
        (Stage::one("representation", "ce", None), "representations.ce.epochs=9"),
        (Stage::one("features", "ce", None), "features.views=3"),
        (Stage::one("classifier", "ce", Some("joint")), "data.shot_groups.few_below=7"),
    ];
    for (stage, change) in stages {
        let start = |more: &[&str]| {
            let outcome = finish(stage_command(&run, &stage, 2).args(more));
            assert_eq!(outcome.code, Some(0), "{}", outcome.words);
            outcome.words
        };
        start(&[]);
        assert!(start(&["--accept-stale"]).contains(": up to date"));
        let kept = start(&["--accept-stale", "--set", change]);
        assert!(kept.contains("kept as it is") && !kept.contains("up to date"), "{kept}");
    }
}
