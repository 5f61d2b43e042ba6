//! Whatever the images are is compared before anything is called up to date: by `reproduce`, `run`, `status`, and stages by hand.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use longtail_tests::{Outcome, binary, finish, has_checkpoint, png, root, snapshot, xtask};
use serde_json::Value;

const RECIPE: &str = "recipe: folder
data: {dataset: image_folder, image_side: 32, meta_source: none, shot_groups: {many_above: 8, few_below: 6}}
representation_defaults: {backbone: resnet50, epochs: 1, batch_size: 9, warmup_epochs: 0}
representations: {ce: {method: {ce: {}}}}
classifiers: {joint: {joint: {}}, tau_norm: {tau_norm: {}}}
rows: [{representation: ce, classifier: joint}, {representation: ce, classifier: tau_norm}]
";

/// Of 24 steps the checkpoints of the 8th and the 16th leave time for a change.
const EVERY: &str = "LONGTAIL_CHECKPOINT_EVERY_STEPS";

/// A recipe, photographs of two classes, and the runs.
struct Place {
    folder: tempfile::TempDir,
}

/// 12 and 5 training images, 2 validation and 3 test images of each class.
fn tree(root: &Path, shift: u8) {
    for (class, count, colour) in [("a", 12, 20), ("b", 5, 140)] {
        for (part, count, from) in [("train", count, 0), ("val", 2, 20), ("test", 3, 40)] {
            for image in 0..count {
                png(&root.join(part).join(class).join(format!("{image}.png")), colour + from + image + shift);
            }
        }
    }
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        std::fs::write(place.path("folder.yaml"), RECIPE).expect("writable");
        tree(&place.path("photos"), 0);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self) -> PathBuf {
        self.path("runs/folder/seed-0")
    }

    /// `cargo xtask VERB… folder.yaml --runs RUNS [--data DATA]`.
    fn xtask(&self, verb: &[&str], data: Option<&Path>) -> Command {
        let mut command = xtask();
        command.args(verb).arg(self.path("folder.yaml")).arg("--runs").arg(self.path("runs"));
        command.env_remove("LONGTAIL_DATA");
        if let Some(data) = data {
            command.arg("--data").arg(data);
        }
        command
    }

    fn reproduce(&self, data: &Path, more: &[&str]) -> Outcome {
        finish(self.xtask(&["reproduce"], Some(data)).args(more))
    }

    fn status(&self, data: Option<&Path>) -> String {
        expect_code(finish(&mut self.xtask(&["status"], data)), 0)
    }

    /// A stage's binary by hand.
    fn stage(&self, name: &str, data: Option<&Path>, more: &[&str]) -> Outcome {
        let mut command = Command::new(binary(name));
        command.arg("--recipe").arg(self.run().join("recipe.yaml")).arg("--run").arg(self.run());
        command
            .args(["--variant", "ce", "--device", "cpu"])
            .args(more)
            .stdin(Stdio::null())
            .env_remove("LONGTAIL_DATA");
        if name == "classifier" {
            command.args(["--method", "joint"]);
        }
        if let Some(data) = data {
            command.arg("--data").arg(data);
        }
        finish(&mut command)
    }
}

/// A finished run, made once; each test works on a copy.
fn finished() -> Place {
    static DONE: OnceLock<Place> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        let place = Place::new();
        expect_code(place.reproduce(&place.path("photos"), &[]), 0);
        place
    });
    let copy = Place { folder: tempfile::tempdir().expect("a temporary folder") };
    copy_of(done.folder.path(), copy.folder.path());
    // From here on its own photographs are those that it knows.
    let words = expect_code(copy.reproduce(&copy.path("photos"), &[]), 0);
    assert!(words.contains("nothing to do"), "{words}");
    copy
}

/// With times, as a person copies a project.
fn copy_of(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("writable");
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().expect("cp starts");
    assert!(status.success());
}

fn expect_code(outcome: Outcome, code: i32) -> String {
    assert_eq!(outcome.code, Some(code), "{}", outcome.words);
    assert!(!outcome.words.contains("panicked"), "{}", outcome.words);
    outcome.words
}

/// Every stage of the plan runs, for a reason that holds `why`.
fn expect_all_run(words: &str, why: &str) {
    assert!(words.contains("4 of 4 stages of folder ran") || words.contains("4 stages to run"), "{words}");
    assert!(words.matches(why).count() >= 4, "`{why}` is not each stage's reason: {words}");
}

fn split_identity(run: &Path) -> String {
    longtail_artifact::split_identity(&longtail_artifact::RunLayout::new(run)).expect("a split")
}

#[test]
fn the_same_images_elsewhere_are_the_same() {
    let place = finished();
    let before = snapshot(&place.run().join("representation"));
    tree(&place.path("copied"), 0);
    for data in ["photos", "copied", "photos"] {
        let words = expect_code(place.reproduce(&place.path(data), &[]), 0);
        assert!(words.contains("nothing to do"), "{data}: {words}");
    }
    assert!(before == snapshot(&place.run().join("representation")));
    let whole = snapshot(&place.path("runs"));
    let words = expect_code(place.reproduce(&place.path("photos"), &[]), 0);
    assert!(words.contains("nothing to do") && whole == snapshot(&place.path("runs")), "{words}");
}

#[test]
fn other_images_under_the_same_names_make_every_stage_again() {
    let place = finished();
    // The same names, lengths and times: only the contents differ.
    copy_of(&place.path("photos"), &place.path("other"));
    tree(&place.path("other"), 50);
    for entry in ["train/a/0.png", "test/b/1.png"] {
        let time =
            std::fs::metadata(place.path("photos").join(entry)).and_then(|file| file.modified()).expect("a time");
        let file = std::fs::File::options().write(true).open(place.path("other").join(entry)).expect("there");
        file.set_modified(time).expect("settable");
    }
    let (other, before) = (place.path("other"), snapshot(&place.path("runs")));
    let why = "27 of 27 files differ, first: train/a/0.png has other contents";
    expect_all_run(&expect_code(place.reproduce(&other, &["--dry-run"]), 0), why);
    let status = place.status(Some(&other));
    assert!(status.matches(why).count() == 5 && !status.contains("up to date"), "{status}");
    assert!(before == snapshot(&place.path("runs")), "a look changed a file");
    let words = expect_code(place.reproduce(&other, &["--from", "classifier"]), 2);
    assert!(words.contains(why) && words.contains("--accept-stale"), "{words}");
    for name in ["features", "classifier"] {
        let words = expect_code(place.stage(name, Some(&other), &[]), 2);
        assert!(words.contains(why) && words.contains("hint:"), "{words}");
    }
    let words = expect_code(place.reproduce(&other, &["--accept-stale"]), 0);
    assert!(words.contains("kept, stale"), "{words}");
    let page = || std::fs::read_to_string(place.path("runs/folder/report/report.md")).expect("a report");
    assert!(
        page().contains("Counted because of --accept-stale: seed 0") && page().contains("of 27 files differ"),
        "{}",
        page()
    );

    let old = split_identity(&place.run());
    expect_all_run(&expect_code(place.reproduce(&other, &[]), 0), why);
    assert_ne!(split_identity(&place.run()), old);
    assert!(!page().contains("accept-stale"), "{}", page());
    assert!(expect_code(place.reproduce(&other, &[]), 0).contains("nothing to do"));
    assert!(place.status(Some(&place.path("photos"))).contains("27 files differ"));
}

#[test]
fn one_changed_file_is_named_and_new_or_missing_ones_too() {
    let place = finished();
    let photos = place.path("photos");
    png(&photos.join("test/b/2.png"), 250);
    // Without --data, status looks where the run found its images.
    let why = "1 of 27 files differ, first: test/b/2.png has other contents";
    let status = place.status(None);
    assert!(status.contains(why) && !status.contains("up to date"), "{status}");
    png(&photos.join("test/b/2.png"), 140 + 40 + 2);
    assert!(!place.status(None).contains("stale"), "the same bytes at another time are the same image");

    std::fs::rename(photos.join("train/a/3.png"), photos.join("train/b/30.png")).expect("movable");
    let words = expect_code(place.reproduce(&photos, &["--dry-run"]), 0);
    expect_all_run(&words, "files differ, first: train/a/3.png is gone");
}

#[test]
fn a_folder_that_is_not_there_is_an_error_and_images_that_are_gone_are_none() {
    let place = finished();
    let nowhere = place.path("nowhere");
    for verb in [&["reproduce"][..], &["reproduce", "--dry-run"], &["run", "report"], &["status"]] {
        let words = expect_code(finish(&mut place.xtask(verb, Some(&nowhere))), 2);
        assert!(
            words.contains("there is no folder") && words.contains("nowhere") && words.contains("hint:"),
            "{words}"
        );
    }
    let words = expect_code(place.stage("classifier", Some(&nowhere), &[]), 2);
    assert!(words.contains("`") && words.contains("nowhere` does not exist"), "{words}");
    std::fs::create_dir(&nowhere).expect("writable");
    let words = expect_code(finish(&mut place.xtask(&["reproduce"], Some(&nowhere))), 2);
    assert!(words.contains("no files found; looked in"), "{words}");

    std::fs::remove_dir_all(place.path("photos")).expect("removable");
    let words = expect_code(finish(&mut place.xtask(&["reproduce"], None)), 0);
    assert!(words.contains("could not be compared") && words.contains("nothing to do"), "{words}");
    let status = place.status(None);
    assert!(status.contains("could not be compared") && !status.contains("stale"), "{status}");
    let words = expect_code(place.stage("classifier", None, &[]), 0);
    assert!(words.contains("could not be compared") && words.contains("up to date"), "{words}");
}

#[test]
fn a_stale_stage_never_mixes_with_other_images() {
    let place = finished();
    tree(&place.path("other"), 50);
    // One head is stale anyway.
    let change = ["--set", "classifiers.tau_norm.tau_norm.taus=[0, 1]"];
    let words = expect_code(place.reproduce(&place.path("other"), &change), 0);
    expect_all_run(&words, "files differ");
    let other = Place::new();
    tree(&other.path("photos"), 50);
    expect_code(other.reproduce(&other.path("photos"), &change), 0);
    longtail_tests::assert_same_bits(&other.run(), &place.run());
}

#[test]
fn seeds_of_other_images_stand_in_no_common_table() {
    let place = finished();
    tree(&place.path("other"), 50);
    let words = expect_code(place.reproduce(&place.path("other"), &["--seed", "1"]), 0);
    assert!(words.contains("Left out: seed 0 (all rows): its images are not those of the other seeds."), "{words}");
    assert_eq!(seeds_of(&place), [1]);
    // Where nobody can look at images, seeds are compared with each other.
    for folder in ["photos", "other"] {
        std::fs::remove_dir_all(place.path(folder)).expect("removable");
    }
    let words = expect_code(finish(place.xtask(&["reproduce"], None).args(["--seeds", "2"])), 0);
    assert!(words.contains("Left out: seed 1 (all rows): its images are not those of the other seeds."), "{words}");
    assert_eq!(seeds_of(&place), [0]);
    // The report by hand.
    let report = |more: &[&str]| {
        let mut command = Command::new(binary("report"));
        command.arg("--recipe").arg(place.path("folder.yaml")).arg("--runs").arg(place.path("runs/folder"));
        finish(command.args(more).stdin(Stdio::null()))
    };
    let words = expect_code(report(&[]), 0);
    assert!(words.contains("Left out: seed 1 (all rows): its images"), "{words}");
    let words = expect_code(report(&["--seeds", "1"]), 0);
    assert!(!words.contains("Left out"), "{words}");
}

fn seeds_of(place: &Place) -> Vec<u64> {
    let bytes = std::fs::read(place.path("runs/folder/report/report.json")).expect("a report");
    let json: Value = serde_json::from_slice(&bytes).expect("JSON");
    serde_json::from_value(json["rows"][0]["seeds"].clone()).expect("numbers")
}

#[test]
fn images_that_change_under_a_stage_make_it_stale_for_good() {
    let place = Place::new();
    let (photos, long) = (place.path("photos"), ["--set", "representation_defaults.epochs=8"]);
    let folder = place.run().join("representation/ce");
    let mut command = place.xtask(&["reproduce"], Some(&photos));
    let child =
        command.env(EVERY, "8").args(long).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let begun = Instant::now();
    while !has_checkpoint(&folder) {
        assert!(begun.elapsed() < Duration::from_secs(120), "no checkpoint came");
        std::thread::sleep(Duration::from_millis(5));
    }
    png(&photos.join("train/a/7.png"), 251);
    let words = expect_code(child.wait_with_output().expect("ends").into(), 2);
    let how = "1 of 27 files differ, first: train/a/7.png has other contents";
    assert!(words.contains("the images changed during training") && words.contains(how), "{words}");
    assert!(words.contains("hint: do not change the images"), "{words}");

    let status = |words: &[&str]| {
        let said = expect_code(finish(place.xtask(&["status"], None).args(long)), 0);
        words.iter().for_each(|word| assert!(said.contains(word), "`{word}` is not in {said}"));
    };
    status(&["stale", "these are not the images that split.safetensors was drawn from", how]);
    // Put back, they are those of the split, and the stage is of both all the same.
    png(&photos.join("train/a/7.png"), 20 + 7);
    status(&["stale", "the images changed while it ran", how]);
    let words = expect_code(place.stage("features", Some(&photos), &["--set", "representation_defaults.epochs=8"]), 2);
    assert!(words.contains("the images changed while it ran"), "{words}");

    let words = expect_code(place.reproduce(&photos, &long), 0);
    assert!(words.contains("4 of 4 stages of folder ran"), "{words}");
    let straight = Place::new();
    expect_code(straight.reproduce(&straight.path("photos"), &long), 0);
    longtail_tests::assert_same_bits(&straight.run(), &place.run());
}

#[test]
fn a_checkpoint_of_other_images_is_not_gone_on_from() {
    let place = Place::new();
    let (photos, long) = (place.path("photos"), ["--set", "representation_defaults.epochs=8"]);
    let folder = place.run().join("representation/ce");
    let mut command = place.xtask(&["run", "representation"], Some(&photos));
    let mut child =
        command.env(EVERY, "8").args(long).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let begun = Instant::now();
    while !has_checkpoint(&folder) {
        assert!(begun.elapsed() < Duration::from_secs(120), "no checkpoint came");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("can be killed");
    child.wait().expect("ends");
    png(&photos.join("train/b/1.png"), 9);
    let status = expect_code(finish(place.xtask(&["status"], None).args(long)), 0);
    assert!(status.contains("seed 0: these are not the images"), "{status}");
    std::thread::sleep(Duration::from_millis(500)); // the stage hears of xtask's end
    let words = expect_code(finish(place.xtask(&["run", "representation"], Some(&photos)).args(long)), 0);
    assert!(words.contains("1 of 27 files differ, first: train/b/1.png") && !words.contains("goes on"), "{words}");
    let straight = Place::new();
    png(&straight.path("photos/train/b/1.png"), 9);
    expect_code(finish(straight.xtask(&["run", "representation"], Some(&straight.path("photos"))).args(long)), 0);
    longtail_tests::assert_same_bits(&straight.run(), &place.run());
}

#[test]
fn a_run_of_before_contents_counted_is_stale_and_says_so() {
    let place = finished();
    // As earlier versions wrote it: the split names the lists alone, and there is no index.
    let (run, photos) = (place.run(), place.path("photos"));
    let layout = longtail_artifact::RunLayout::new(&run);
    let checked = finish(
        Command::new(binary("datasets"))
            .args(["check", "--json", "--recipe"])
            .arg(layout.recipe())
            .arg("--data")
            .arg(&photos),
    );
    let json: Value = serde_json::from_str(&checked.words).unwrap_or_else(|_| panic!("{}", checked.words));
    let file = longtail_artifact::TensorFile::open(&layout.split()).expect("a split");
    let (tensors, mut metadata) = (file.tensors().expect("sound"), file.metadata().clone());
    metadata["data_hash"] = json["hash"].clone();
    longtail_artifact::write_tensors(&layout.split(), &tensors, &metadata).expect("writable");
    std::fs::remove_file(layout.images()).expect("there");
    let words = expect_code(place.reproduce(&photos, &["--dry-run"]), 0);
    expect_all_run(&words, "an earlier version of this program drew split.safetensors");
}

#[test]
fn a_pixel_set_is_known_by_its_bytes_and_an_earlier_run_of_it_is_accepted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recipe = root().join("tests/recipes/tiny.yaml");
    let rows = ["--set", "rows=[{representation: ce, classifier: joint}]", "--set", "representations.ce.epochs=1"];
    let start = |verb: &[&str], data: Option<&Path>| {
        let mut command = xtask();
        command.args(verb).arg(&recipe).arg("--runs").arg(folder.path().join("runs")).args(rows);
        if let Some(data) = data {
            command.arg("--data").arg(data);
        }
        finish(&mut command)
    };
    expect_code(start(&["reproduce"], None), 0);
    // Runs of earlier versions have no index.
    let index = folder.path().join("runs/tiny/seed-0/images.json");
    std::fs::remove_file(&index).expect("there");
    assert!(expect_code(start(&["reproduce"], None), 0).contains("nothing to do"));
    assert!(index.is_file());

    let data = folder.path().join("fashion-mnist");
    copy_of(&root().join("data/fashion-mnist"), &data);
    assert!(expect_code(start(&["reproduce"], Some(&data)), 0).contains("nothing to do"));
    // Other IDX files are no Fashion-MNIST; a finished run does not hide that.
    let labels = data.join("t10k-labels-idx1-ubyte.gz");
    std::fs::remove_file(&labels).expect("there");
    let idx = [&[0, 0, 8, 1], &10_000u32.to_be_bytes()[..], &[3; 10_000]].concat();
    std::fs::write(data.join("t10k-labels-idx1-ubyte"), idx).expect("writable");
    for verb in ["reproduce", "status"] {
        let words = expect_code(start(&[verb], Some(&data)), 2);
        assert!(words.contains("t10k-labels-idx1-ubyte` is corrupted") && words.contains("hint:"), "{words}");
    }
    let words = expect_code(start(&["reproduce"], Some(&folder.path().join("none"))), 2);
    assert!(words.contains("no files found") && words.contains("none` does not exist"), "{words}");
    assert!(expect_code(start(&["reproduce"], None), 0).contains("nothing to do"));
}
