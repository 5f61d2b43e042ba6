//! The arguments that every stage binary takes.

use std::path::PathBuf;

use clap::Args;
use longtail_artifact::cli::overrides;
use longtail_artifact::{ArtifactError, Device, DeviceChoice, Gpus};

/// Arguments of a stage. Examples stand in each binary's own `--help`.
#[derive(Debug, Clone, Args)]
pub struct StageArgs {
    /// Recipe: a file in `pipelines/`, or `recipe.yaml` of a run
    #[arg(long, value_name = "FILE")]
    pub recipe: PathBuf,
    /// Folder of one seed, for example runs/fashion-mnist-lt/seed-0
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
    /// Name of the representation in the recipe
    #[arg(long, value_name = "NAME")]
    pub variant: String,
    /// Random seed [default: the seed of the recipe]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Change one field of the recipe, for example --set representations.ce.epochs=2 (may be repeated)
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Folder of the images (not needed for Fashion-MNIST, which is embedded)
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// cpu, cuda, cuda:N, or auto (a GPU if this build has CUDA and a GPU is available, else the CPU)
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Number of threads; does not change the results [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Run the stage again even if it is up to date
    #[arg(long)]
    pub force: bool,
    /// With --force: do not decode every photograph again to find bad ones; `cargo xtask` does this once per run
    #[arg(long)]
    pub keep_census: bool,
    /// Use finished files even if they are stale
    #[arg(long)]
    pub accept_stale: bool,
    /// Continue from a checkpoint that was written on another kind of device
    #[arg(long)]
    pub accept_device_change: bool,
    /// Print errors only, no progress bar or notes
    #[arg(long)]
    pub quiet: bool,
    /// Print one JSON object to stdout instead of text
    #[arg(long)]
    pub json: bool,
}

impl StageArgs {
    /// `--set` and `--seed` as (dotted path, YAML value), for `longtail_recipe::read`.
    ///
    /// # Errors
    /// A `--set` without `=`.
    pub fn overrides(&self) -> Result<Vec<(String, String)>, ArtifactError> {
        let mut overrides = overrides(&self.set)?;
        overrides.extend(self.seed.map(|seed| ("seed".to_owned(), seed.to_string())));
        Ok(overrides)
    }

    /// What `--device` comes to in this build on this machine. Where there was something to choose, stderr is told.
    ///
    /// # Errors
    /// [`ArtifactError::NoCuda`], [`ArtifactError::NoDevice`].
    pub fn device(&self, stage: &'static str, gpus: Gpus) -> Result<Device, ArtifactError> {
        let (device, said) = self.device.settle(stage, gpus)?;
        if let Some(line) = said.filter(|_| !self.quiet) {
            eprintln!("{line}");
        }
        Ok(device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        stage: StageArgs,
    }

    fn parse(more: &[&str]) -> StageArgs {
        let base = ["x", "--recipe", "r.yaml", "--run", "runs/x/seed-0", "--variant", "ce"];
        Cli::try_parse_from(base.iter().chain(more)).expect("parses").stage
    }

    #[test]
    fn overrides_are_split_at_the_first_equals_sign_and_the_seed_is_one_of_them() {
        let args = parse(&["--set", "data.normalize={mean: [0.5]}", "--set", "a.b=c=d", "--seed", "3"]);
        let pairs = args.overrides().expect("well formed");
        assert_eq!(pairs[1], ("a.b".to_owned(), "c=d".to_owned()));
        assert_eq!(pairs[2], ("seed".to_owned(), "3".to_owned()));
        assert!(parse(&["--set", "nothing"]).overrides().is_err());
    }

    #[test]
    fn an_unknown_device_is_an_error() {
        assert_eq!(parse(&[]).device("features", Gpus::NotBuilt).expect("known"), Device::Cpu);
        assert!(parse(&["--device", "cuda:1"]).device("features", Gpus::NotBuilt).is_err());
        let base = ["x", "--recipe", "r.yaml", "--run", "r", "--variant", "ce", "--device", "tpu"];
        let problem = Cli::try_parse_from(base).err().expect("no device").to_string();
        assert!(problem.contains("`tpu` is not a device") && problem.contains("--device"), "{problem}");
    }
}
