//! A check that decodes every image ends when it is asked to: by hand, in JSON, and below `cargo xtask`.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use longtail_tests::{binary, finish, xtask};

/// Some minutes of decoding on one thread, in the room of a few photographs.
fn folder(root: &Path) {
    let tree = root.join("tree");
    let sizes =
        ["--classes", "2", "--train-images", "4", "--val-per-class", "1", "--test-per-class", "1", "--side", "1000"];
    let mut command = Command::new(binary("datasets"));
    let made = finish(command.args(["synthesize", "imagenet-lt", "--out"]).arg(&tree).args(sizes));
    assert_eq!(made.code, Some(0), "{}", made.words);
    let text = std::fs::read_to_string(tree.join("ImageNet_LT_train.txt")).expect("a list");
    let photo = tree.join(text.split_whitespace().next().expect("a path"));
    for (part, count) in [("train/a", 5000), ("train/b", 5000), ("test/a", 1)] {
        let folder = root.join("photos").join(part);
        std::fs::create_dir_all(&folder).expect("writable");
        (0..count).for_each(|n| std::fs::hard_link(&photo, folder.join(format!("{n}.jpg"))).expect("linkable"));
    }
    let text = "data: {dataset: image_folder, image_side: 32, meta_source: none}\n\
        representations: {ce: {method: {ce: {}}}}\nclassifiers: {joint: }\n";
    std::fs::write(root.join("folder.yaml"), text).expect("writable");
}

#[test]
fn one_signal_ends_it() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let root = root.path();
    folder(root);
    let by_hand = |more: &[&str]| {
        let mut command = Command::new(binary("datasets"));
        command.args(["check", "--recipe"]).arg(root.join("folder.yaml")).args(more);
        command
    };
    let mut by_xtask = xtask();
    by_xtask.args(["data", "check"]).arg(root.join("folder.yaml"));
    for (signal, mut command) in [("TERM", by_hand(&[])), ("INT", by_hand(&["--json"])), ("TERM", by_xtask)] {
        command.arg("--images").arg("--data").arg(root.join("photos")).env("RAYON_NUM_THREADS", "1");
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        std::thread::sleep(Duration::from_millis(700));
        let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(sent.expect("there is a `kill`").success());
        assert_eq!(child.wait().expect("ends").code(), Some(130), "{signal}");
    }
}
