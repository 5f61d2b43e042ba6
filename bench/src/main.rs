//! The worker of `cargo xtask bench`: a process that runs one case, ours or candle's, each time it is told to.
//!
//! It reads a line and answers with one, on stdin and stdout; `torch_worker.py` beside this folder speaks the same words.
//!
//! ```text
//! case ours step net=resnet32 size=32 classes=100 batch=128   ready SECS LABEL   after a warm-up of SECS a repetition
//!                                                             absent REASON      this build has no such case
//! go                                                          secs SECS          of one repetition
//! mem                                                         mem BYTES          peak less the start's; `mem unknown`
//! ```
//!
//! Threads come from the environment (`RAYON_NUM_THREADS`, `CANDLE_NUM_THREADS`). Between lines it blocks and computes nothing.

mod candle_net;
mod candle_ops;
mod case;
mod generate;
mod memory;
mod nets;
mod ops;
mod photo;

use std::io::{BufRead, Write};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::case::{Absent, Case, Repetition};

/// A repetition shorter than this is run several times and divided.
const SHORTEST_SECS: f64 = 0.05;
/// The release that the workspace pins; it stands in the table.
const CANDLE_LABEL: &str = "candle 0.11.1";

fn main() -> Result<()> {
    longtail_ops::check_simd()?;
    let start_bytes = memory::resident_bytes();
    let mut running: Option<Running> = None;
    let mut answers = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.context("cannot read a command")?;
        let (verb, rest) = line.split_once(' ').unwrap_or((line.as_str(), ""));
        let answer = match verb {
            "case" => {
                drop(running.take()); // the memory of the last case, before that of the next
                let case = Case::parse(rest)?;
                match Running::new(&case).with_context(|| format!("case `{rest}`")) {
                    Ok((made, secs)) => {
                        running = Some(made);
                        format!("ready {secs:.9} {}", if case.library == "candle" { CANDLE_LABEL } else { "ours" })
                    }
                    Err(error) => match error.downcast_ref::<Absent>() {
                        Some(absent) => format!("absent {absent}"),
                        None => return Err(error),
                    },
                }
            }
            "go" => format!("secs {:.9}", running.as_mut().context("`go` before any `case`")?.secs()?),
            "mem" => match (start_bytes, memory::peak_bytes()) {
                (Some(start), Some(peak)) => format!("mem {}", peak.saturating_sub(start)),
                _ => "mem unknown".to_owned(),
            },
            other => bail!("unknown command `{other}`"),
        };
        writeln!(answers, "{answer}").and_then(|()| answers.flush()).context("cannot answer")?;
    }
    Ok(())
}

/// A case that has been warmed up.
struct Running {
    repetition: Repetition,
    times: usize,
}

impl Running {
    /// The case after its warm-up, and the seconds of the last warm-up repetition.
    fn new(case: &Case) -> Result<(Self, f64)> {
        let mut repetition = match (case.library.as_str(), case.kind.as_str()) {
            ("ours", "conv-forward" | "conv-input" | "conv-weight") => ops::convolution(case)?,
            ("ours", "norm-forward" | "norm-backward") => ops::norm(case)?,
            ("ours", "step" | "mpcl") => nets::step(case)?,
            ("ours", "infer") => nets::infer(case)?,
            ("ours", "generate") => generate::mpfa(case)?,
            ("ours", "photo") => photo::transform(case)?,
            ("candle", "conv-forward" | "conv-input" | "conv-weight") => candle_ops::convolution(case)?,
            ("candle", "norm-forward" | "norm-backward") => candle_ops::norm(case)?,
            ("candle", "step") => candle_net::step(case)?,
            (library, kind) => bail!("no case `{kind}` of `{library}`"),
        };
        // The first fills the buffers; a slow one has told enough.
        let mut wall = f64::INFINITY;
        let mut secs = 0.0;
        for _ in 0..2 {
            let began = Instant::now();
            secs = repetition()?;
            wall = began.elapsed().as_secs_f64();
            if wall > 3.0 {
                break;
            }
        }
        let times = (SHORTEST_SECS / wall.max(1e-7)).ceil().clamp(1.0, 10_000.0) as usize;
        Ok((Self { repetition, times }, secs))
    }

    fn secs(&mut self) -> Result<f64> {
        let mut sum = 0.0;
        for _ in 0..self.times {
            sum += (self.repetition)()?;
        }
        Ok(sum / self.times as f64)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_label_names_the_release_that_the_workspace_pins() {
        let version = super::CANDLE_LABEL.trim_start_matches("candle ");
        let manifest = include_str!("../../Cargo.toml");
        assert!(manifest.contains(&format!("candle-core = {{ version = \"={version}\"")));
    }
}
