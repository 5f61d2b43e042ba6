//! `bench`: ours against candle and PyTorch. Worker processes measure; this side starts them, lets them take turns, and prints.

mod machine;
mod measure;
mod outcome;
mod rows;
mod samples;
mod worker;

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, anyhow};
use longtail_artifact::cli::WithHint;
use longtail_artifact::{Device, DeviceChoice};

use self::measure::{Effort, RowResult, Torch, Workers};
use self::rows::{Row, Threads};
use crate::binaries;
use crate::cli::BenchArgs;
use crate::setup::{self, Need};
use crate::stage_device::StageDevice;
use crate::{cuda, workspace};

const FULL_SECS: f64 = 30.0;
const QUICK_SECS: f64 = 2.0;

pub fn run(root: &Path, arguments: &BenchArgs) -> Result<ExitCode> {
    let load = machine::load(); // before the build, which makes one of its own
    let on_gpu = match arguments.device {
        DeviceChoice::Only(Device::Cuda(0)) => true,
        DeviceChoice::Only(Device::Cuda(_)) => {
            return Err(anyhow!("--device {}: the benchmark uses the first GPU", arguments.device))
                .hint("CUDA_VISIBLE_DEVICES=N makes GPU N the first");
        }
        _ => false,
    };
    if on_gpu && let Err(why) = cuda::gpus() {
        return Err(anyhow!("--device cuda: {why}"))
            .hint("run it on a machine with a GPU; a bundle contains the benchmark");
    }
    let rows = chosen(if on_gpu { rows::on_gpu() } else { rows::all() }, arguments)?;
    let torch = match &arguments.python {
        Some(python) => Some(torch(root, python)?),
        None => {
            eprintln!("without --python, PyTorch is not timed");
            None
        }
    };
    if !binaries::are_prebuilt() {
        setup::ensure(&[Need::CCompiler, Need::OpenBlas], arguments.setup)?;
    }
    let device = if on_gpu { StageDevice::of(arguments.device) } else { StageDevice::cpu() };
    device.require(false)?;
    let binaries = binaries::build(root, &["longtail-bench"], device.gpus)?;
    device.require_started(binaries.on_gpus())?;
    let worker = binaries.path("bench-worker")?;

    let images = arguments.images.as_deref().map(workspace::absolute).transpose()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = thread_counts(arguments, cores);
    let most = threads.iter().copied().max().unwrap_or(cores);
    let effort = if arguments.quick {
        Effort { repeats: 2, most_secs: QUICK_SECS, fewest: 1 }
    } else {
        Effort { repeats: arguments.repeats as usize, most_secs: FULL_SECS, fewest: 2 }
    };
    let row_width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0) + ", peak memory".len();
    let table = Table { json: arguments.json };
    table.print(&machine::describe(root, cores, load));
    if on_gpu {
        table.print(&cuda::gpus().unwrap_or_default());
    }
    table.print(&format!(
        "f32 but for rows that say tf32 or bf16 (torch: autocast); median (range) of {} repetitions in turn, fewer for slow sides",
        effort.repeats
    ));
    machine::busy_warning(load).iter().for_each(|warning| table.print(warning));
    table.print(&outcome::heading(row_width));

    let jobs = |threads: usize| rows.iter().filter(move |row| row.threads == Threads::Each || threads == most);
    let total: usize = threads.iter().map(|&threads| jobs(threads).count()).sum();
    let mut done = 0;
    for &threads in &threads {
        let mut workers = Workers::new(worker, torch.as_ref(), threads, images.as_deref());
        for row in jobs(threads) {
            done += 1;
            let progress =
                Progress::start(format!("[{done}/{total}] {}, {}", row.name, machine::count(threads, "thread")));
            let result = workers.measure(row, effort, |round, rounds| progress.round(round, rounds))?;
            progress.end();
            match result {
                RowResult::Absent(reason) => table.print(&outcome::absent(row_width, &row.name, &reason)),
                RowResult::Measured(outcomes) => {
                    for outcome in outcomes {
                        outcome.table_lines(row_width).iter().for_each(|line| table.print(line));
                        outcome.json_lines().iter().for_each(|line| table.object(line));
                    }
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The rows of the groups and the texts asked for.
fn chosen(rows: Vec<Row>, arguments: &BenchArgs) -> Result<Vec<Row>> {
    let wanted = |row: &Row| {
        let holds = |text: &String| row.name.to_lowercase().contains(&text.to_lowercase());
        (arguments.groups.is_empty() || arguments.groups.contains(&row.group))
            && (arguments.rows.is_empty() || arguments.rows.iter().any(holds))
    };
    let found: Vec<Row> = rows.into_iter().filter(wanted).collect();
    if found.is_empty() {
        return Err(anyhow!("no row's name holds {}", arguments.rows.join(" or ")))
            .hint("for example `--rows resnet32`, `--rows \"conv forward\"` or `--rows MPFA`");
    }
    Ok(found)
}

/// Those asked for, in increasing order; else one and all cores; in a quick run, all cores.
fn thread_counts(arguments: &BenchArgs, cores: usize) -> Vec<usize> {
    let counts: BTreeSet<usize> = match (arguments.threads.as_slice(), arguments.quick) {
        ([], true) => BTreeSet::from([cores]),
        ([], false) => BTreeSet::from([1, cores]),
        (asked, _) => asked.iter().map(|&count| count as usize).collect(),
    };
    counts.into_iter().collect()
}

/// The Python, once it has shown that it can import torch.
fn torch(root: &Path, python: &Path) -> Result<Torch> {
    let shown = python.display();
    let output = Command::new(python)
        .args(["-c", "import torch; print(torch.__version__)"])
        .output()
        .with_context(|| format!("cannot start the Python `{shown}`"))
        .hint("--python expects a program, for example `--python python3`")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let last = words.trim().lines().last().unwrap_or("it says nothing").to_owned();
        return Err(anyhow!(last))
            .with_context(|| format!("the Python `{shown}` cannot import torch"))
            .hint(&format!("`{shown} -m pip install torch`, or choose another one with --python, or leave it out"));
    }
    let script: PathBuf = root.join("bench").join("torch_worker.py");
    Ok(Torch { python: python.to_owned(), script })
}

/// Where lines go: the table to stdout, or with `--json` to stderr, and objects to stdout.
struct Table {
    json: bool,
}

impl Table {
    fn print(&self, line: &str) {
        if self.json { eprintln!("{line}") } else { println!("{line}") }
    }

    fn object(&self, object: &str) {
        if self.json {
            println!("{object}");
        }
    }
}

/// A line on stderr that says what runs; in a terminal it is written over, elsewhere there is one a row.
struct Progress {
    row: String,
    in_terminal: bool,
}

impl Progress {
    fn start(row: String) -> Self {
        let progress = Self { row, in_terminal: std::io::stderr().is_terminal() };
        if progress.in_terminal {
            progress.write_over(&format!("{}: warm-up", progress.row));
        } else {
            eprintln!("{}", progress.row);
        }
        progress
    }

    fn round(&self, round: usize, rounds: usize) {
        if self.in_terminal {
            self.write_over(&format!("{}: {round} of {rounds}", self.row));
        }
    }

    fn end(&self) {
        if self.in_terminal {
            self.write_over("");
        }
    }

    fn write_over(&self, text: &str) {
        eprint!("\r\x1b[K{text}");
        let _ = std::io::stderr().flush();
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Verb};

    fn arguments(words: &[&str]) -> BenchArgs {
        let words = ["cargo xtask", "bench"].iter().chain(words);
        match Cli::try_parse_from(words).expect("sound words").verb {
            Verb::Bench(arguments) => arguments,
            _ => unreachable!("the verb is `bench`"),
        }
    }

    #[test]
    fn rows_are_chosen_by_group_and_by_text() {
        let count = |words: &[&str]| chosen(rows::all(), &arguments(words)).map(|rows| rows.len());
        assert_eq!(count(&[]).expect("all"), rows::all().len());
        assert_eq!(count(&["mpcl"]).expect("one"), 1);
        assert_eq!(count(&["step", "--rows", "RESNET50 ce"]).expect("one"), 1);
        assert!(count(&["mpcl", "--rows", "resnet50"]).is_err());
    }

    #[test]
    fn threads_are_one_and_all_unless_asked_for() {
        let counts = |words: &[&str]| thread_counts(&arguments(words), 4);
        assert_eq!(counts(&[]), [1, 4]);
        assert_eq!(counts(&["--quick"]), [4]);
        assert_eq!(counts(&["--threads", "3,2,2"]), [2, 3]);
    }
}
