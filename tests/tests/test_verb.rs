//! `cargo xtask test` with a program in cargo's place: it builds, runs on after a failure, and says at the end what failed.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use longtail_tests::{Outcome, finish, xtask};

/// What stands for cargo: notes its words in `calls`, and ends as told.
fn stand_in(folder: &Path, body: &str) {
    let file = folder.join("cargo");
    std::fs::write(&file, format!("#!/bin/sh\necho \"$*\" >> \"$0.calls\"\n{body}\n")).expect("writable");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("sets");
}

fn test(folder: &Path, words: &[&str]) -> (Outcome, Vec<String>) {
    let _ = std::fs::remove_file(folder.join("cargo.calls"));
    let outcome = finish(xtask().env("CARGO", folder.join("cargo")).arg("test").args(words));
    let calls = std::fs::read_to_string(folder.join("cargo.calls")).unwrap_or_default();
    (outcome, calls.lines().map(str::to_owned).collect())
}

const FAILS: &str = r#"case "$*" in *--no-run*) exit 0 ;; esac
echo "failures:"
echo "    one::fails"
echo
echo "test result: FAILED. 0 passed; 1 failed"
echo 'error: test failed, to rerun pass `-p longtail-ops --lib`' >&2
echo 'error: test failed, to rerun pass `-p longtail-features --test plot`' >&2
echo "  process didn't exit successfully: \`plot\` (signal: 11, SIGSEGV: invalid memory reference)" >&2
exit 101"#;

#[test]
fn every_failure_is_said_once_more_at_the_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    stand_in(folder.path(), FAILS);
    let (outcome, calls) = test(folder.path(), &[]);
    assert_eq!(calls, ["test --release --no-run --workspace", "test --release --no-fail-fast --workspace"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.words);
    let end = &outcome.words[outcome.words.find("error: 2 tests failed").expect("the sum of it")..];
    for words in [
        "-p longtail-ops --lib: one::fails",
        "-p longtail-features --test plot: signal: 11, SIGSEGV",
        "hint: see their messages above; to run them again: cargo xtask test -- -p longtail-ops --lib",
    ] {
        assert!(end.contains(words), "{words} is not in {end}");
    }
    // Words of the user's own, which may ask for the one thing that cannot be built apart.
    let (_, calls) = test(folder.path(), &["--", "-p", "longtail-ops", "--", "one"]);
    assert_eq!(calls[1], "test --release --no-fail-fast -p longtail-ops -- one");
    let (_, calls) = test(folder.path(), &["--", "--doc"]);
    assert_eq!(calls, ["test --release --no-fail-fast --doc"]);
}

#[test]
fn what_does_not_build_was_not_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    stand_in(folder.path(), "exit 101");
    let (outcome, calls) = test(folder.path(), &[]);
    assert_eq!((outcome.code, calls.len()), (Some(2), 1), "{}", outcome.words);
    assert!(outcome.words.contains("the tests do not build"), "{}", outcome.words);
    stand_in(folder.path(), "exit 0");
    assert_eq!(test(folder.path(), &[]).0.code, Some(0));
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
fn the_sanitizer_goes_on_as_well() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    stand_in(folder.path(), FAILS);
    let (outcome, calls) = test(folder.path(), &["--asan"]);
    if outcome.words.contains("has no AddressSanitizer") {
        return println!("skipped: the toolchain has no sanitizer");
    }
    assert!(
        calls.len() == 2 && calls[1].contains("--no-fail-fast") && calls[1].contains("-p longtail-ops"),
        "{calls:?}"
    );
    assert!(outcome.code == Some(1) && outcome.words.contains("cargo xtask test --asan -- -p"), "{}", outcome.words);
}
