//! A worker process: one library at one number of threads. It computes only between our line and its answer.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, anyhow};
use longtail_artifact::cli::{Interrupted, WithHint, interrupted};

/// What a worker says.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// The case is warm; seconds of its last warm-up repetition, and who ran it.
    Ready { secs: f64, label: String },
    /// There is no such case in this build, and why.
    Absent(String),
    /// Seconds of one repetition.
    Secs(f64),
    /// Peak memory less that at the start, in bytes.
    Memory(Option<u64>),
}

impl Answer {
    fn parse(line: &str) -> Option<Self> {
        let (verb, rest) = line.trim_end().split_once(' ')?;
        let secs = |text: &str| text.parse::<f64>().ok().filter(|secs| secs.is_finite() && *secs > 0.0);
        match verb {
            "ready" => {
                let (first, label) = rest.split_once(' ')?;
                Some(Self::Ready { secs: secs(first)?, label: label.to_owned() })
            }
            "absent" => Some(Self::Absent(rest.to_owned())),
            "secs" => Some(Self::Secs(secs(rest)?)),
            "mem" if rest == "unknown" => Some(Self::Memory(None)),
            "mem" => Some(Self::Memory(Some(rest.parse().ok()?))),
            _ => None,
        }
    }
}

/// A started worker. It ends when its stdin closes.
pub struct Worker {
    name: String,
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts `program` with so many threads in every library that reads a number of threads from its environment, and with
    /// `images` as the folder of photographs.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(program: &Path, arguments: &[&str], threads: usize, images: Option<&Path>) -> Result<Self> {
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        for variable in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
            command.env(variable, threads.to_string());
        }
        command.env("OPENBLAS_NUM_THREADS", "1"); // rayon runs over classes, as in the stages
        command.env("KMP_BLOCKTIME", "10"); // Intel's OpenMP spins for 200 ms otherwise, into the next worker's turn
        if let Some(images) = images {
            command.env("LONGTAIL_BENCH_IMAGES", images);
        }
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("stdout was asked to be a pipe")?);
        Ok(Self { name, child, commands, answers })
    }

    /// Sends one line and waits for the answer.
    ///
    /// # Errors
    /// The worker has gone, or answers something else; we were interrupted meanwhile.
    pub fn ask(&mut self, line: &str) -> Result<Answer> {
        let commands = self.commands.as_mut().context("a worker keeps its stdin")?;
        let sent = writeln!(commands, "{line}").and_then(|()| commands.flush());
        let mut answer = String::new();
        let read = sent.and_then(|()| self.answers.read_line(&mut answer));
        if interrupted() {
            return Err(Interrupted.into());
        }
        if read.map_or(true, |bytes| bytes == 0) {
            return Err(anyhow!("worker `{}` ended at `{line}`", self.name)).hint("see its message above");
        }
        Answer::parse(&answer)
            .with_context(|| format!("worker `{}` answers `{}` to `{line}`", self.name, answer.trim()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.commands.take());
        // It has nothing to save, and may be in the middle of a long repetition.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::Answer;

    #[test]
    fn answers_are_read() {
        let ready = Answer::Ready { secs: 0.25, label: "pytorch 2.15 channels-last".to_owned() };
        assert_eq!(Answer::parse("ready 0.25 pytorch 2.15 channels-last\n"), Some(ready));
        assert_eq!(Answer::parse("absent no such network\n"), Some(Answer::Absent("no such network".to_owned())));
        assert_eq!(Answer::parse("secs 1.5\n"), Some(Answer::Secs(1.5)));
        assert_eq!(Answer::parse("mem 1024\n"), Some(Answer::Memory(Some(1024))));
        assert_eq!(Answer::parse("mem unknown\n"), Some(Answer::Memory(None)));
        for wrong in ["", "secs", "secs NaN", "secs 0", "secs -1", "mem many", "ready 1", "Warning: slow"] {
            assert_eq!(Answer::parse(wrong), None, "{wrong}");
        }
    }
}
