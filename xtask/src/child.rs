//! Starts a stage binary and waits for it.
//!
//! The child gets a pipe as stdin. A line `interrupt` asks it to finish the step, write a checkpoint and leave with 130;
//! the end of the pipe, which comes however xtask dies, ends it at once. It sits in a process group of its own, so that a
//! Ctrl-C in the terminal, or its end, reaches xtask alone and is passed on once.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use longtail_artifact::cli::{Interrupted, WithHint, install_interrupt_handler, interrupted};

/// Between two looks at the child; short beside any stage, long beside the cost of a look.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Where the child's stdout goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stdout {
    /// To ours.
    Inherit,
    /// To our stderr: ours is kept for one JSON object.
    ToStderr,
}

/// Runs `program` in the root until it ends; returns its exit code.
///
/// # Errors
/// It cannot be started, was killed by a signal, or left with 130 after an interrupt ([`Interrupted`]).
pub fn run(root: &Path, program: &Path, arguments: &[OsString], stdout: Stdout) -> Result<i32> {
    install_interrupt_handler();
    let name = name_of(program);
    let mut command = command(root, program, arguments);
    if stdout == Stdout::ToStderr {
        command.stdout(Stdio::from(std::io::stderr()));
    }
    let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    code_of(&name, wait(child, &name)?)
}

fn name_of(program: &Path) -> String {
    program.file_name().map_or_else(|| "stage".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn command(root: &Path, program: &Path, arguments: &[OsString]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(root)
        .env("LONGTAIL_CONTROL", "stdin")
        .env("OPENBLAS_NUM_THREADS", "1")
        .stdin(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

fn code_of(name: &str, status: ExitStatus) -> Result<i32> {
    match status.code() {
        Some(130) => Err(Interrupted.into()),
        Some(code) => Ok(code),
        None => Err(killed(name, status)),
    }
}

/// [`run`] of a program whose stdout is an answer: its exit code, and what it wrote there.
///
/// # Errors
/// As there.
pub fn capture(root: &Path, program: &Path, arguments: &[OsString]) -> Result<(i32, Vec<u8>)> {
    let name = name_of(program);
    let mut command = command(root, program, arguments);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {}", program.display()))?;
    let mut stdout = child.stdout.take().context("a pipe was asked for")?;
    // On a thread of its own: a full pipe would stop the child, and we wait for it.
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    let code = code_of(&name, wait(child, &name)?)?;
    match reader.join() {
        Ok(bytes) => Ok((code, bytes.with_context(|| format!("cannot read the output of `{name}`"))?)),
        Err(_) => Err(anyhow!("cannot read the output of `{name}`")),
    }
}

/// Waits, and passes the first interrupt on. A second one ends xtask, and with it the pipe and the child.
fn wait(mut child: Child, name: &str) -> Result<ExitStatus> {
    let mut control = child.stdin.take();
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait().with_context(|| format!("cannot wait for `{name}`"))? {
            return Ok(status);
        }
        if interrupted() && !told {
            told = true;
            if let Some(pipe) = control.as_mut() {
                // The child may be leaving already; then the pipe is closed and there is nobody to tell.
                let _ = pipe.write_all(b"interrupt\n").and_then(|()| pipe.flush());
            }
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn killed(name: &str, status: ExitStatus) -> anyhow::Error {
    let error = anyhow!("another program or the system ended `{name}` ({status})");
    let hint =
        "signal 9 often means that memory ran out; run the same command again to continue from the last checkpoint";
    match Err::<(), _>(error).hint(hint) {
        Err(error) => error,
        Ok(()) => unreachable!("an error stays an error"),
    }
}

/// Runs a tool of the system (cargo, apt-get …) with our own terminal; returns whether it succeeded.
///
/// # Errors
/// It cannot be started, or we were interrupted meanwhile.
pub fn run_tool(command: &mut Command) -> Result<bool> {
    let status =
        command.status().with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
    if interrupted() || status.code() == Some(130) {
        return Err(Interrupted.into());
    }
    Ok(status.success())
}
