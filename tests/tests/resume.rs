//! Killed at random moments and run again: the same bits as a straight run. One thread or two: the same bits.

use longtail_tests::{Kills, TinyRun, assert_same_bits, run_all, run_killed};

const KILLS: usize = 10;

#[test]
fn ten_kills_and_two_thread_counts_change_no_bit() {
    let straight = TinyRun::new(&[]);
    let time = run_all(&straight, 2, &mut Kills::default());

    let single = TinyRun::new(&[]);
    run_all(&single, 1, &mut Kills::default());
    assert_same_bits(&straight.dir, &single.dir);

    let (killed, _) = run_killed(|| TinyRun::new(&[]), 2, (KILLS, time, 20));
    assert_same_bits(&straight.dir, &killed.dir);
    leaves_no_trace(&killed);
}

#[test]
fn kills_inside_training_go_on_from_a_checkpoint() {
    // Only stage 1 of two variants, with more epochs: nearly every moment falls into training.
    let rows = "[{representation: ce, classifier: joint}, {representation: mpcl, classifier: joint}]";
    let overrides = [("rows", rows), ("representation_defaults.epochs", "8")];
    let straight = TinyRun::new(&overrides);
    let time = run_all(&straight, 2, &mut Kills::default());
    let (killed, kills) = run_killed(|| TinyRun::new(&overrides), 1, (KILLS, time, 21));
    assert!(kills.with_checkpoint > 0, "no moment fell behind a checkpoint: {kills:?}");
    assert_same_bits(&straight.dir, &killed.dir);
    leaves_no_trace(&killed);
}

/// Nothing of dead writers is left: no temporary file, no checkpoint.
fn leaves_no_trace(run: &TinyRun) {
    for file in longtail_tests::snapshot(&run.dir).keys() {
        let name = file.to_string_lossy().into_owned();
        assert!(!name.contains(".tmp-") && !name.contains("/checkpoints/"), "{name} was left behind");
    }
}
