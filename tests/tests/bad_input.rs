//! Bad input of every kind: a clear error in our words, exit code 2, and every finished artifact left as it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use longtail_tests::{
    Corruption, Kills, Outcome, Stage, TinyRun, binary, corrupt, finish, has_checkpoint, root, run_all, snapshot,
    stage_command, xtask,
};

/// One representation, one classifier: all files that stages hand on.
const ROWS: &str = "[{representation: mpcl, classifier: mpfa}]";

/// A finished run; tests damage copies.
fn finished() -> &'static TinyRun {
    static DONE: OnceLock<TinyRun> = OnceLock::new();
    DONE.get_or_init(|| {
        let run = TinyRun::new(&[("rows", ROWS), ("representation_defaults.epochs", "2")]);
        run_all(&run, 2, &mut Kills::default());
        run
    })
}

/// The error that a person reads: code 2, `error:`, each of `words`, no panic and no trace.
fn expect_refusal(outcome: &Outcome, words: &[&str], what: &str) {
    let said = &outcome.words;
    assert_eq!(outcome.code, Some(2), "{what}: {said}");
    assert!(said.contains("error:"), "{what}: {said}");
    assert!(!said.contains("panicked") && !said.contains("stack backtrace"), "{what}: {said}");
    for word in words {
        assert!(said.contains(word), "{what}: `{word}` is not in: {said}");
    }
}

/// Every file that was there is the same, to the bit and the time. What a failed run leaves beside its checkpoints is its own.
fn assert_untouched(run: &TinyRun, before: &BTreeMap<PathBuf, (Vec<u8>, SystemTime)>, what: &str) {
    let mut now = snapshot(&run.dir);
    now.retain(|file, _| before.contains_key(file) || !file.to_string_lossy().contains("/checkpoints/"));
    let changed: Vec<&PathBuf> =
        before.keys().chain(now.keys()).filter(|file| before.get(*file) != now.get(*file)).collect();
    assert!(changed.is_empty(), "{what}: changed {changed:?}");
}

/// Damages one hand-off file in every way and starts the stage that reads it.
fn damage(file: &str, reader: &Stage) {
    let name = Path::new(file).file_name().expect("a file").to_string_lossy().into_owned();
    for how in Corruption::ALL {
        if how == Corruption::NotANumber && name == "split.safetensors" {
            continue; // it holds no floating-point number
        }
        let what = format!("{file} after {how:?}");
        let run = finished().copy();
        corrupt(&run.dir.join(file), how);
        let before = snapshot(&run.dir);
        let mut command = stage_command(&run, reader, 2);
        expect_refusal(&finish(command.arg("--force")), &[&name], &what);
        assert_untouched(&run, &before, &what);
        // Told to take stale files, the stage finds what is wrong inside.
        let mut command = stage_command(&run, reader, 2);
        let outcome = finish(command.args(["--force", "--accept-stale"]));
        if how != Corruption::FlipData {
            expect_refusal(&outcome, &[&name], &format!("{what}, --accept-stale"));
            assert_untouched(&run, &before, &format!("{what}, --accept-stale"));
        }
    }
}

#[test]
fn a_damaged_backbone_is_refused() {
    damage("representation/mpcl/backbone.safetensors", &Stage::one("features", "mpcl", None));
}

#[test]
fn damaged_features_are_refused() {
    damage("features/mpcl/train.safetensors", &Stage::one("classifier", "mpcl", Some("mpfa")));
    damage("features/mpcl/test.safetensors", &Stage::one("classifier", "mpcl", Some("mpfa")));
}

#[test]
fn damaged_prototypes_are_refused() {
    damage("representation/mpcl/prototypes.safetensors", &Stage::one("classifier", "mpcl", Some("mpfa")));
}

#[test]
fn damaged_predictions_never_reach_the_table() {
    for how in [Corruption::Truncate, Corruption::FlipHeader, Corruption::FlipData, Corruption::NotANumber] {
        let run = finished().copy();
        corrupt(&run.dir.join("classifier/mpcl/mpfa/predictions.safetensors"), how);
        let mut command = Command::new(binary("report"));
        command.arg("--recipe").arg(run.layout().recipe()).arg("--run").arg(&run.dir);
        command.arg("--out").arg(run.dir.parent().expect("a seed's folder has a parent").join("report"));
        command.current_dir(root()).stdin(Stdio::null());
        expect_refusal(&finish(&mut command), &["predictions.safetensors"], &format!("{how:?}"));
    }
}

#[test]
fn a_damaged_split_is_refused_or_drawn_again() {
    // The split is a function of recipe and data: a damaged one is an error, and taking it away mends it.
    for how in [Corruption::Truncate, Corruption::Empty, Corruption::FlipHeader, Corruption::MissingTensor] {
        let run = finished().copy();
        corrupt(&run.dir.join("split.safetensors"), how);
        let mut command = stage_command(&run, &Stage::one("features", "mpcl", None), 2);
        expect_refusal(&finish(command.arg("--force")), &["split.safetensors"], &format!("{how:?}"));
    }
}

#[test]
fn an_artifact_of_another_recipe_is_refused_unless_accepted() {
    let run = finished().copy();
    let yaml = std::fs::read_to_string(run.layout().recipe()).expect("readable");
    let other = longtail_recipe::read_str(&yaml, "recipe.yaml", &[("representations.mpcl.lr".into(), "0.01".into())]);
    std::fs::write(run.layout().recipe(), other.expect("resolves").to_yaml()).expect("writable");
    let before = snapshot(&run.dir);
    let stage = Stage::one("features", "mpcl", None);
    let outcome = finish(stage_command(&run, &stage, 2).arg("--force"));
    expect_refusal(&outcome, &["lr", "hint:"], "features from another recipe");
    assert!(before == snapshot(&run.dir));
    let outcome = finish(stage_command(&run, &stage, 2).args(["--force", "--accept-stale"]));
    assert_eq!(outcome.code, Some(0), "{}", outcome.words);
}

#[test]
fn a_bad_checkpoint_is_set_aside_and_named() {
    let run = TinyRun::new(&[("rows", ROWS), ("representation_defaults.epochs", "200")]);
    let stage = Stage::one("representation", "mpcl", None);
    let mut child = stage_command(&run, &stage, 2).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let folder = run.layout().representation("mpcl").join("checkpoints");
    let files = || -> Vec<PathBuf> {
        std::fs::read_dir(&folder)
            .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
            .unwrap_or_default()
    };
    let finished_ones =
        || files().iter().filter(|file| file.extension().is_some_and(|kind| kind == "safetensors")).count();
    wait_until(|| finished_ones() >= 2);
    child.kill().expect("can be killed");
    child.wait().expect("ends");
    let mut sound = files();
    sound.retain(|file| file.extension().is_some_and(|kind| kind == "safetensors"));
    sound.sort();
    corrupt(sound.last().expect("there are two"), Corruption::Truncate);
    // It goes on from the older one; that is enough to see, so it is stopped again.
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut command = stage_command(&run, &stage, 2);
    let mut child = command.stdout(Stdio::null()).stderr(log.reopen().expect("the same file")).spawn().expect("starts");
    wait_until(|| files().iter().any(|file| file.extension().is_some_and(|kind| kind == "bad")));
    // The file is renamed before that is said: on a busy machine there is time between the two.
    let said = || std::fs::read_to_string(log.path()).expect("readable");
    wait_until(|| said().contains(".bad") || said().contains("set aside"));
    child.kill().expect("can be killed");
    child.wait().expect("ends");
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(120), "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_second_process_on_the_same_stage_is_refused() {
    let run = TinyRun::new(&[("rows", ROWS), ("representation_defaults.epochs", "5000")]);
    let stage = Stage::one("representation", "mpcl", None);
    let mut first = stage_command(&run, &stage, 1).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let folder = run.layout().representation("mpcl");
    wait_until(|| has_checkpoint(&folder));
    let outcome = finish(&mut stage_command(&run, &stage, 1));
    first.kill().expect("can be killed");
    first.wait().expect("ends");
    expect_refusal(&outcome, &["another process"], "second process");
}

#[test]
fn recipes_with_mistakes_are_refused_with_their_place() {
    let sound = std::fs::read_to_string(longtail_tests::tiny_recipe()).expect("readable");
    let cases: [(&str, &str, &[&str]); 3] = [
        ("epochs: 3", "epoch: 3", &["epoch", "epochs"]),
        ("lr: 0.05", "lr: fast", &["lr", "number"]),
        ("imbalance_factor: 10", "imbalance_factor: 0.5", &["imbalance_factor", "0.5"]),
    ];
    for (right, wrong, words) in cases {
        assert!(sound.contains(right), "the tiny recipe no longer says `{right}`");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("wrong.yaml");
        let text = sound.replacen(right, wrong, 1);
        let line = text.lines().position(|line| line.contains(wrong)).expect("it stands there") + 1;
        std::fs::write(&file, text).expect("writable");
        let runs = folder.path().join("runs");
        let outcome = finish(xtask().arg("reproduce").arg(&file).arg("--runs").arg(&runs));
        let place = format!("wrong.yaml:{line}:");
        expect_refusal(&outcome, &[&place], wrong);
        expect_refusal(&outcome, words, wrong);
        assert!(!runs.exists(), "something was written before the recipe was checked");
    }
}

#[test]
fn overrides_and_names_with_mistakes_are_refused() {
    let cases: [(&[&str], &[&str]); 6] = [
        (&["reproduce", "no-such-recipe"], &["no-such-recipe", "hint:"]),
        (&["reproduce", "tests/recipes/tiny.yaml", "--set", "data.imbalance=5"], &["imbalance"]),
        (&["reproduce", "tests/recipes/tiny.yaml", "--set", "nonsense"], &["PATH=VALUE"]),
        (&["run", "features", "tests/recipes/tiny.yaml", "--variant", "resnet"], &["resnet", "mpcl"]),
        (&["reproduce", "tests/recipes/tiny.yaml", "--device", "tpu"], &["tpu"]),
        (&["reproduce", "tests/recipes/tiny.yaml", "--threads", "0"], &["threads"]),
    ];
    for (arguments, words) in cases {
        expect_refusal(&finish(xtask().args(arguments)), words, &arguments.join(" "));
    }
}

/// A copy of the embedded data set.
fn data_copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for entry in std::fs::read_dir(root().join("data/fashion-mnist")).expect("readable") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension == "gz") {
            std::fs::copy(&path, folder.path().join(path.file_name().expect("a file"))).expect("a copy");
        }
    }
    folder
}

#[test]
fn missing_and_damaged_data_files_are_refused_before_any_work() {
    let images = "train-images-idx3-ubyte.gz";
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 3] = [
        ("missing", |file| std::fs::remove_file(file).expect("removable")),
        ("truncated", |file| {
            let bytes = std::fs::read(file).expect("readable");
            std::fs::write(file, &bytes[..bytes.len() / 3]).expect("writable");
        }),
        ("a bit flipped", |file| {
            let mut bytes = std::fs::read(file).expect("readable");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(file, bytes).expect("writable");
        }),
    ];
    for (what, damage) in damages {
        let data = data_copy();
        damage(&data.path().join(images));
        let run = TinyRun::new(&[("rows", ROWS)]);
        let mut command = stage_command(&run, &Stage::one("representation", "mpcl", None), 2);
        expect_refusal(&finish(command.arg("--data").arg(data.path())), &["train-images-idx3-ubyte"], what);
        assert!(!run.layout().representation("mpcl").join("backbone.safetensors").exists());
        let mut check = Command::new(binary("datasets"));
        check.args(["check", "--recipe"]).arg(run.layout().recipe()).arg("--data").arg(data.path()).current_dir(root());
        let outcome = finish(check.stdin(Stdio::null()));
        assert_eq!(outcome.code, Some(2), "{what}: {}", outcome.words);
    }
}

#[test]
fn a_loss_that_is_not_finite_names_epoch_step_and_rate() {
    let run = TinyRun::new(&[
        ("rows", ROWS),
        ("representation_defaults.lr", "100"),
        ("representation_defaults.momentum", "0.99"),
    ]);
    let outcome = finish(&mut stage_command(&run, &Stage::one("representation", "mpcl", None), 2));
    expect_refusal(&outcome, &["finite", "epoch", "step"], "a diverging training");
    assert!(!run.layout().representation("mpcl").join("manifest.json").exists());
}

/// A file-size limit stands in for a full disk: writes fail in the middle of a file just the same.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_no_half_written_artifact() {
    let run = finished().copy();
    let before = snapshot(&run.dir);
    let stage = Stage::one("features", "mpcl", None);
    let direct = stage_command(&run, &stage, 2);
    let mut limited = Command::new("sh");
    limited.arg("-c").arg("trap '' XFSZ; ulimit -f 40; exec \"$0\" \"$@\" --force").arg(direct.get_program());
    limited.args(direct.get_args()).current_dir(root()).stdin(Stdio::null());
    let outcome = finish(&mut limited);
    expect_refusal(&outcome, &["safetensors"], "a full disk");
    for (file, then) in &before {
        if file.extension().is_some_and(|extension| extension == "safetensors") {
            let now = std::fs::read(file).expect("it is still there");
            assert!(now == then.0, "{} changed", file.display());
        }
    }
    let outcome = finish(stage_command(&run, &stage, 2).arg("--force"));
    assert_eq!(outcome.code, Some(0), "{}", outcome.words);
}
