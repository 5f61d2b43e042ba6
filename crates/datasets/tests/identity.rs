//! What a data set is: its contents, wherever they lie; hashed once, and then only what looks changed.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use longtail_artifact::{ImageMatch, RunLayout};
use longtail_datasets::identity::{Identified, ImageIndex, identify};
use longtail_datasets::{DatasetError, Split, load_identified};
use longtail_recipe::DataRecipe;

fn recipe() -> DataRecipe {
    let text = "data: {dataset: image_folder, image_side: 32, meta_source: none}\n\
                representations: {ce: {method: {ce: {}}}}\nclassifiers: {joint: {joint: {}}}\n";
    longtail_recipe::read_str(text, "folder.yaml", &[]).expect("the recipe is valid").data
}

/// Files of any bytes: an identity decodes nothing.
fn tree(folder: &Path) {
    for (path, content) in [("train/a/1.png", "one"), ("train/b/1.png", "two"), ("test/a/1.png", "three")] {
        std::fs::create_dir_all(folder.join(path).parent().expect("a folder")).expect("writable");
        std::fs::write(folder.join(path), content).expect("writable");
    }
}

/// The images, and how many files had to be hashed.
fn look(dir: &Path, run: &RunLayout) -> (Identified, u64) {
    let hashed = AtomicU64::new(0);
    let count = |_, _| {
        hashed.fetch_add(1, Ordering::Relaxed);
    };
    let now = identify(&recipe(), Some(dir), std::slice::from_ref(run), &count).expect("readable");
    (now, hashed.into_inner())
}

#[test]
fn contents_count_and_places_do_not() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (photos, copy, run) =
        (folder.path().join("photos"), folder.path().join("copy"), folder.path().join("r/seed-0"));
    tree(&photos);
    tree(&copy);
    let run = RunLayout::new(run);
    let (source, first) = load_identified(&recipe(), Some(&photos), &run, &|_, _| {}).expect("readable");
    assert_eq!(source.hash, first.identity());
    Split::load_or_create(&run, &recipe(), &source).expect("drawn");
    first.record(&run).expect("writable");

    // Hashed once, also for the next seed; elsewhere again.
    assert_eq!(look(&photos, &run).1, 0);
    assert_eq!(look(&photos, &RunLayout::new(folder.path().join("r/seed-1"))).1, 0);
    let (elsewhere, hashed) = look(&copy, &run);
    assert_eq!((elsewhere.identity(), hashed, elsewhere.matches(&run)), (first.identity(), 3, ImageMatch::Same));

    // Other bytes of the same length: one file is looked into, and named.
    std::fs::write(copy.join("train/b/1.png"), "owt").expect("writable");
    let words = look(&copy, &run).0.matches(&run);
    let why = words.reason().expect("other images");
    assert!(why.ends_with("1 of 3 files differ, first: train/b/1.png has other contents"), "{why}");
    std::fs::write(photos.join("test/a/1.png"), "three").expect("writable");
    let (same, hashed) = look(&photos, &run);
    assert_eq!((same.matches(&run), hashed), (ImageMatch::Same, 1), "the same bytes at another time");

    // A change under a stage.
    let none = first.changes(&recipe(), Some(&photos), &|_, _| {}).expect("readable");
    assert_eq!(none, None);
    std::fs::write(photos.join("train/a/2.png"), "four").expect("writable");
    let changes = first.changes(&recipe(), Some(&photos), &|_, _| {}).expect("readable").expect("a change");
    assert!(changes.ends_with("1 of 4 files differ, first: train/a/2.png is new"), "{changes}");

    let (other, _) = load_identified(&recipe(), Some(&copy), &run, &|_, _| {}).expect("readable");
    assert!(matches!(Split::load(&run.split(), &other), Err(DatasetError::OtherImages { .. })));
    assert!(Split::load_of_any_images(&run.split(), &other).is_ok(), "where the user takes what is there");
    assert_eq!(ImageIndex::read(&run.images()).expect("an index").identity, first.identity(), "looks write nothing");
}

#[test]
fn a_file_moved_to_another_class_is_another_set_and_an_absent_one_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = RunLayout::new(folder.path().join("seed-0"));
    let identity = |name: &str, change: &dyn Fn(&Path)| {
        let photos = folder.path().join(name);
        tree(&photos);
        change(&photos);
        look(&photos, &run).0.identity().to_owned()
    };
    let plain = identity("plain", &|_| {});
    assert_eq!(identity("again", &|_| {}), plain);
    let moved = identity("moved", &|photos| {
        std::fs::rename(photos.join("test/a/1.png"), photos.join("test/1.png")).expect("movable");
        std::fs::create_dir(photos.join("test/b")).expect("writable");
        std::fs::rename(photos.join("test/1.png"), photos.join("test/b/1.png")).expect("movable");
    });
    assert_ne!(moved, plain);
    #[cfg(unix)]
    {
        let absent = identity("absent", &|photos| {
            std::fs::remove_file(photos.join("test/a/1.png")).expect("removable");
            std::os::unix::fs::symlink("nowhere", photos.join("test/a/1.png")).expect("writable");
        });
        assert!(absent != plain && absent != moved);
    }
}
