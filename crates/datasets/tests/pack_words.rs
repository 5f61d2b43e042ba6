//! What is said of a pack can be followed: where it must be named, and settings that are settings.

use std::path::Path;
use std::process::Command;

use longtail_datasets::synthesize::{Layout, Options, synthesize};

fn run(verb: &str, recipe: &Path, tree: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_datasets"));
    command.arg(verb).arg("--recipe").arg(recipe).arg("--data").arg(tree).args(more);
    command.env_remove("LONGTAIL_DATA").env_remove("LONGTAIL_PACK").current_dir(tree);
    let output = command.output().expect("the binary runs");
    let words = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&words).into_owned())
}

#[test]
fn a_pack_elsewhere_is_to_be_named_and_a_hint_is_accepted_when_it_is_typed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (tree, recipe) = (folder.path().join("tree"), folder.path().join("small.yaml"));
    let (layout, out) = (Layout::ImagenetLt, tree.clone());
    let options =
        Options { layout, out, classes: 2, train_images: 12, val_per_class: 2, test_per_class: 2, seed: 1, side: 80 };
    synthesize(&options).expect("a tree");
    let text = "data: {dataset: imagenet_lt, image_side: 48, meta_per_class: 1}\n\
                representations: {ce: {method: {ce: {}}}}\nclassifiers: {joint: }\n";
    std::fs::write(&recipe, text).expect("writable");

    let beside = "read it with --set data.packed=true\n";
    let (code, words) = run("pack", &recipe, &tree, &["--short", "50"]);
    assert!(code == Some(0) && words.ends_with(beside), "{words}");
    // The same place under another name is no other place.
    let own = tree.join("../tree/longtail-imagenet_lt.pack");
    let (code, words) = run("pack", &recipe, &tree, &["--short", "50", "--out", &own.display().to_string()]);
    assert!(code == Some(0) && words.ends_with(beside), "{words}");
    let (code, words) = run("pack", &recipe, &tree, &["--short", "50", "--out", "my own.pack"]);
    let named = format!("LONGTAIL_PACK='{}' in the environment\n", tree.join("my own.pack").display());
    assert!(code == Some(0) && words.ends_with(&named), "{named} is not in {words}");

    // 50 is a size to crop 48 from, and none to crop 64 from.
    let packed = ["--set", "data.packed=true"];
    let (code, words) = run("check", &recipe, &tree, &packed);
    assert!(code == Some(2) && words.contains("; or set `data.resize_short=50`"), "{words}");
    let (code, words) = run("check", &recipe, &tree, &[&packed[..], &["--set", "data.resize_short=50"]].concat());
    assert!(code == Some(1) && !words.contains("resize_short"), "{words}");
    let (code, words) = run("check", &recipe, &tree, &[&packed[..], &["--set", "data.image_side=64"]].concat());
    assert!(
        code == Some(2) && words.contains("another: cargo xtask data pack") && words.contains("--short 73"),
        "{words}"
    );
    assert!(!words.contains("resize_short="), "{words}");
}
