//! The plan says which files of class folders are not read, before anything runs.

use std::path::Path;

use longtail_tests::{finish, xtask};

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder");
    std::fs::write(path, bytes).expect("a writable folder");
}

#[test]
fn data_check_takes_settings() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for path in ["train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/b/1.jpg"] {
        put(folder.path(), path, b"\xFF\xD8\xFF\xE0");
    }
    put(folder.path(), "train/a/2.jpg", b"");
    let recipe = folder.path().join("folder.yaml");
    let text = "data: {dataset: image_folder, image_side: 32, meta_source: none}\n\
        representations: {ce: {method: {ce: {}}}}\nclassifiers: {joint: }\n";
    std::fs::write(&recipe, text).expect("a writable folder");
    let check = |more: &[&str]| {
        let mut command = xtask();
        command.args(["data", "check"]).arg(&recipe).arg("--data").arg(folder.path());
        finish(command.args(more))
    };
    assert_eq!(check(&[]).code, Some(2));
    let skipping = check(&["--set", "data.on_bad_image=skip"]);
    assert_eq!(skipping.code, Some(1), "{}", skipping.words);
    assert!(skipping.words.contains("usable: images that cannot be read are left out"), "{}", skipping.words);
    assert_eq!(check(&["--set", "data.on_bad_imag=skip"]).code, Some(2));
}

#[test]
fn a_dry_run_counts_what_is_passed_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    for path in ["train/a/1.jpg", "train/b/1.jpg", "test/a/1.jfif", "test/b/1"] {
        put(root, path, b"\xFF\xD8\xFF\xE0");
    }
    let recipe = root.join("folder.yaml");
    let text = "data: {dataset: image_folder, image_side: 32, meta_source: none}\n\
        representations:\n  ce: {method: {ce: {}}, backbone: resnet50, epochs: 1, batch_size: 16, lr: 0.1}\n\
        classifiers: {joint: }\nrows: [{representation: ce, classifier: joint}]\n";
    std::fs::write(&recipe, text).expect("a writable folder");
    let plan = |more: &[&str]| {
        let mut command = xtask();
        command.arg("reproduce").arg(&recipe).args(["--dry-run", "--data"]).arg(root).arg("--runs");
        finish(command.arg(root.join("runs")).args(more))
    };
    let clean = plan(&[]);
    assert_eq!(clean.code, Some(0), "{}", clean.words);
    assert!(!clean.words.contains("passed over"), "{}", clean.words);
    put(root, "train/a/2.webp", b"RIFF\x10\0\0\0WEBP");
    put(root, "train/a/3.webp", b"RIFF\x10\0\0\0WEBP");
    put(root, "test/b/4.gif", b"GIF89a");
    let counted = plan(&[]);
    assert!(counted.words.contains("passed over: 2 .webp, 1 .gif (not JPEG or PNG)\n"), "{}", counted.words);
    let json: serde_json::Value = serde_json::from_str(&plan(&["--json"]).words).expect("JSON");
    assert_eq!(json["passed_over"]["not_photos"]["webp"], 2);
}
