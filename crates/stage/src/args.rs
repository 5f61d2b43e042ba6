//! The arguments that every stage binary takes.

use std::path::PathBuf;

use clap::Args;
use longtail_artifact::cli::overrides;
use longtail_artifact::{ArtifactError, Device, DeviceChoice, Gpus};

/// Arguments of a stage. Examples stand in each binary's own `--help`.
#[derive(Debug, Clone, Args)]
pub struct StageArgs {
    /// The recipe: a file of `pipelines/`, or the resolved `recipe.yaml` of a run
    #[arg(long, value_name = "FILE")]
    pub recipe: PathBuf,
    /// The folder of one seed, for example runs/fashion-mnist-lt/seed-0
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
    /// The representation's name in the recipe
    #[arg(long, value_name = "NAME")]
    pub variant: String,
    /// Random seed, instead of the recipe's
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Change one field of the recipe, for example --set representations.ce.epochs=2 (may be repeated)
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Folder of the images; Fashion-MNIST is embedded and needs none
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to compute: cpu, cuda, cuda:N, or auto (a GPU where this build knows CUDA and one answers, else the CPU)
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Threads; all cores if left out. Changes no bit of the result
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Make the files again even if they are up to date
    #[arg(long)]
    pub force: bool,
    /// With --force: do not decode every photograph once more to find bad ones; `cargo xtask` has that done once a run
    #[arg(long)]
    pub keep_census: bool,
    /// Use finished files as they are, even if they were made for another recipe
    #[arg(long)]
    pub accept_stale: bool,
    /// Go on from a checkpoint that was written on another kind of device
    #[arg(long)]
    pub accept_device_change: bool,
    /// No progress bar, no remarks; errors only
    #[arg(long)]
    pub quiet: bool,
    /// One JSON object on stdout instead of words
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
        assert!(problem.contains("`tpu` is no device") && problem.contains("--device"), "{problem}");
    }
}
