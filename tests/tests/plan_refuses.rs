//! What a stage would refuse because of how many images there are, the plan says, and `reproduce` refuses before any work.

use std::path::Path;

use longtail_tests::{Outcome, binary, finish, png, xtask};

/// 33 training images: two batches of 16, and one image.
fn folder(root: &Path, with_val: bool) {
    for (class, count) in [("a", 20), ("b", 13)] {
        let parts = [("train", count), ("test", 2), ("val", if with_val { 2 } else { 0 })];
        for (part, count) in parts {
            (0..count).for_each(|n| png(&root.join("photos").join(part).join(class).join(format!("{n}.png")), n * 5));
        }
    }
    let text = "recipe: folder\ndata: {dataset: image_folder, image_side: 32, meta_source: none}\n\
        representations: {ce: {method: {ce: {}}, backbone: resnet50, epochs: 1, batch_size: 16, lr: 0.1}}\n\
        classifiers: {joint: , tau_norm: }\n";
    std::fs::write(root.join("folder.yaml"), text).expect("writable");
}

fn reproduce(root: &Path, more: &[&str]) -> Outcome {
    let mut command = xtask();
    command.arg("reproduce").arg(root.join("folder.yaml")).arg("--data").arg(root.join("photos"));
    finish(command.arg("--runs").arg(root.join("runs")).args(more).env_remove("LONGTAIL_DATA"))
}

const BATCH: &str =
    "representation/ce: will be refused: the last batch of an epoch (33 training images in batches of 16)";
const TAU: &str = "classifier/ce/tau_norm: will be refused: τ is chosen among several on validation images";
const DROP: [&str; 2] = ["--set", "representation_defaults.drop_last=true"];
const ONE_TAU: [&str; 2] = ["--set", "classifiers.tau_norm.tau_norm.taus=[1]"];

#[test]
fn a_search_without_validation_images_and_a_batch_of_one_are_refused_before_any_work() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let root = root.path();
    folder(root, false);
    let plan = reproduce(root, &["--dry-run"]);
    assert!(plan.code == Some(0) && plan.words.contains(BATCH) && plan.words.contains(TAU), "{}", plan.words);
    let plan = reproduce(root, &[&["--dry-run"], &DROP[..], &ONE_TAU].concat());
    assert!(plan.code == Some(0) && !plan.words.contains("warning"), "{}", plan.words);

    for (more, words, hint) in [
        (
            &ONE_TAU[..],
            "one value per channel, which has no variance; no stage was started",
            "hint: --set representations.ce.batch_size=17",
        ),
        (
            &DROP,
            "classifier/ce/tau_norm: τ is chosen among several on validation images",
            "hint: give one value in `taus`",
        ),
    ] {
        let refused = reproduce(root, more);
        assert!(
            refused.code == Some(2) && refused.words.contains(words) && refused.words.contains(hint),
            "{}",
            refused.words
        );
        assert!(!root.join("runs/folder/seed-0/representation").exists(), "{}", refused.words);
    }
    let mut check = std::process::Command::new(binary("datasets"));
    check.args(["check", "--recipe"]).arg(root.join("folder.yaml")).arg("--data").arg(root.join("photos"));
    let checked = finish(&mut check);
    assert_eq!(checked.code, Some(0), "nothing is wrong with the images: {}", checked.words);
    for expected in ["will be refused: representations.ce: the last", "will be refused: classifiers.tau_norm: τ is"] {
        assert!(checked.words.contains(expected), "{}", checked.words);
    }

    // Only what runs is spoken of: a head that nobody asked for is not. A larger map is a warning, and the stage runs.
    let small = [
        "--set",
        "representations.ce.backbone={cifar_resnet: 8}",
        "--set",
        "representations.ce.augmentation=none",
        "--set",
        "rows=[{representation: ce, classifier: joint}]",
    ];
    let ran = reproduce(root, &small);
    assert!(ran.code == Some(0) && !ran.words.contains("tau_norm: "), "{}", ran.words);
    assert!(ran.words.contains("warning: representation/ce: the last batch"), "{}", ran.words);
    // Of images that are gone the run's split says how many there were.
    std::fs::remove_dir_all(root.join("photos")).expect("removable");
    let mut command = xtask();
    command.arg("reproduce").arg(root.join("folder.yaml")).arg("--runs").arg(root.join("runs"));
    let refused = finish(command.args(&small[..4]).env_remove("LONGTAIL_DATA"));
    assert!(refused.code == Some(2) && refused.words.contains("no stage was started"), "{}", refused.words);
}

#[test]
fn with_validation_images_there_is_nothing_to_say() {
    let root = tempfile::tempdir().expect("a temporary folder");
    folder(root.path(), true);
    let plan = reproduce(root.path(), &[&["--dry-run"], &DROP[..]].concat());
    assert!(plan.code == Some(0) && !plan.words.contains("warning"), "{}", plan.words);
}
