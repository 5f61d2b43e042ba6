//! The command line: verbs, flags, and the examples that `--help` prints.

mod data;
mod tidy;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use longtail_artifact::DeviceChoice;
use longtail_artifact::cli::threads_parser;
use longtail_recipe::{set_words, shell_word};

pub use data::{DataCheckArgs, DataPackArgs, DataSynthesizeArgs, DataVerb};
pub use tidy::{FmtArgs, LintArgs};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Longtail: decoupled training of image classifiers on long-tailed data.",
    after_help = "\
Examples:
  cargo xtask reproduce fashion-mnist-lt --setup --yes    set up everything, then run the main job on the embedded data
  cargo xtask test --setup --yes                          set up everything, then run every test
  cargo xtask status fashion-mnist-lt                     what is done, what is stale, and why
  cargo xtask doctor                                      what this machine has and lacks

Exit codes: 0 done or nothing to do, 1 a number outside the recipe's expected range or a failed test, 2 could not run, 130 interrupted."
)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Run all stages of a recipe, from images to the table; skips stages that are up to date
    Reproduce(ReproduceArgs),
    /// Run one stage of a recipe
    Run(RunArgs),
    /// Show which stages are up to date, stale (and why), missing or running
    Status(StatusArgs),
    /// List the recipes in pipelines/
    List(ListArgs),
    /// Show what this machine has and lacks, and how to install it
    Doctor(DoctorArgs),
    /// Check, synthesize or pack image files
    #[command(subcommand)]
    Data(DataVerb),
    /// Pack programs, recipes and data into a folder that runs on a machine with neither Rust nor a network
    Bundle(BundleArgs),
    /// Run every test
    Test(TestArgs),
    /// Format the code
    Fmt(FmtArgs),
    /// Let clippy and rustdoc look at everything; warnings are errors
    Lint(LintArgs),
    /// Compare the speed with candle and PyTorch
    Bench(BenchArgs),
}

/// Which recipe, and where its runs lie.
#[derive(Args, Clone)]
pub struct RecipeArgs {
    /// Name of a recipe in pipelines/, such as `fashion-mnist-lt`, or path to a YAML file
    pub name: String,
    /// Change one field of the recipe: dotted path and YAML value; repeatable
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Random seed of the first run [default: the seed of the recipe]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder for all runs
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub runs: PathBuf,
}

impl RecipeArgs {
    /// `cargo xtask VERB RECIPE --set …`.
    fn words(&self, verb: &str) -> Vec<String> {
        let mut words = vec!["cargo xtask".to_owned(), verb.to_owned(), shell_word(&self.name)];
        for change in &self.set {
            words.push(match change.split_once('=') {
                Some((path, value)) => set_words(path, value),
                None => format!("--set {}", shell_word(change)),
            });
        }
        words
    }

    /// [`RecipeArgs::command`] for `data check` and `data pack`, which know neither seeds nor runs. `more`: the end of the line.
    pub fn data_command(&self, verb: &str, data: Option<&Path>, more: &str) -> String {
        let mut words = self.words(&format!("data {verb}"));
        words.extend(data.map(|data| format!("--data {}", shell_word(&data.to_string_lossy()))));
        words.join(" ") + more
    }

    /// `cargo xtask VERB` with the recipe and its settings as they were typed: for hints, which may be followed word by word.
    pub fn command(&self, verb: &str, data: Option<&Path>) -> String {
        let mut words = self.words(verb);
        words.extend(self.seed.map(|seed| format!("--seed {seed}")));
        let folder = |flag: &str, folder: &Path| format!("{flag} {}", shell_word(&folder.to_string_lossy()));
        if self.runs != Path::new("runs") {
            words.push(folder("--runs", &self.runs));
        }
        words.extend(data.map(|data| folder("--data", data)));
        words.join(" ")
    }
}

/// How to run stages.
#[derive(Args, Clone)]
pub struct ExecuteArgs {
    /// Run stages again even if they are up to date
    #[arg(long)]
    pub force: bool,
    /// Keep finished stages that are stale, and use their files
    #[arg(long)]
    pub accept_stale: bool,
    /// Continue from a checkpoint that was written on another kind of device
    #[arg(long)]
    pub accept_device_change: bool,
    /// cpu, cuda or cuda:N (builds the stages with CUDA), or auto: the CPU, unless LONGTAIL_BINARIES has CUDA programs that start on
    /// this machine
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Folder of the data set (not needed for Fashion-MNIST, which is embedded)
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Number of threads; does not change the results [default: all cores]
    #[arg(long, value_name = "N", value_parser = threads_parser())]
    pub threads: Option<u32>,
    #[command(flatten)]
    pub setup: SetupArgs,
    /// Print one JSON object to stdout, and everything else to stderr
    #[arg(long)]
    pub json: bool,
    /// Only print the plan, with the reason for each stage
    #[arg(long)]
    pub dry_run: bool,
}

/// Installing what is missing.
#[derive(Args, Clone, Copy, Default)]
pub struct SetupArgs {
    /// Install what is missing with the system's package manager; shows the command and asks first
    #[arg(long)]
    pub setup: bool,
    /// Answer yes to every question of --setup
    #[arg(long)]
    pub yes: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask reproduce fashion-mnist-lt
  cargo xtask reproduce fashion-mnist-lt --seeds 3
  cargo xtask reproduce imagenet-lt --data ~/data/imagenet --device cuda
  cargo xtask reproduce cifar100-lt-if100 --data ~/data/cifar-100-binary
  cargo xtask reproduce fashion-mnist-lt --set representations.ce.epochs=5 --dry-run
  cargo xtask reproduce fashion-mnist-lt --from classifier --force

After an interruption, run the same command again: it continues from the last checkpoint and gives identical results.
`--set` writes to the same folder; `status` and `--dry-run` show which stages it makes stale.
Changed images also make stages stale: their contents are compared with those used before.")]
pub struct ReproduceArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Number of seeds to run, counting up from --seed
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub seeds: u32,
    /// Start at this stage; earlier stages must be finished and are not run
    #[arg(long, value_name = "STAGE")]
    pub from: Option<Stage>,
    #[command(flatten)]
    pub execute: ExecuteArgs,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask run representation fashion-mnist-lt --variant ce
  cargo xtask run classifier fashion-mnist-lt --variant ce --method crt --method tau_norm
  cargo xtask run report fashion-mnist-lt")]
pub struct RunArgs {
    /// The stage to run
    pub stage: Stage,
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Run only this representation of the recipe; repeatable
    #[arg(long, value_name = "NAME")]
    pub variant: Vec<String>,
    /// Run only this classifier of the recipe; repeatable
    #[arg(long, value_name = "NAME")]
    pub method: Vec<String>,
    #[command(flatten)]
    pub execute: ExecuteArgs,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask status fashion-mnist-lt
  cargo xtask status fashion-mnist-lt --seed 2 --json
  cargo xtask status fashion-mnist-lt --set features.views=2    what this change makes stale
  cargo xtask status imagenet-lt --data ~/data/imagenet         and whether the images are those of the runs")]
pub struct StatusArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Folder of the images [default: search like the stages, then where the runs found them]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = "Example:\n  cargo xtask list --json")]
pub struct ListArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = "Example:\n  cargo xtask doctor")]
pub struct DoctorArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub setup: SetupArgs,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask bundle --recipe fashion-mnist-lt -o bundle                          for a CPU
  cargo xtask bundle --features cudnn --recipe cifar100-lt-if10 --recipe cifar100-lt-if50 \\
    --recipe cifar100-lt-if100 --data ~/data/cifar-100-binary -o bundle           for a GPU
On the other machine:
  sh run.sh --check                                       what that machine lacks
  sh run.sh cifar100-lt-if10 --seeds 3

The bundle holds the programs, OpenBLAS and, for CIFAR-100, the images that the recipes use, all losslessly compressed
(the images for imbalance factor 10 include those for 50 and 100: list their recipes too). It holds no photographs
and no CUDA libraries: run.sh searches for these libraries and lists those that are missing.")]
pub struct BundleArgs {
    /// Name of a recipe in pipelines/, or path to a YAML file; repeatable
    #[arg(long, value_name = "NAME", required = true)]
    pub recipe: Vec<String>,
    /// New folder for the bundle
    #[arg(short = 'o', long, value_name = "DIR")]
    pub out: PathBuf,
    /// Also build the stages for NVIDIA GPUs: cuda (convolutions as matrix products) or cudnn (with cuDNN, faster)
    #[arg(long, value_name = "FEATURE")]
    pub features: Option<BundleFeature>,
    /// Include the tests of device code; `sh run.sh test` runs them on the GPU
    #[arg(long, requires = "features")]
    pub tests: bool,
    /// Folder of the data set
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Replace an older bundle
    #[arg(long)]
    pub force: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub setup: SetupArgs,
}

/// Cargo features of the stages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum BundleFeature {
    /// NVIDIA GPUs, without cuDNN
    Cuda,
    /// NVIDIA GPUs, convolutions with cuDNN
    Cudnn,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask test --setup --yes
  cargo xtask test -- -p longtail-ops            arguments after -- replace --workspace of cargo test
  cargo xtask test -- -p longtail-tests -- rules
  cargo xtask test --asan                        finds out-of-bounds access in the crates with `unsafe`
  cargo xtask test --asan -- -p longtail-ops --test convolution")]
pub struct TestArgs {
    /// Run only the tests of the crates with `unsafe`, under AddressSanitizer (x86-64 Linux, a rustup toolchain)
    #[arg(long)]
    pub asan: bool,
    #[command(flatten)]
    pub setup: SetupArgs,
    /// Arguments for `cargo test`, instead of `--workspace` or the crates with `unsafe`
    #[arg(last = true, value_name = "CARGO TEST ARGUMENTS")]
    pub cargo: Vec<String>,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench                                            compare with candle
  cargo xtask bench --python python3                           and with the PyTorch of that Python
  cargo xtask bench step mpcl --python python3 --threads 2
  cargo xtask bench ops --rows 3x3 --quick
  cargo xtask bench loader --images ~/data/photos --python python3
  cargo xtask bench --python python3 --json > results/bench-cpu.jsonl
  cargo xtask bench --device cuda --python python3             on a GPU, against eager and compiled PyTorch

The sides of a row take turns in one run; only one computes at a time. Other programs slow
PyTorch more than Longtail: measure on an idle machine if you want to quote ratios.
ratio = peer / ours: above 1, ours is faster or smaller. PyTorch runs channels-last and
contiguous; the faster one counts. Peak memory is the maximum of the process minus its memory
at the start (PyTorch: after `import torch`), on Linux only.")]
pub struct BenchArgs {
    /// Groups to run [default: all]
    pub groups: Vec<BenchGroup>,
    /// A Python with torch; without this option, PyTorch is not timed
    #[arg(long, value_name = "PROGRAM")]
    pub python: Option<PathBuf>,
    /// Numbers of threads [default: 1 and all cores]; the largest networks use only the largest number
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = threads_parser())]
    pub threads: Vec<u32>,
    /// Only rows whose name contains this text; repeatable
    #[arg(long, value_name = "TEXT")]
    pub rows: Vec<String>,
    /// Repetitions of a row on each side; fewer for slow sides
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeats: u32,
    /// Folder of JPEG photographs for the group `loader`, from ImageNet or of similar size
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// cpu, or cuda to time training steps and features on the first GPU
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: DeviceChoice,
    /// Run each row only once or twice, on all cores, to check that it works
    #[arg(long)]
    pub quick: bool,
    /// Print one JSON object per line to stdout, and the table to stderr
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub setup: SetupArgs,
}

/// A group of rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum BenchGroup {
    /// Kernels
    Ops,
    /// Training steps and features of networks
    Step,
    /// The bi-level step
    Mpcl,
    /// Feature generation
    Generate,
    /// Photographs: decode, crop, jitter, normalise; needs --images
    Loader,
}

/// A stage, in the order of work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub enum Stage {
    /// Stage 1: train backbone, head and prototypes
    Representation,
    /// Stage 2: compute the features of every image
    Features,
    /// Stage 3: fit a balanced classifier
    Classifier,
    /// Write the table and figures
    Report,
}

impl Stage {
    /// The name of its binary and of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Representation => "representation",
            Stage::Features => "features",
            Stage::Classifier => "classifier",
            Stage::Report => "report",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn a_command_is_quoted_as_it_was_typed() {
        let recipe = super::RecipeArgs {
            name: "some where/two.yaml".into(),
            set: vec!["data.shot_groups={many_above: 9}".into(), "seed=3".into()],
            seed: Some(4),
            runs: "else/where".into(),
        };
        assert_eq!(
            recipe.command("reproduce", Some(std::path::Path::new("photos"))),
            "cargo xtask reproduce 'some where/two.yaml' --set data.shot_groups='{many_above: 9}' --set seed=3 --seed 4 \
             --runs else/where --data photos"
        );
        let plain = super::RecipeArgs { name: "two".into(), set: vec![], seed: None, runs: "runs".into() };
        assert_eq!(plain.command("status", None), "cargo xtask status two");
    }
}
