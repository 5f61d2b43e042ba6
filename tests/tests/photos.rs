//! Photo sets from JPEG files to predictions on a made-up tree: killed and run again, on one thread or two, to the same bits.

use std::path::Path;
use std::process::Command;

use longtail_tests::{Kills, Outcome, TinyRun, assert_same_bits, binary, finish, root, run_all, xtask};

const KILLS: usize = 4;

fn tree(out: &Path) -> Outcome {
    let sizes =
        ["--classes", "6", "--train-images", "60", "--val-per-class", "4", "--test-per-class", "3", "--side", "40"];
    finish(xtask().args(["data", "synthesize", "imagenet-lt", "--out"]).arg(out).args(sizes))
}

fn run(tree: &Path) -> TinyRun {
    TinyRun::of(&root().join("tests/recipes/tiny-photos.yaml"), Some(tree), &[])
}

#[test]
fn photographs_through_every_stage_with_kills_on_the_way() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tree_dir = folder.path().join("tree");
    let made = tree(&tree_dir);
    assert_eq!(made.code, Some(0), "{}", made.words);
    let again = tree(&tree_dir);
    assert!(again.words.contains("nothing to do"), "{}", again.words);

    // Not the published set, and said so; but in order.
    let straight = run(&tree_dir);
    let mut check = Command::new(binary("datasets"));
    check.args(["check", "--recipe"]).arg(straight.layout().recipe()).arg("--data").arg(&tree_dir);
    let checked = finish(&mut check);
    assert_eq!(checked.code, Some(1), "{}", checked.words);

    let time = run_all(&straight, 2, &mut Kills::default());
    let killed = run(&tree_dir);
    let mut kills = Kills::random(KILLS, time, 4);
    run_all(&killed, 1, &mut kills);
    assert_eq!(kills.done, KILLS, "some moments fell after the end");
    assert_same_bits(&straight.dir, &killed.dir);
}
