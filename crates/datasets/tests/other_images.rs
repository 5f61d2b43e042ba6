//! Images that are not those of a run's split are hashed once: by the comparison before the plan, and not again by the stage.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use longtail_artifact::RunLayout;
use longtail_datasets::identity::{Identified, ImageIndex};
use longtail_datasets::{DataSource, Split, load_identified};
use longtail_recipe::DataRecipe;

const RECIPE: &str = "data: {dataset: image_folder, image_side: 32, meta_source: none}\n\
                      representations: {ce: {method: {ce: {}}}}\nclassifiers: {joint: }\n";

fn recipe() -> DataRecipe {
    longtail_recipe::read_str(RECIPE, "folder.yaml", &[]).expect("valid").data
}

fn tree(folder: &Path, content: &str) {
    for path in ["train/a/1.png", "train/b/1.png", "test/a/1.png"] {
        std::fs::create_dir_all(folder.join(path).parent().expect("a folder")).expect("writable");
        std::fs::write(folder.join(path), format!("{content} {path}")).expect("writable");
    }
}

/// As stage 1 does; and how many files it hashed.
fn load(dir: &Path, run: &RunLayout) -> (DataSource, Identified, u64) {
    let hashed = AtomicU64::new(0);
    let count = |_, _| {
        hashed.fetch_add(1, Ordering::Relaxed);
    };
    let (source, images) = load_identified(&recipe(), Some(dir), run, &count).expect("readable");
    (source, images, hashed.into_inner())
}

/// As `cargo xtask` asks.
fn compare(folder: &Path, dir: &Path, run: &RunLayout, more: &[&str]) -> String {
    std::fs::write(folder.join("folder.yaml"), RECIPE).expect("writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_datasets"));
    command.args(["compare", "--recipe"]).arg(folder.join("folder.yaml")).arg("--data").arg(dir);
    let output = command.arg("--run").arg(run.run()).args(more).output().expect("the binary runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn images_of_another_folder_are_hashed_once_and_then_are_the_runs_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let [photos, other] = ["photos", "other"].map(|name| folder.join(name));
    tree(&photos, "these");
    tree(&other, "those");
    let run = RunLayout::new(folder.join("runs/seed-0"));
    let (source, images, _) = load(&photos, &run);
    Split::load_or_create(&run, &recipe(), &source).expect("drawn");
    images.record(&run).expect("writable");

    // A look alone writes nothing, so a stage has to hash.
    assert!(compare(folder, &other, &run, &[]).contains("\"images\":\"other\""));
    assert!(!run.other_images().exists());
    assert_eq!(load(&other, &run).2, 3);
    let said = compare(folder, &other, &run, &["--record"]);
    assert!(said.contains("3 of 3 files differ, first: train/a/1.png has other contents"), "{said}");
    let own = ImageIndex::read(&run.images()).expect("an index");
    assert_eq!(own.identity, source.hash, "what names the difference stays");
    let (source, images, hashed) = load(&other, &run);
    assert_eq!(hashed, 0);
    // Another seed finds it too.
    assert_eq!(load(&other, &RunLayout::new(folder.join("runs/seed-1"))).2, 0);
    Split::load_or_create(&run, &recipe(), &source).expect("drawn");
    images.record(&run).expect("writable");
    assert!(
        !run.other_images().exists() && ImageIndex::read(&run.images()).is_some_and(|own| own.identity == source.hash)
    );

    // One that changes in its place is hashed once, and no other.
    std::fs::write(other.join("test/a/1.png"), "changed").expect("writable");
    compare(folder, &other, &run, &["--record"]);
    let (_, _, hashed) = load(&other, &run);
    assert_eq!(hashed, 0);
}
