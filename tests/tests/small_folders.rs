//! A folder of 32-pixel images with the networks and augmentations of CIFAR, and batches that batch norm cannot learn from.

use std::path::Path;

use longtail_tests::{Outcome, Stage, TinyRun, binary, finish, stage_command};

/// `train`, `val` and `test` folders of made-up JPEGs; the classes have 30, 9, … training images.
fn folder(root: &Path, train_images: usize) {
    let sizes = ["--classes", "3", "--val-per-class", "3", "--test-per-class", "2", "--side", "40"];
    let tree = root.join("tree");
    let mut command = std::process::Command::new(binary("datasets"));
    command.args(["synthesize", "imagenet-lt", "--out"]).arg(&tree).args(sizes);
    let made = finish(command.args(["--train-images", &train_images.to_string()]));
    assert_eq!(made.code, Some(0), "{}", made.words);
    // The lists name file and label: a folder a class of them.
    for (list, part) in
        [("ImageNet_LT_train.txt", "train"), ("ImageNet_LT_val.txt", "val"), ("ImageNet_LT_test.txt", "test")]
    {
        let text = std::fs::read_to_string(tree.join(list)).expect("a list");
        for (number, line) in text.lines().enumerate() {
            let (path, label) = line.rsplit_once(' ').expect("path and label");
            let class = root.join("images").join(part).join(format!("class-{label}"));
            std::fs::create_dir_all(&class).expect("writable");
            std::fs::copy(tree.join(path), class.join(format!("{number}.jpg"))).expect("a copy");
        }
    }
}

fn recipe(root: &Path, backbone: &str, augmentation: &str) -> std::path::PathBuf {
    let text = format!(
        "recipe: small\ndata: {{dataset: image_folder, image_side: 32, resize_short: 32, meta_source: none}}\n\
         representation_defaults: {{epochs: 1, batch_size: 16, lr: 0.05}}\n\
         representations: {{ce: {{method: {{ce: {{}}}}, backbone: {backbone}, augmentation: {augmentation}}}}}\n\
         features: {{views: 1}}\nclassifiers: {{joint: , tau_norm: }}\n"
    );
    let path = root.join("small.yaml");
    std::fs::write(&path, text).expect("writable");
    path
}

fn start(run: &TinyRun, name: &'static str, method: Option<&str>) -> Outcome {
    finish(&mut stage_command(run, &Stage::one(name, "ce", method), 2))
}

#[test]
fn cifar_networks_train_on_a_folder_with_cifars_augmentations() {
    let root = tempfile::tempdir().expect("a temporary folder");
    folder(root.path(), 40);
    let images = root.path().join("images");
    for augmentation in ["autoaugment_cutout", "basic"] {
        let file = recipe(root.path(), "{cifar_resnet: 8}", augmentation);
        let run = TinyRun::of(&file, Some(&images), &[]);
        for (name, method) in [
            ("representation", None),
            ("features", None),
            ("classifier", Some("joint")),
            ("classifier", Some("tau_norm")),
        ] {
            let outcome = start(&run, name, method);
            assert_eq!(outcome.code, Some(0), "{augmentation}, {name}: {}", outcome.words);
        }
    }
}

#[test]
fn a_last_batch_of_one_image_is_refused_where_it_leaves_one_pixel() {
    let root = tempfile::tempdir().expect("a temporary folder");
    folder(root.path(), 33);
    let images = root.path().join("images");
    let small = |backbone: &str, more: &[(&str, &str)]| {
        TinyRun::of(&recipe(root.path(), backbone, "none"), Some(&images), more)
    };
    let refused = start(&small("resnet50", &[]), "representation", None);
    let said = &refused.words;
    assert!(refused.code == Some(2) && said.contains("33 training images in batches of 16"), "{said}");
    assert!(said.contains("batch_size=17") && said.contains("drop_last: true"), "{said}");
    let warned = start(&small("{cifar_resnet: 8}", &[]), "representation", None);
    assert!(warned.code == Some(0) && warned.words.contains("warning: the last batch"), "{}", warned.words);
    let dropped = [("representation_defaults.drop_last", "true")];
    let dropped = start(&small("{cifar_resnet: 8}", &dropped), "representation", None);
    assert!(dropped.code == Some(0) && !dropped.words.contains("warning: the last batch"), "{}", dropped.words);
}
