//! A pack whose photographs changed does not pass for them: in `status`, in the plan, and in the stages that read it.

use std::path::PathBuf;

use longtail_tests::{Outcome, Stage, TinyRun, binary, finish, png, snapshot, stage_command, xtask};

const RECIPE: &str = "recipe: folder
data: {dataset: image_folder, image_side: 32, meta_source: none, packed: true}
representation_defaults: {backbone: {cifar_resnet: 8}, epochs: 1, batch_size: 9, augmentation: none}
representations: {ce: {method: {ce: {}}}}
classifiers: {joint: }
";

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder"));
        for (class, count) in [("a", 12), ("b", 6)] {
            for (part, count) in [("train", count), ("val", 2), ("test", 2)] {
                (0..count)
                    .for_each(|n| png(&place.path("photos").join(part).join(class).join(format!("{n}.png")), n * 9));
            }
        }
        std::fs::write(place.path("folder.yaml"), RECIPE).expect("writable");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn xtask(&self, verb: &[&str], more: &[&str]) -> Outcome {
        let mut command = xtask();
        command.args(verb).arg(self.path("folder.yaml")).arg("--runs").arg(self.path("runs"));
        command.env_remove("LONGTAIL_DATA").env_remove("LONGTAIL_PACK");
        finish(command.arg("--data").arg(self.path("photos")).args(more))
    }

    fn pack(&self) -> Outcome {
        let mut command = std::process::Command::new(binary("datasets"));
        command.args(["pack", "--recipe"]).arg(self.path("folder.yaml")).env_remove("LONGTAIL_PACK");
        finish(command.arg("--data").arg(self.path("photos")))
    }
}

fn expect(outcome: Outcome, code: i32, words: &[&str]) -> String {
    assert_eq!(outcome.code, Some(code), "{}", outcome.words);
    for word in words {
        assert!(outcome.words.contains(word), "`{word}` is not in {}", outcome.words);
    }
    outcome.words
}

#[test]
fn photographs_that_changed_behind_a_pack_make_its_runs_stale_and_are_not_trained_on() {
    let place = Place::new();
    let pack = place.path("photos/longtail-image_folder.pack");
    expect(place.pack(), 0, &["26 images in"]);
    expect(place.xtask(&["reproduce"], &[]), 0, &["3 of 3 stages of folder ran"]);
    expect(place.xtask(&["reproduce"], &[]), 0, &["nothing to do"]);

    png(&place.path("photos/test/a/0.png"), 250);
    let why = "1 of 26 files differ, first: test/a/0.png has other contents";
    let made_from = "was made from photographs that have changed since";
    let before = snapshot(&place.path("runs"));
    let status = expect(place.xtask(&["status"], &[]), 0, &[why, made_from]);
    assert!(!status.contains("up to date"), "{status}");
    expect(place.xtask(&["reproduce"], &["--dry-run"]), 0, &[why, "3 stages to run"]);
    assert!(before == snapshot(&place.path("runs")), "a look changed a file");
    expect(place.xtask(&["reproduce"], &[]), 2, &[why, "PROBLEM", "no stage was started"]);
    expect(place.xtask(&["reproduce"], &["--accept-stale"]), 0, &["all 3 stages of folder are stale but kept"]);

    // By hand, and before anything is made.
    let run = TinyRun::of(&place.path("folder.yaml"), Some(&place.path("photos")), &[]);
    let stage1 = |more: &[&str]| {
        let mut command = stage_command(&run, &Stage::one("representation", "ce", None), 2);
        finish(command.args(more).env_remove("LONGTAIL_PACK"))
    };
    expect(stage1(&[]), 2, &[why, "hint: delete `", "with `--accept-stale`, stages use the pack as it is"]);
    expect(place.xtask(&["run", "representation"], &["--seed", "7"]), 2, &[why, "no stage was started"]);
    expect(stage1(&["--accept-stale"]), 0, &[why, "trained"]);

    std::fs::remove_file(&pack).expect("there");
    expect(place.pack(), 0, &["26 images in"]);
    expect(place.xtask(&["reproduce"], &[]), 0, &["files differ, first: test/a/0.png", "3 of 3 stages of folder ran"]);
    expect(place.xtask(&["reproduce"], &[]), 0, &["nothing to do"]);
}

#[test]
fn a_fresh_run_on_a_pack_of_other_photographs_is_named_by_the_report() {
    let place = Place::new();
    expect(place.pack(), 0, &["26 images in"]);
    png(&place.path("photos/test/a/0.png"), 250);
    let page = || std::fs::read_to_string(place.path("runs/folder/report/report.md")).expect("a report");
    expect(place.xtask(&["reproduce"], &["--accept-stale"]), 0, &["3 of 3 stages of folder ran"]);
    let named = "Counted because of --accept-stale: seed 0 (all rows)";
    assert!(page().contains(named) && page().contains("1 of 26 files differ, first: test/a/0.png"), "{}", page());
    // Seeds are named one by one: here both are of that pack, and of the asked one it is said once.
    expect(place.xtask(&["reproduce"], &["--accept-stale", "--seed", "1"]), 0, &["3 of 3 stages of folder ran"]);
    assert!(page().contains("Counted because of --accept-stale: seed 1 (all rows)"), "{}", page());
    // The photographs are put back: nothing speaks against the runs any more.
    png(&place.path("photos/test/a/0.png"), 0);
    expect(place.xtask(&["reproduce"], &["--accept-stale"]), 0, &["nothing to do"]);
    assert!(!page().contains("accept-stale"), "{}", page());
}

#[test]
fn a_run_that_was_made_anew_from_these_photographs_is_not_called_one_of_others() {
    let place = Place::new();
    let unpacked = ["--set", "data.packed=false"];
    let page = || std::fs::read_to_string(place.path("runs/folder/report/report.md")).expect("a report");
    expect(place.xtask(&["reproduce"], &unpacked), 0, &["3 of 3 stages of folder ran"]);
    png(&place.path("photos/train/a/0.png"), 250);
    // Seed 0 is kept, seed 1 is of the photographs that there are now.
    let both = [&unpacked[..], &["--accept-stale", "--seeds", "2"]].concat();
    expect(place.xtask(&["reproduce"], &both), 0, &["3 of 6 stages of folder ran"]);
    assert!(page().contains("Counted because of --accept-stale: seed 0 (all rows)"), "{}", page());
    assert!(!page().contains("--accept-stale: seed 1"), "{}", page());
}
