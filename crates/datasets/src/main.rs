//! The `datasets` binary: says what is on disk before anything is trained on it.

mod synthesize_command;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use longtail_artifact::cli::{WithHint, run_main};
use longtail_datasets::check::check;
use longtail_datasets::read;
use longtail_recipe::{DataRecipe, Dataset};
use serde_json::json;

/// Looks at data sets on disk.
#[derive(Parser)]
#[command(name = "datasets", version, after_help = "Example:\n  datasets check fashion-mnist-lt")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say what was found, what is missing, and whether counts and channel means are the published ones.
    ///
    /// Exit code: 0 all is as published, 1 something differs, 2 the data set could not be read.
    #[command(after_help = "Examples:
  datasets check fashion-mnist
  datasets check cifar100 --data ~/data
  datasets check cifar100-lt-if100 --data ~/data/cifar-100-binary
  datasets check --recipe pipelines/fashion-mnist-lt.yaml --json")]
    Check(CheckArgs),
    /// Write a small tree of made-up photographs in a published data set's layout, the same bytes each time.
    #[command(after_help = "Examples:
  datasets synthesize imagenet-lt --out data/imagenet-lt-tree
  datasets synthesize inaturalist2018 --out tree --classes 12 --train-images 120 --side 48")]
    Synthesize(synthesize_command::SynthesizeArgs),
}

#[derive(Args)]
struct CheckArgs {
    /// A data set (fashion-mnist, cifar100), or a recipe in `pipelines/` whose split is checked too.
    #[arg(required_unless_present = "recipe", conflicts_with = "recipe")]
    name: Option<String>,
    /// A recipe file; its split is checked too.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// The folder with the files, or its parent. Without it LONGTAIL_DATA, then `data/` here and above are searched.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    // clap prints help and errors itself, and leaves with 0 or 2.
    let Cli { command } = Cli::parse();
    run_main(|| match command {
        Command::Check(arguments) => run(&arguments),
        Command::Synthesize(arguments) => synthesize_command::run(&arguments),
    })
}

fn run(arguments: &CheckArgs) -> Result<ExitCode> {
    let (dataset, recipe) = target(arguments)?;
    match check(dataset, arguments.data.as_deref(), recipe.as_ref()) {
        Ok(report) => {
            if arguments.json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                print!("{report}");
            }
            Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        Err(error) if arguments.json => {
            let files = read::find(dataset, arguments.data.as_deref()).map(|folder| read::inventory(dataset, &folder));
            let report = json!({
                "ok": false,
                "dataset": read::title(dataset),
                "error": error.to_string(),
                "hint": error.hint(),
                "files": files.ok(),
            });
            println!("{}", serde_json::to_string_pretty(&report)?);
            Ok(ExitCode::from(2))
        }
        Err(error) => Err(error.explained().context(format!("{} is not in order", read::title(dataset)))),
    }
}

/// The data set to look at, and the recipe's data part if a recipe is meant.
fn target(arguments: &CheckArgs) -> Result<(Dataset, Option<DataRecipe>)> {
    let from_file = |path: &Path| -> Result<(Dataset, Option<DataRecipe>)> {
        let recipe = longtail_recipe::read(path, &[])?;
        Ok((recipe.data.dataset, Some(recipe.data)))
    };
    if let Some(path) = &arguments.recipe {
        return from_file(path);
    }
    let name = arguments.name.as_deref().unwrap_or_default();
    match name.replace('_', "-").as_str() {
        "fashion-mnist" => return Ok((Dataset::FashionMnist, None)),
        "cifar100" | "cifar-100" => return Ok((Dataset::Cifar100, None)),
        _ => {}
    }
    let here = std::env::current_dir().context("cannot tell the current folder")?;
    let file = here
        .ancestors()
        .map(|folder| folder.join("pipelines").join(format!("{name}.yaml")))
        .find(|path| path.is_file())
        .with_context(|| format!("`{name}` is neither a data set nor a recipe in `pipelines/`"))
        .hint("data sets are `fashion-mnist` and `cifar100`; name a recipe's file with `--recipe FILE`")?;
    from_file(&file)
}
