//! `test`: every test of the workspace, the end-to-end ones included, in release (one profile, so candle is built once).

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::Result;

use crate::child::run_tool;
use crate::cli::TestArgs;
use crate::setup::{self, Need};
use crate::{binaries, timings};

pub fn run(root: &Path, arguments: &TestArgs) -> Result<ExitCode> {
    setup::ensure(&[Need::CCompiler, Need::OpenBlas], arguments.setup)?;
    let started = Instant::now();
    let mut command = Command::new(binaries::cargo());
    command.current_dir(root).args(["test", "--release"]);
    if arguments.cargo.is_empty() {
        command.arg("--workspace");
    } else {
        command.args(&arguments.cargo);
    }
    let words: Vec<String> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    eprintln!("running: cargo {}", words.join(" "));
    let passed = run_tool(&mut command)?;
    let time = timings::human(started.elapsed().as_secs_f64());
    if passed {
        eprintln!("all tests passed, in {time} with the build");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: the build or a test failed, after {time}\nhint: the first failure stands above");
    Ok(ExitCode::from(1))
}
