//! `lint`: clippy on every target, then rustdoc; a warning of either is an error.
//!
//! In release, as the tests are: build scripts and procedural macros are those of the tests, built once. What both check of
//! other crates is shared too.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::binaries;
use crate::child::run_tool;
use crate::cli::LintArgs;
use crate::setup::{self, Need};

pub fn run(root: &Path, arguments: &LintArgs) -> Result<ExitCode> {
    setup::ensure(&[Need::CCompiler, Need::OpenBlas, Need::Clippy], arguments.setup)?;
    let cargo = |words: &[&str]| {
        eprintln!("running: cargo {}", words.join(" "));
        let mut command = Command::new(binaries::cargo());
        command.current_dir(root).args(words);
        command
    };
    let clippy = ["clippy", "--release", "--workspace", "--all-targets", "--keep-going", "--", "-D", "warnings"];
    let clean = run_tool(&mut cargo(&clippy))?;
    // Cargo takes the other variable in place of this one.
    let mut doc = cargo(&["doc", "--release", "--workspace", "--no-deps", "--keep-going"]);
    let described = run_tool(doc.env_remove("CARGO_ENCODED_RUSTDOCFLAGS").env("RUSTDOCFLAGS", "-D warnings"))?;
    let failed: Vec<&str> = [("clippy", clean), ("rustdoc", described)]
        .iter()
        .filter(|(_, passed)| !passed)
        .map(|(name, _)| *name)
        .collect();
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: {} found something\nhint: see its messages above", failed.join(" and "));
    Ok(ExitCode::from(1))
}
