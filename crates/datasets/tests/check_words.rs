//! Every sentence of `datasets check` says what was found: empty and missing files, left-out ones, images that are not the published ones.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../images/tests/golden/decode").join(name))
        .expect("golden file")
}

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
    std::fs::write(path, bytes).expect("writing");
}

fn run(arguments: &[&str], data: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_datasets"));
    command.arg("check").args(arguments).arg("--data").arg(data).env_remove("LONGTAIL_DATA");
    let Output { status, stdout, stderr } =
        command.current_dir(std::env::temp_dir()).output().expect("the binary runs");
    (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    for path in ["train/a/1.jpg", "train/a/2.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/b/1.jpg"] {
        put(folder.path(), path, &golden("420.jpg"));
    }
    folder
}

#[test]
fn an_empty_file_is_called_empty() {
    let folder = folder();
    let (code, text) = run(&["image-folder"], folder.path());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("note          checked that the files exist") && text.ends_with("\nok\n"), "{text}");
    put(folder.path(), "train/a/2.jpg", b"");
    for more in [&["image-folder"][..], &["image-folder", "--images"]] {
        let (code, text) = run(more, folder.path());
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("2.jpg`: the file is empty"), "{text}");
        assert!(text.contains("PROBLEM       1 image of the lists is an empty file\n"), "{text}");
        assert!(!text.contains("not on disk"), "{text}");
        assert!(text.contains("not usable: replace these images with good copies"), "{text}");
    }
    put(folder.path(), "test/b/1.jpg", b"");
    let (_, text) = run(&["image-folder"], folder.path());
    assert!(text.contains("PROBLEM       2 images of the lists are empty files\n"), "{text}");
}

#[test]
fn what_a_recipe_leaves_out_is_no_difference_from_anything_published() {
    let folder = folder();
    put(folder.path(), "train/a/2.jpg", b"");
    put(folder.path(), "train/a/3.jpg", &golden("420.jpg")[..300]);
    let skip = ["image-folder", "--images", "--set", "data.on_bad_image=skip", "--set", "data.meta_source=none"];
    let (code, text) = run(&skip, folder.path());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("PROBLEM       1 image cannot be decoded\n"), "{text}");
    assert!(text.ends_with("\nusable: images that cannot be read are left out (data.on_bad_image=skip)\n"), "{text}");
    assert!(text.contains("  split "), "{text}");
    let (code, text) = run(&["image-folder", "--set", "data.on_bad_images=skip"], folder.path());
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("on_bad_images"), "{text}");
}

#[test]
fn lists_with_folders_too_many_or_backslashes() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let root = folder.path();
    for path in
        ["train/n1/1.JPEG", "train/n2/2.JPEG", "val/n1/3.JPEG", "val/n2/4.JPEG", "train/n1/5.JPEG", "train/n2/6.JPEG"]
    {
        put(root, path, &golden("420.jpg"));
    }
    let lists = |before: &str, between: &str| {
        for (name, images) in [
            ("train", ["train/n1/1.JPEG 0", "train/n2/2.JPEG 1"]),
            ("val", ["train/n1/5.JPEG 0", "train/n2/6.JPEG 1"]),
            ("test", ["val/n1/3.JPEG 0", "val/n2/4.JPEG 1"]),
        ] {
            let text: String = images.iter().map(|line| format!("{before}{}\n", line.replace('/', between))).collect();
            put(root, &format!("ImageNet_LT_{name}.txt"), text.as_bytes());
        }
    };
    lists("", "\\");
    let (code, text) = run(&["imagenet-lt"], root);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("train         2 of 2 images are found"), "{text}");
    lists("imagenet/", "/");
    let (code, text) = run(&["imagenet-lt"], root);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("without the leading `imagenet/` they would be in "), "{text}");
    for name in ["train", "val", "test"] {
        let text: String = ["n1/1.JPEG 0\n", "n2/2.JPEG 1\n"].map(|line| format!("{name}-{line}")).concat();
        let text = if name == "train" { text.replace("train-", "") } else { text };
        put(root, &format!("ImageNet_LT_{name}.txt"), text.as_bytes());
    }
    let (_, text) = run(&["imagenet-lt"], root);
    assert!(text.contains("they are in `") && text.contains("put `train/` before every path in the list"), "{text}");
    lists("/data/", "/");
    let (code, text) = run(&["imagenet-lt"], root);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("ImageNet_LT_train.txt`:1: `/data/train/n1/1.JPEG` is an absolute path"), "{text}");
    assert!(text.contains("write it relative to the folder of images"), "{text}");
}

/// Of CIFAR-100's sizes, with right counts, and none of its images.
#[test]
fn other_images_of_the_right_counts_are_not_called_good() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for (name, records) in [("train.bin", 50_000), ("test.bin", 10_000)] {
        let mut bytes = vec![0u8; 3074 * records];
        for (number, record) in bytes.chunks_exact_mut(3074).enumerate() {
            (record[1], record[2 + number % 3072]) = ((number % 100) as u8, 1 + (number / 100 % 255) as u8);
        }
        // One of them lost its bytes.
        bytes[2 + 3074 * 77..3074 * 78].fill(0);
        put(folder.path(), name, &bytes);
    }
    let (code, text) = run(&["cifar100"], folder.path());
    assert_eq!(code, Some(1), "{text}");
    for expected in [
        "record order  not the official one: a subset drawn by position has other images",
        "contents      not all the published ones: see below\n",
        "PROBLEM       training images of 100 of 100 classes are not all the published ones (apple, aquarium_fish, baby, bear, beaver, …)",
        "PROBLEM       test images of 100 of 100 classes are not all the published ones",
        "record 77 (counted from 0) has one colour only",
        "not as published\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(!text.contains("good"), "{text}");
}
