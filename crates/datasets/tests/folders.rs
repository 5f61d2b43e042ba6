//! Class folders as people have them: photographs under any name are read, everything else is counted and said.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use longtail_datasets::read::photos::{self, PhotoSource};
use longtail_recipe::Dataset;

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../images/tests/golden/decode").join(name))
        .expect("golden file")
}

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
    std::fs::write(path, bytes).expect("writing");
}

/// Two classes with names of known endings alone.
fn plain() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    for class in ["a", "b"] {
        for part in ["train", "val", "test"] {
            put(folder.path(), &format!("{part}/{class}/1.jpg"), &golden("444.jpg"));
            put(folder.path(), &format!("{part}/{class}/2.PNG"), &golden("rgb.png"));
        }
    }
    folder
}

fn read(folder: &Path) -> PhotoSource {
    photos::read(Dataset::ImageFolder, Some(folder)).unwrap_or_else(|error| panic!("{error}"))
}

fn check(folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_datasets"));
    command.args(["check", "image-folder", "--data"]).arg(folder).args(more);
    command.env_remove("LONGTAIL_DATA").current_dir(std::env::temp_dir()).output().expect("the binary runs")
}

#[test]
fn photographs_under_any_name_are_read_and_the_rest_is_counted() {
    let folder = plain();
    for name in ["3.jfif", "4.jpe", "5", "6.webp"] {
        put(folder.path(), &format!("train/a/{name}"), &golden("420.jpg"));
    }
    for (name, bytes) in [
        ("train/a/7.webp", &b"RIFF\x10\0\0\0WEBPVP8 "[..]),
        ("val/a/8.webp", b"RIFF\x10\0\0\0WEBPVP8 "),
        ("train/b/9.bmp", b"BM"),
        ("test/b/10.gif", b"GIF89a"),
        ("test/b/11.tif", b"II*\0"),
        ("test/b/Thumbs.db", b"\xD0\xCF\x11\xE0"),
        ("train/b/.DS_Store", b""),
        ("train/12.jpg", b"\xFF\xD8\xFF"),
    ] {
        put(folder.path(), name, bytes);
    }
    let source = read(folder.path());
    let names: Vec<&str> = source.train.paths.iter().collect();
    assert_eq!(
        names,
        [
            "train/a/1.jpg",
            "train/a/2.PNG",
            "train/a/3.jfif",
            "train/a/4.jpe",
            "train/a/5",
            "train/a/6.webp",
            "train/b/1.jpg",
            "train/b/2.PNG"
        ]
    );
    let output = check(folder.path(), &["--images"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let line = "note          passed over: 2 .webp, 1 .bmp, 1 .db, 1 .gif, 1 .tif (not JPEG or PNG), 1 hidden, 1 outside class folders\n";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("train         8 of 8 images are found, 0 of them cannot be decoded"), "{text}");
}

#[test]
fn what_is_passed_over_changes_nothing_of_what_is_read() {
    let (folder, other) = (plain(), plain());
    put(folder.path(), "train/a/0.webp", b"RIFF\x10\0\0\0WEBPVP8 ");
    put(folder.path(), "train/a/notes.txt", b"taken in May");
    let (found, expected) = (read(folder.path()), read(other.path()));
    assert_eq!(found.hash, expected.hash);
    assert_eq!(found.train.paths, expected.train.paths);
    assert!(expected.notes.is_empty(), "{:?}", expected.notes);
}

#[test]
fn a_class_without_a_photograph_says_what_it_has() {
    let folder = plain();
    put(folder.path(), "train/c/1.webp", b"RIFF\x10\0\0\0WEBPVP8 ");
    let error = photos::read(Dataset::ImageFolder, Some(folder.path())).expect_err("no photograph").to_string();
    assert!(
        error.ends_with("the folder `c` has no JPEG or PNG file; passed over: 1 .webp (not JPEG or PNG)"),
        "{error}"
    );
}
