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
    about = "Longtail: trains image recognisers on long-tailed data in decoupled stages, and prints the paper's kind of table.",
    after_help = "\
Examples:
  cargo xtask reproduce fashion-mnist-lt --setup --yes    all set-up, then the main job on the embedded data
  cargo xtask test --setup --yes                          all set-up, then every test
  cargo xtask status fashion-mnist-lt                     what is done, what is stale, and why
  cargo xtask doctor                                      what this machine has and lacks

Exit codes: 0 done or nothing to do, 1 numbers outside the recipe's range (or a failed test), 2 could not run, 130 interrupted."
)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Run a recipe from the images to the table; stages that are up to date are left alone
    Reproduce(ReproduceArgs),
    /// Run one stage of a recipe
    Run(RunArgs),
    /// Say of every stage whether it is up to date, stale (and why), missing or running
    Status(StatusArgs),
    /// List the recipes in pipelines/
    List(ListArgs),
    /// Say what this machine has and lacks, with the command that mends it
    Doctor(DoctorArgs),
    /// Look at the image files, or make some
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
    /// Time ours against candle and PyTorch
    Bench(BenchArgs),
}

/// Which recipe, and where its runs lie.
#[derive(Args, Clone)]
pub struct RecipeArgs {
    /// A recipe in pipelines/ (`fashion-mnist-lt`), or a path to a YAML file
    pub name: String,
    /// Override one field of the recipe, by dotted path, with a YAML value; repeatable
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// The random seed of the (first) run; the recipe's own when left out
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The folder of all runs
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
    /// Run stages again although they are up to date
    #[arg(long)]
    pub force: bool,
    /// Keep finished stages that are stale, and let later stages read them
    #[arg(long)]
    pub accept_stale: bool,
    /// Go on from a checkpoint that another kind of device wrote
    #[arg(long)]
    pub accept_device_change: bool,
    /// cpu, or cuda or cuda:N, for which the stages are built with CUDA; auto is the CPU unless LONGTAIL_BINARIES has programs for
    /// CUDA that start here
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// The folder with the data set's files (Fashion-MNIST is embedded and needs none)
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Threads to compute with; changes no bit of any result. All cores when left out
    #[arg(long, value_name = "N", value_parser = threads_parser())]
    pub threads: Option<u32>,
    #[command(flatten)]
    pub setup: SetupArgs,
    /// Print one JSON object on stdout; everything else goes to stderr
    #[arg(long)]
    pub json: bool,
    /// Print the plan, with the reason for each stage, and stop
    #[arg(long)]
    pub dry_run: bool,
}

/// Installing what is missing.
#[derive(Args, Clone, Copy, Default)]
pub struct SetupArgs {
    /// Install what is missing with the system's package manager: prints the command and asks
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

Run it again to go on after an interruption: it continues from the last checkpoint, to the same bits.
`--set` writes to the same folder; `status` and `--dry-run` say what it would make stale.
So do other images: their contents are compared with those that the runs were made from.")]
pub struct ReproduceArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// How many seeds to run, counting up from --seed
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub seeds: u32,
    /// Begin at this stage; the stages before it must be finished and are left alone
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
    /// Only this representation of the recipe; repeatable
    #[arg(long, value_name = "NAME")]
    pub variant: Vec<String>,
    /// Only this classifier of the recipe; repeatable
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
  cargo xtask status fashion-mnist-lt --set features.views=2    what this change would make stale
  cargo xtask status imagenet-lt --data ~/data/imagenet         and whether the images are those of the runs")]
pub struct StatusArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// The folder with the images; left out, they are looked for as stages do, then where the runs found them
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
There:
  sh run.sh --check                                       what that machine lacks
  sh run.sh cifar100-lt-if10 --seeds 3

Programs and OpenBLAS are packed small; of CIFAR-100 the images that the recipes draw come along, losslessly
(a bundle for imbalance factor 10 serves 50 and 100 too: list their recipes). Photographs stay behind.
CUDA's libraries stay behind as well: run.sh looks for them and says what is missing.")]
pub struct BundleArgs {
    /// A recipe in pipelines/, or a path to a YAML file; repeatable
    #[arg(long, value_name = "NAME", required = true)]
    pub recipe: Vec<String>,
    /// A new folder for the bundle
    #[arg(short = 'o', long, value_name = "DIR")]
    pub out: PathBuf,
    /// Build the stages for NVIDIA's GPUs too: cuda (convolutions as products), or cudnn (by cuDNN, faster)
    #[arg(long, value_name = "FEATURE")]
    pub features: Option<BundleFeature>,
    /// Take the tests of device code along: there, `sh run.sh test` runs them on the GPU
    #[arg(long, requires = "features")]
    pub tests: bool,
    /// The folder with the data set's files
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
    /// NVIDIA's GPUs, without cuDNN
    Cuda,
    /// NVIDIA's GPUs, convolutions by cuDNN
    Cudnn,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask test --setup --yes
  cargo xtask test -- -p longtail-ops            arguments after -- go to cargo test, in place of --workspace
  cargo xtask test -- -p longtail-tests -- rules
  cargo xtask test --asan                        reads and writes out of bounds in the crates with `unsafe`
  cargo xtask test --asan -- -p longtail-ops --test convolution")]
pub struct TestArgs {
    /// Only the tests of the crates with `unsafe`, under AddressSanitizer (x86-64 Linux, a toolchain from rustup)
    #[arg(long)]
    pub asan: bool,
    #[command(flatten)]
    pub setup: SetupArgs,
    /// Arguments for `cargo test` in place of `--workspace`, or of the crates with `unsafe`
    #[arg(last = true, value_name = "CARGO TEST ARGUMENTS")]
    pub cargo: Vec<String>,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench                                            ours against candle
  cargo xtask bench --python python3                           and against the torch of that Python
  cargo xtask bench step mpcl --python python3 --threads 2
  cargo xtask bench ops --rows 3x3 --quick
  cargo xtask bench loader --images ~/data/photos --python python3
  cargo xtask bench --python python3 --json > results/bench-cpu.jsonl
  cargo xtask bench --device cuda --python python3             on a GPU, against torch as it is and compiled

All sides of a row take turns in one run; only one computes at a time. Other programs slow
PyTorch more than they slow us: ratios that are to be quoted want an idle machine.
ratio = peer / ours: above 1, ours is faster, or smaller. PyTorch runs channels-last and
contiguous; the faster one counts. Peak memory is the process's most less what it had at
the start (PyTorch: after `import torch`), on Linux alone.")]
pub struct BenchArgs {
    /// Which groups; all when left out
    pub groups: Vec<BenchGroup>,
    /// A Python that has torch; without it, PyTorch is left out
    #[arg(long, value_name = "PROGRAM")]
    pub python: Option<PathBuf>,
    /// Numbers of threads; 1 and all cores when left out. The largest networks are timed at the largest alone
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = threads_parser())]
    pub threads: Vec<u32>,
    /// Only rows whose name holds this text; repeatable
    #[arg(long, value_name = "TEXT")]
    pub rows: Vec<String>,
    /// Times a row is run on each side; a slow side fewer
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeats: u32,
    /// A folder of JPEG photographs for the group `loader`, ImageNet's or others of that size
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Where: cpu, or cuda for training steps and features on the first GPU
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: DeviceChoice,
    /// Once or twice each, on all cores: whether it works, not how fast it is
    #[arg(long)]
    pub quick: bool,
    /// Print one JSON object a line on stdout; the table goes to stderr
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
    /// A training step of a network, and its features
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
    /// Stage 1: the backbone, its head and its prototypes
    Representation,
    /// Stage 2: the features of every image
    Features,
    /// Stage 3: a balanced head
    Classifier,
    /// The table and its figures
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
