//! `cargo xtask fmt` and `lint` with a program in cargo's place: what they start, how they end, and what they say where a component is missing.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use longtail_tests::{Outcome, finish, xtask};

fn script(file: &Path, body: &str) {
    std::fs::write(file, format!("#!/bin/sh\n{body}\n")).expect("writable");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).expect("sets");
}

/// What stands for cargo: notes its words but for questions after a version, and ends as told.
fn with_cargo(folder: &Path, body: &str, words: &[&str]) -> (Outcome, Vec<String>) {
    let cargo = folder.join("cargo");
    let notes = r#"case "$*" in *--version*) ;; *) echo "$* $RUSTDOCFLAGS" | sed 's/ *$//' >> "$0.calls" ;; esac"#;
    script(&cargo, &format!("{notes}\n{body}"));
    let _ = std::fs::remove_file(folder.join("cargo.calls"));
    let outcome = finish(xtask().env("CARGO", &cargo).env_remove("RUSTDOCFLAGS").args(words));
    let calls = std::fs::read_to_string(folder.join("cargo.calls")).unwrap_or_default();
    (outcome, calls.lines().map(str::to_owned).collect())
}

const CLIPPY: &str = "clippy --release --workspace --all-targets --keep-going -- -D warnings";
const RUSTDOC: &str = "doc --release --workspace --no-deps --keep-going -D warnings";

#[test]
fn what_is_in_order_ends_with_0() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (words, started) in [
        (&["fmt"][..], &["fmt --all"][..]),
        (&["fmt", "--check"], &["fmt --all -- --check"]),
        (&["lint"], &[CLIPPY, RUSTDOC]),
    ] {
        let (outcome, calls) = with_cargo(folder.path(), "exit 0", words);
        assert_eq!(
            (outcome.code, calls.as_slice()),
            (Some(0), &*started.iter().map(|call| (*call).to_owned()).collect::<Vec<_>>()),
            "{}",
            outcome.words
        );
    }
}

#[test]
fn what_is_not_ends_with_1_and_says_which() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fails = |verb: &str| format!(r#"case "$*" in *--version*) exit 0 ;; {verb}*) exit 1 ;; esac"#);
    let (outcome, _) = with_cargo(folder.path(), &fails("fmt"), &["fmt", "--check"]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.words.ends_with("error: not formatted, as shown above\nhint: cargo xtask fmt\n"),
        "{}",
        outcome.words
    );
    let (outcome, calls) = with_cargo(folder.path(), &fails("clippy"), &["lint"]);
    assert_eq!((outcome.code, calls.len()), (Some(1), 2), "rustdoc looks all the same");
    assert!(outcome.words.contains("error: clippy found something\n"), "{}", outcome.words);
    let (outcome, _) = with_cargo(folder.path(), &fails("doc"), &["lint"]);
    assert!(outcome.code == Some(1) && outcome.words.contains("error: rustdoc found something\n"), "{}", outcome.words);
}

/// rustup's cargo answers so of a component that is not installed.
const BARE: &str = r#"case "$*" in *fmt*|*clippy*) [ -e "$0.added" ] || exit 1 ;; esac; exit 0"#;

#[test]
fn a_missing_component_is_named_with_the_command_that_gets_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (verb, component) in [("fmt", "rustfmt"), ("lint", "clippy")] {
        let (outcome, calls) = with_cargo(folder.path(), BARE, &[verb]);
        assert_eq!((outcome.code, calls.len()), (Some(2), 0), "{}", outcome.words);
        for words in [format!("error: {component} is missing"), format!("rustup component add {component}")] {
            assert!(outcome.words.contains(&words), "{words} is not in {}", outcome.words);
        }
    }
}

#[test]
fn setup_gets_a_missing_component() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    script(
        &folder.path().join("rustup"),
        &format!("echo \"rustup $*\" && touch {}/cargo.added", folder.path().display()),
    );
    let path = std::env::join_paths(
        std::iter::once(folder.path().to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    script(&folder.path().join("cargo"), BARE);
    let mut command = xtask();
    command.env("PATH", path.expect("a path")).env("CARGO", folder.path().join("cargo"));
    let outcome = finish(command.args(["fmt", "--check", "--setup", "--yes"]));
    assert_eq!(outcome.code, Some(0), "{}", outcome.words);
    assert!(outcome.words.contains("rustup component add rustfmt\n"), "{}", outcome.words);
}
