//! What is wrong with the images themselves the plan says before any stage: no pack, one too small, an empty class, images left out.

use std::path::{Path, PathBuf};
use std::process::Command;

use longtail_tests::{Outcome, Stage, TinyRun, binary, finish, png, stage_command, xtask};

const RECIPE: &str = "recipe: folder
data: {dataset: image_folder, image_side: 32, meta_source: none}
representations: {ce: {method: {ce: {}}, backbone: resnet50, epochs: 1, batch_size: 16, lr: 0.1}}
classifiers: {joint: }
";

struct Place(tempfile::TempDir);

impl Place {
    /// 20 and `b` training images.
    fn new(b: u8) -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder"));
        for (class, count) in [("a", 20), ("b", b)] {
            for (part, count) in [("train", count), ("val", 2), ("test", 2)] {
                (0..count)
                    .for_each(|n| png(&place.path("photos").join(part).join(class).join(format!("{n}.png")), n * 5));
            }
        }
        std::fs::write(place.path("folder.yaml"), RECIPE).expect("writable");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn reproduce(&self, more: &[&str], pack: Option<&Path>) -> Outcome {
        let mut command = xtask();
        command.arg("reproduce").arg(self.path("folder.yaml")).arg("--data").arg(self.path("photos"));
        command.arg("--runs").arg(self.path("runs")).args(more).env_remove("LONGTAIL_DATA");
        finish(with_pack(&mut command, pack))
    }

    fn datasets(&self, verb: &str, more: &[&str]) -> Outcome {
        let mut command = Command::new(binary("datasets"));
        command.args([verb, "--recipe"]).arg(self.path("folder.yaml")).arg("--data").arg(self.path("photos"));
        finish(with_pack(command.args(more), None))
    }

    /// The plan warns of it, and the run is refused in the same words before a stage.
    fn refused(&self, more: &[&str], pack: Option<&Path>, words: &str) -> String {
        let plan = self.reproduce(&[&["--dry-run"], more].concat(), pack);
        let warning = format!("warning: representation/ce: will be refused: {words}");
        assert!(plan.code == Some(0) && plan.words.contains(&warning), "`{warning}` is not in {}", plan.words);
        let run = self.reproduce(more, pack);
        assert!(run.code == Some(2) && run.words.contains(words), "`{words}` is not in {}", run.words);
        assert!(run.words.contains("no stage was started"), "{}", run.words);
        assert!(!self.path("runs/folder/seed-0/representation").exists(), "{}", run.words);
        plan.words
    }
}

fn with_pack<'a>(command: &'a mut Command, pack: Option<&Path>) -> &'a mut Command {
    match pack {
        Some(pack) => command.env("LONGTAIL_PACK", pack),
        None => command.env_remove("LONGTAIL_PACK"),
    }
}

fn shown(path: &Path) -> String {
    format!("`{}`", path.display())
}

const PACKED: [&str; 2] = ["--set", "data.packed=true"];
const SKIP: [&str; 2] = ["--set", "data.on_bad_image=skip"];

#[test]
fn a_pack_that_is_not_there_or_too_small_is_told_by_the_plan() {
    let place = Place::new(12);
    let beside = place.path("photos/longtail-image_folder.pack");
    let plan = place.refused(&PACKED, None, &format!("{} does not exist", shown(&beside)));
    assert!(plan.contains("hint: make it: cargo xtask data pack"), "{plan}");
    let named = place.path("elsewhere.pack");
    let words = format!("{} does not exist, but `data.packed: true` needs it", shown(&named));
    place.refused(&PACKED, Some(&named), &words);
    // The stage itself has these words.
    let run = TinyRun::of(&place.path("folder.yaml"), Some(&place.path("photos")), &[]);
    let mut stage = stage_command(&run, &Stage::one("representation", "ce", None), 2);
    let by_hand = finish(with_pack(stage.args(PACKED), Some(&named)));
    assert!(by_hand.code == Some(2) && by_hand.words.contains(&words), "{}", by_hand.words);

    let made = place.datasets("pack", &["--short", "33"]);
    assert_eq!(made.code, Some(0), "{}", made.words);
    let large = [&PACKED[..], &["--set", "data.resize_short=48"]].concat();
    let small =
        format!("{} holds images with a short side of at most 33, but `data.resize_short` is 48", shown(&beside));
    place.refused(&large, None, &small);
    let plan = place.reproduce(&["--dry-run", "--set", "data.packed=true", "--set", "data.resize_short=33"], None);
    assert!(plan.code == Some(0) && !plan.words.contains("warning"), "{}", plan.words);
}

#[test]
fn a_class_without_images_and_a_file_without_a_byte_are_told_by_the_plan() {
    let place = Place::new(12);
    std::fs::write(place.path("photos/train/a/3.png"), []).expect("writable");
    place.refused(&[], None, &format!("{}: the file is empty", shown(&place.path("photos/train/a/3.png"))));
    let skipped = place.reproduce(&[&["--dry-run"], &SKIP[..]].concat(), None);
    assert!(skipped.code == Some(0) && !skipped.words.contains("will be refused"), "{}", skipped.words);
    // A class of nothing but empty files is an empty class.
    std::fs::create_dir_all(place.path("photos/train/c")).expect("writable");
    std::fs::write(place.path("photos/train/c/1.png"), []).expect("writable");
    let left = "class 2 (`c`) has no readable training image left";
    place.refused(&SKIP, None, &format!("cannot draw the split: {left}"));
    let checked = place.datasets("check", &[&["--images"], &SKIP[..]].concat());
    assert_eq!(checked.code, Some(2), "{}", checked.words);
    for words in [left, "2 images of the lists are empty files", "replace these images with good copies\n"] {
        assert!(checked.words.contains(words), "{}", checked.words);
    }
    std::fs::remove_file(place.path("photos/train/c/1.png")).expect("there");
    place.refused(&[], None, &format!("{}: the folder `c` has no JPEG or PNG", shown(&place.path("photos/train"))));
}

#[test]
fn images_that_are_left_out_count_where_they_are_known() {
    // 34 images; one is a file without a byte, and so 33 are trained on: two batches of 16, and one image.
    let place = Place::new(14);
    let file = place.path("photos/train/a/3.png");
    std::fs::write(&file, []).expect("writable");
    let check = "data check ";
    let plan = place.reproduce(&[&["--dry-run"], &SKIP[..]].concat(), None);
    let batch = "representation/ce: the last batch of an epoch (33 training images in batches of 16)";
    assert!(plan.code == Some(0) && plan.words.contains(batch), "{}", plan.words);
    assert!(plan.words.contains("note: `on_bad_image: skip`") && plan.words.contains(check), "{}", plan.words);
    // More may be left out, so that is no reason to refuse; what holds of fewer images too is.
    let few = ["--set", "representation_defaults.drop_last=true", "--set", "representations.ce.batch_size=34"];
    let more = [&few[..], &SKIP].concat();
    place.refused(
        &more,
        None,
        "`drop_last: true` leaves no batch in an epoch: `batch_size` is 34, but the split has 33",
    );

    // A pack knows which images it could not decode, and so does a check of all.
    std::fs::write(&file, b"\x89PNG\r\n\x1a\nand no more").expect("writable");
    let checked = place.datasets("check", &[&["--images"], &SKIP[..]].concat());
    assert_eq!(checked.code, Some(1), "{}", checked.words);
    for words in [
        "classes       2 of 19 to 14 training images",
        "split         33 train, 0 meta, 4 validation, 4 test images",
        "counted without 1 image that `on_bad_image: skip` leaves out\n",
        "will be refused: representations.ce: the last batch of an epoch (33 training images",
    ] {
        assert!(checked.words.contains(words), "`{words}` is not in {}", checked.words);
    }
    let made = place.datasets("pack", &SKIP);
    assert_eq!(made.code, Some(0), "{}", made.words);
    let packed = [&PACKED[..], &SKIP].concat();
    place.refused(&packed, None, "the last batch of an epoch (33 training images in batches of 16)");

    // So does the split of a run, for other settings.
    let first = [&SKIP[..], &["--set", "representations.ce.batch_size=11"]].concat();
    let mut command = xtask();
    command.args(["run", "representation"]).arg(place.path("folder.yaml")).arg("--data").arg(place.path("photos"));
    command.arg("--runs").arg(place.path("runs")).args(&first).env_remove("LONGTAIL_DATA").env_remove("LONGTAIL_PACK");
    let trained = finish(&mut command);
    assert_eq!(trained.code, Some(0), "{}", trained.words);
    let refused = place.reproduce(&SKIP, None);
    assert!(refused.code == Some(2) && refused.words.contains("no stage was started"), "{}", refused.words);
    assert!(refused.words.contains("33 training images in batches of 16"), "{}", refused.words);
    assert!(!refused.words.contains("note: `on_bad_image"), "{}", refused.words);
}

#[test]
fn a_check_that_decodes_nothing_says_what_it_does_not_know() {
    let place = Place::new(14);
    std::fs::write(place.path("photos/train/b/3.png"), []).expect("writable");
    let groups = ["--set", "data.shot_groups={many_above: 13, few_below: 5}"];
    let checked = place.datasets("check", &[&groups[..], &SKIP].concat());
    for words in ["2 of 20 to 13", "groups        1 many (> 13), 1 medium", "`--images` finds those", "33 train"] {
        assert!(checked.words.contains(words), "`{words}` is not in {}", checked.words);
    }
    // Nothing is left out under `fail`: such a run is refused.
    let checked = place.datasets("check", &groups);
    assert!(checked.code == Some(2) && checked.words.contains("34 train"), "{}", checked.words);
    assert!(!checked.words.contains("leaves out"), "{}", checked.words);
}
