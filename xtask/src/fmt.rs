//! `fmt`: rustfmt on every crate, by the root's `rustfmt.toml`.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::binaries;
use crate::child::run_tool;
use crate::cli::FmtArgs;
use crate::setup::{self, Need};

pub fn run(root: &Path, arguments: &FmtArgs) -> Result<ExitCode> {
    setup::ensure(&[Need::Rustfmt], arguments.setup)?;
    let mut command = Command::new(binaries::cargo());
    command.current_dir(root).args(["fmt", "--all"]);
    if arguments.check {
        command.args(["--", "--check"]);
    }
    if run_tool(&mut command)? {
        return Ok(ExitCode::SUCCESS);
    }
    match arguments.check {
        true => eprintln!("error: not formatted, as shown above\nhint: cargo xtask fmt"),
        false => eprintln!("error: not all files could be formatted\nhint: see rustfmt's messages above"),
    }
    Ok(ExitCode::from(1))
}
