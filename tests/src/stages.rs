//! Stage binaries started one after the other, and killed on the way.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::{TinyRun, binary};

/// One start of a stage binary: its name, the variant, and the method of a classifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The binary.
    pub name: &'static str,
    /// A key of `representations`.
    pub variant: String,
    /// A key of `classifiers`.
    pub method: Option<String>,
}

impl Stage {
    /// Every stage that the recipe's rows need, in the order of work.
    pub fn all(run: &TinyRun) -> Vec<Stage> {
        let mut stages = Vec::new();
        for name in ["representation", "features"] {
            for variant in run.recipe.used_representations() {
                stages.push(Stage { name, variant: variant.to_owned(), method: None });
            }
        }
        for row in &run.recipe.rows {
            stages.push(Stage {
                name: "classifier",
                variant: row.representation.clone(),
                method: Some(row.classifier.clone()),
            });
        }
        stages
    }

    /// Shorthand for one of them.
    pub fn one(name: &'static str, variant: &str, method: Option<&str>) -> Stage {
        Stage { name, variant: variant.to_owned(), method: method.map(str::to_owned) }
    }
}

/// The command that runs `stage` by hand, with `threads` threads.
pub fn stage_command(run: &TinyRun, stage: &Stage, threads: usize) -> Command {
    let mut command = Command::new(binary(stage.name));
    command.arg("--recipe").arg(run.layout().recipe()).arg("--run").arg(&run.dir);
    command.args(["--variant", &stage.variant, "--device", "cpu", "--threads", &threads.to_string()]);
    if let Some(method) = &stage.method {
        command.args(["--method", method]);
    }
    if let Some(data) = &run.data {
        command.arg("--data").arg(data);
    }
    command.current_dir(crate::root()).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
    command
}

/// How a stage ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; None after a signal.
    pub code: Option<i32>,
    /// All that it said, on both streams.
    pub words: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let words = [output.stdout, output.stderr].concat();
        Self { code: output.status.code(), words: String::from_utf8_lossy(&words).into_owned() }
    }
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Outcome {
    command.output().expect("the program starts").into()
}

/// Moments of SIGKILL, counted in time that stages have run.
#[derive(Debug, Default)]
pub struct Kills {
    /// Still to come, the next one last.
    moments: Vec<Duration>,
    elapsed: Duration,
    /// How many there were.
    pub done: usize,
    /// How many of them found a checkpoint in the stage's folder.
    pub with_checkpoint: usize,
}

impl Kills {
    /// `count` moments spread at random over `within`, from a seed.
    pub fn random(count: usize, within: Duration, seed: u64) -> Self {
        let mut state = seed;
        let mut moments: Vec<Duration> = (0..count).map(|_| within.mul_f64(uniform(&mut state))).collect();
        moments.sort();
        moments.reverse();
        Self { moments, ..Self::default() }
    }

    /// Waits for the child or for the next moment; true when it was killed.
    fn wait(&mut self, child: &mut Child) -> bool {
        let started = Instant::now();
        loop {
            if child.try_wait().expect("a child can be asked").is_some() {
                self.elapsed += started.elapsed();
                return false;
            }
            if self.moments.last().is_some_and(|moment| self.elapsed + started.elapsed() >= *moment) {
                self.moments.pop();
                child.kill().expect("a child can be killed");
                self.elapsed += started.elapsed();
                self.done += 1;
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// SplitMix64, in [0, 1): the moments need no better.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((word ^ (word >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Runs all stages in order; one that was killed is started again. Returns the time that stages ran.
pub fn run_all(run: &TinyRun, threads: usize, kills: &mut Kills) -> Duration {
    for stage in Stage::all(run) {
        loop {
            let log = tempfile::NamedTempFile::new().expect("a temporary file");
            let mut command = stage_command(run, &stage, threads);
            command.stdout(Stdio::null()).stderr(log.reopen().expect("the same file"));
            let mut child = command.spawn().expect("the stage starts");
            let killed = kills.wait(&mut child);
            let status = child.wait().expect("the stage ends");
            if killed && !status.success() {
                kills.with_checkpoint += usize::from(has_checkpoint(&dir_of(run, &stage)));
                continue;
            }
            let words = std::fs::read_to_string(log.path()).unwrap_or_default();
            assert!(status.success(), "{stage:?} ended with {status}:\n{words}");
            break;
        }
    }
    kills.elapsed
}

/// A run whose stages were killed at `count` random moments of `within`, which is what a straight run took. Where the machine has
/// become so much faster that some moments fall after the end, another run in less time.
pub fn run_killed(
    fresh: impl Fn() -> TinyRun,
    threads: usize,
    (count, mut within, seed): (usize, Duration, u64),
) -> (TinyRun, Kills) {
    loop {
        let (run, mut kills) = (fresh(), Kills::random(count, within, seed));
        let time = run_all(&run, threads, &mut kills);
        if kills.done == count {
            return (run, kills);
        }
        within = time;
    }
}

/// Whether a stage's folder holds a whole checkpoint.
pub fn has_checkpoint(stage_dir: &Path) -> bool {
    std::fs::read_dir(stage_dir.join("checkpoints")).is_ok_and(|entries| {
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .any(|path| path.extension().is_some_and(|kind| kind == "safetensors"))
    })
}

fn dir_of(run: &TinyRun, stage: &Stage) -> PathBuf {
    let layout = run.layout();
    match (&stage.method, stage.name) {
        (Some(method), _) => layout.classifier(&stage.variant, method),
        (None, "features") => layout.features(&stage.variant),
        _ => layout.representation(&stage.variant),
    }
}
