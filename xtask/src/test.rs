//! `test`: every test of the workspace, the end-to-end ones included, in release (one profile, so candle is built once);
//! or, with `--asan`, those of the crates with `unsafe`, under AddressSanitizer.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::binaries::PREBUILT_VARIABLE;
use crate::child::run_tool;
use crate::cli::TestArgs;
use crate::setup::{self, Need};
use crate::{asan, binaries, timings};

pub fn run(root: &Path, arguments: &TestArgs) -> Result<ExitCode> {
    setup::ensure(&[Need::CCompiler, Need::OpenBlas], arguments.setup)?;
    let started = Instant::now();
    let passed = if arguments.asan {
        asan::test(root, &arguments.cargo)?
    } else if arguments.cargo.is_empty() {
        // Cargo builds the stage binaries for their own crates' tests. The end-to-end tests take those: built again for
        // them, with the dependency features of a plain build, candle would be compiled a second time.
        let ours = std::env::current_exe().context("cannot tell where this program lies")?;
        let binaries = ours.parent().context("a program lies in a folder")?;
        cargo_test(root, &["--workspace", "--no-run"], None)? && cargo_test(root, &["--workspace"], Some(binaries))?
    } else {
        let words: Vec<&str> = arguments.cargo.iter().map(String::as_str).collect();
        cargo_test(root, &words, None)?
    };
    let time = timings::human(started.elapsed().as_secs_f64());
    if passed {
        eprintln!("all tests passed, in {time} with the build");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: the build or a test failed, after {time}\nhint: the first failure stands above");
    Ok(ExitCode::from(1))
}

/// `cargo test --release WORDS`; whether it succeeded.
fn cargo_test(root: &Path, words: &[&str], binaries: Option<&Path>) -> Result<bool> {
    let mut command = Command::new(binaries::cargo());
    command.current_dir(root).args(["test", "--release"]).args(words);
    if let Some(folder) = binaries {
        command.env(PREBUILT_VARIABLE, folder);
    }
    eprintln!("running: cargo test --release {}", words.join(" "));
    run_tool(&mut command)
}
