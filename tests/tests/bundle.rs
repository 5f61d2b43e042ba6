//! A bundle as it is carried: made here, and run with nothing but the system's own programs in PATH.
#![cfg(target_os = "linux")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use longtail_tests::{Outcome, finish, root, xtask};

/// `sh run.sh` of a bundle, without cargo, in another folder.
fn run(bundle: &Path, arguments: &[&str]) -> Outcome {
    let mut command = Command::new("sh");
    command.arg(bundle.join("run.sh")).args(arguments).env_clear().env("PATH", "/usr/bin:/bin");
    command.env("HOME", bundle).current_dir(std::env::temp_dir());
    finish(&mut command)
}

#[test]
fn a_bundle_runs_without_rust_and_says_what_is_missing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bundle = folder.path().join("bundle");
    let recipe = root().join("tests/recipes/tiny.yaml");
    let make = |more: &[&str]| {
        let mut command = xtask();
        finish(command.args(["bundle", "--recipe"]).arg(&recipe).arg("-o").arg(&bundle).args(more))
    };
    let made = make(&[]);
    assert_eq!(made.code, Some(0), "{}", made.words);
    let again = make(&[]);
    assert!(again.code == Some(2) && again.words.contains("--force"), "{}", again.words);

    let checked = run(&bundle, &["--check"]);
    assert!(checked.code == Some(0) && checked.words.contains("nothing is missing"), "{}", checked.words);
    let help = run(&bundle, &["--help"]);
    assert!(help.code == Some(0) && help.words.contains("Recipes: tiny "), "{}", help.words);
    let none = run(&bundle, &["test"]);
    assert!(none.code == Some(2) && none.words.contains("this bundle has no tests"), "{}", none.words);
    // With programs that stand for tests: one without a GPU to use is not one that passed.
    std::fs::create_dir(bundle.join("tests")).expect("a folder");
    for (says, code) in [("ok", 0), ("on_a_real_gpu ... skipped: no driver", 1), ("FAILED; exit 101", 1)] {
        std::fs::write(bundle.join("tests/gpu"), format!("#!/bin/sh\necho {says}\n")).expect("writes");
        std::fs::set_permissions(bundle.join("tests/gpu"), Permissions::from_mode(0o755)).expect("sets");
        let tested = run(&bundle, &["test"]);
        let said = says.split(';').next().expect("a word");
        assert!(tested.code == Some(code) && tested.words.contains(said), "{says}: {}", tested.words);
    }
    let unknown = run(&bundle, &["cifar", "--dry-run"]);
    assert!(unknown.code == Some(2) && unknown.words.contains("no recipe called `cifar`"), "{}", unknown.words);

    let bench = run(&bundle, &["bench", "norm", "--quick"]);
    assert!(bench.code == Some(2) && bench.words.contains("norm"), "{}", bench.words);
    let bench = run(&bundle, &["bench", "ops", "--rows", "batch norm forward 64", "--quick"]);
    assert!(bench.code == Some(0) && bench.words.contains("candle"), "{}", bench.words);

    // To the table, from the data that came along.
    let done = run(&bundle, &["tiny"]);
    assert!(matches!(done.code, Some(0 | 1)), "{}", done.words);
    assert!(bundle.join("runs/tiny/report/report.json").is_file(), "{}", done.words);
    let again = run(&bundle, &[]);
    assert!(again.words.contains("nothing to do"), "{}", again.words);

    if Path::new("/dev/nvidiactl").exists() {
        return println!("skipped: what is said without a GPU; there is one");
    }
    let refused = run(&bundle, &["--device", "cuda"]);
    let words = &refused.words;
    assert!(refused.code == Some(2) && words.contains("missing: a visible GPU") && words.contains("hint:"), "{words}");
    assert!(words.contains("missing: programs for CUDA"), "{words}");
    let automatic = run(&bundle, &["--check", "--device", "auto"]);
    assert!(automatic.code == Some(0), "a driver is no condition: {}", automatic.words);
}

#[test]
fn what_cannot_be_bundled_is_said_before_anything_is_built() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("mine.txt"), "").expect("writable");
    for (arguments, words) in [
        (&["--recipe", "nosuch"][..], "no recipe called `nosuch`"),
        (&["--recipe", "fashion-mnist-lt", "--force"], "is not a bundle"),
        (&["--recipe", "fashion-mnist-lt", "--features", "rocm"], "rocm"),
        (&["--recipe", "fashion-mnist-lt", "--tests"], "--features"),
    ] {
        let out = if words == "is not a bundle" { folder.path().to_owned() } else { folder.path().join("new") };
        let mut command = xtask();
        let refused = finish(command.arg("bundle").args(arguments).arg("-o").arg(&out));
        assert!(refused.code == Some(2) && refused.words.contains(words), "{}", refused.words);
        assert!(folder.path().join("mine.txt").is_file() && !folder.path().join("new").exists());
    }
}
