//! `test`: every test of the workspace, the end-to-end ones included, in release (one profile, so candle is built once);
//! or, with `--asan`, those of the crates with `unsafe`, under AddressSanitizer.
//!
//! First everything is built, then everything runs, whatever fails on the way; what failed is said once more at the end.

mod failures;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use longtail_artifact::cli::{Interrupted, WithHint, interrupted};

use crate::binaries::PREBUILT_VARIABLE;
use crate::child::run_tool;
use crate::cli::TestArgs;
use crate::setup::{self, Need};
use crate::{asan, binaries, timings};
use failures::{FailedTarget, Watcher};

pub fn run(root: &Path, arguments: &TestArgs) -> Result<ExitCode> {
    setup::ensure(&[Need::CCompiler, Need::OpenBlas], arguments.setup)?;
    let started = Instant::now();
    let (mut command, words) = if arguments.asan {
        (asan::command(root)?, asan::words(root, &arguments.cargo)?)
    } else {
        let mut command = Command::new(binaries::cargo());
        command.current_dir(root).args(["test", "--release"]);
        let all = || vec!["--workspace".to_owned()];
        (command, if arguments.cargo.is_empty() { all() } else { arguments.cargo.clone() })
    };
    // Doctests alone are built as they run; cargo refuses the two words together.
    if !of_cargo(&words).iter().any(|word| word == "--doc") {
        eprintln!("building the tests: cargo test {}", words.join(" "));
        if !run_tool(copy(&command).arg("--no-run").args(&words))? {
            return Err(anyhow!("the tests do not build")).hint("see cargo's messages above");
        }
    }
    if !arguments.asan && arguments.cargo.is_empty() {
        // Cargo has built the stage binaries for their own crates' tests. The end-to-end tests take those: built again for
        // them, with the dependency features of a plain build, candle would be compiled a second time.
        let ours = std::env::current_exe().context("cannot find the folder of this program")?;
        command.env(PREBUILT_VARIABLE, ours.parent().context("a program lies in a folder")?);
    }
    eprintln!("running the tests: cargo test {}", words.join(" "));
    if !of_cargo(&words).iter().any(|word| word == "--no-fail-fast") {
        command.arg("--no-fail-fast");
    }
    let (passed, failed) = watched(command.args(&words))?;
    let time = timings::human(started.elapsed().as_secs_f64());
    if passed {
        eprintln!("all tests passed, in {time} including the build");
        return Ok(ExitCode::SUCCESS);
    }
    eprint!("{}", words_of(&failed, &time, arguments.asan));
    Ok(ExitCode::from(1))
}

/// The words that are cargo's own: those before a `--`.
fn of_cargo(words: &[String]) -> &[String] {
    words.split(|word| word == "--").next().unwrap_or_default()
}

/// The same program, words and environment once more.
fn copy(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        copy.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => copy.env(name, value),
            None => copy.env_remove(name),
        };
    }
    copy
}

/// Runs cargo to its end and passes on what it and the tests say; whether it succeeded, and which tests failed.
///
/// Both streams come through one pipe, in the order in which they were written, and go to our stdout.
fn watched(command: &mut Command) -> Result<(bool, Vec<FailedTarget>)> {
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let second = writer.try_clone().context("cannot make a pipe")?;
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.stdout(writer).stderr(second).spawn().with_context(|| format!("cannot start {name}"))?;
    // The command holds two ends of the pipe for writing; without them, its end is the end of the last test.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let (mut watcher, mut stdout) = (Watcher::default(), std::io::stdout());
    for line in BufReader::new(reader).split(b'\n') {
        let mut line = line.context("cannot read cargo's output")?;
        watcher.see(&String::from_utf8_lossy(&line));
        line.push(b'\n');
        // Whoever read it may have left; the tests go on.
        let _ = stdout.write_all(&line);
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if interrupted() || status.code() == Some(130) {
        return Err(Interrupted.into());
    }
    Ok((status.success(), watcher.failed()))
}

/// What failed, target by target, and how to run it again.
fn words_of(failed: &[FailedTarget], time: &str, asan: bool) -> String {
    let Some(first) = failed.first() else {
        return format!("error: cargo failed, after {time}\nhint: see its message above\n");
    };
    let tests: usize = failed.iter().map(|target| target.tests.len().max(1)).sum();
    let mut text = format!("error: {tests} {} failed, after {time}:\n", if tests == 1 { "test" } else { "tests" });
    for target in failed {
        for test in &target.tests {
            text += &format!("  {}: {test}\n", target.selector);
        }
        if target.tests.is_empty() {
            text += &format!("  {}: {}\n", target.selector, target.end.as_deref().unwrap_or("failed"));
        }
    }
    let asan = if asan { "--asan " } else { "" };
    text + &format!("hint: see their messages above; to run them again: cargo xtask test {asan}-- {}\n", first.selector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_behind_two_dashes_are_the_tests_own() {
        let words = ["-p", "longtail-ops", "--", "--doc"].map(str::to_owned);
        assert_eq!(of_cargo(&words), &words[..2]);
        assert!(of_cargo(&[]).is_empty());
    }

    #[test]
    fn the_last_words_name_every_failure_and_how_to_run_it_again() {
        let target = |selector: &str, tests: &[&str], end: Option<&str>| FailedTarget {
            selector: selector.to_owned(),
            tests: tests.iter().map(|test| (*test).to_owned()).collect(),
            end: end.map(str::to_owned),
        };
        let failed = [
            target("-p longtail-ops --lib", &["one", "two"], None),
            target("-p longtail-features --test plot", &[], Some("signal: 6, SIGABRT: process abort signal")),
        ];
        assert_eq!(
            words_of(&failed, "3 s", true),
            "error: 3 tests failed, after 3 s:\n  -p longtail-ops --lib: one\n  -p longtail-ops --lib: two\n  \
             -p longtail-features --test plot: signal: 6, SIGABRT: process abort signal\n\
             hint: see their messages above; to run them again: cargo xtask test --asan -- -p longtail-ops --lib\n"
        );
    }
}
