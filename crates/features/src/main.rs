//! The `features` binary: stage 2, and tools for its files.

#[macro_use]
#[allow(unused_imports, reason = "what is printed here one day must not end a run either")]
extern crate longtail_artifact; // `println!` that a reader who left does not end

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use longtail_artifact::init_threads;
use longtail_features::import::{self, ImportArgs, MeansArgs};
use longtail_features::plot::{self, PlotArgs};
use longtail_stage::{StageArgs, run_main};

/// Computes the features of every image (stage 2); inspects, compares, plots, imports and exports feature files
#[derive(Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  features --recipe pipelines/fashion-mnist-lt.yaml --run runs/fashion-mnist-lt/seed-0 --variant ce
  features inspect runs/fashion-mnist-lt/seed-0/features/ce/train.safetensors
  features diff A.safetensors B.safetensors
  features export train.safetensors --npz train.npz
  features plot --train train.safetensors --val val.safetensors --generated generated.safetensors --out figure-3.svg
  features import --architecture resnet50 resnet50.safetensors --out backbone.safetensors

Exit codes: 0 done or nothing to do, 1 the files of `diff` differ, 2 could not run, 130 interrupted."
)]
struct Cli {
    #[command(subcommand)]
    tool: Option<Tool>,
    #[command(flatten)]
    stage: Option<StageArgs>,
}

#[derive(Subcommand)]
enum Tool {
    /// Show the contents of a hand-off file: tensors, class counts, norms, spread, bad values, origin
    Inspect {
        /// A .safetensors file of a run
        file: PathBuf,
        /// Print one JSON object to stdout
        #[arg(long)]
        json: bool,
        /// Show every class, even if there are more than 40
        #[arg(long)]
        all: bool,
    },
    /// Compare two hand-off files tensor by tensor; exit code 1 if they differ
    Diff {
        /// The first file
        a: PathBuf,
        /// The second file
        b: PathBuf,
        /// Print one JSON object to stdout
        #[arg(long)]
        json: bool,
    },
    /// Plot training, generated and validation points of a few classes (t-SNE and PCA) as SVG
    Plot(Box<PlotArgs>),
    /// Convert torchvision weights to a stage 1 backbone
    Import(ImportArgs),
    /// Write the prototypes and head that classifiers need with an imported backbone
    Means(MeansArgs),
    /// Export the tensors of a file to NumPy
    Export {
        /// A .safetensors file of a run
        file: PathBuf,
        /// The .npz file to write, with one array per tensor
        #[arg(long, value_name = "OUT")]
        npz: PathBuf,
    },
}

fn main() -> ExitCode {
    run_main(|cli: Cli| {
        let outcome = match (cli.tool, cli.stage) {
            (Some(Tool::Inspect { file, json, all }), _) => longtail_features::inspect::run(&file, json, all),
            (Some(Tool::Diff { a, b, json }), _) => longtail_features::diff::run(&a, &b, json),
            (Some(Tool::Export { file, npz }), _) => longtail_features::export::run(&file, &npz),
            (Some(Tool::Import(args)), _) => import::import(&args),
            (Some(Tool::Means(args)), _) => import::means(&args),
            (Some(Tool::Plot(args)), _) => {
                init_threads(args.threads)?;
                plot::run(&args)
            }
            (None, Some(args)) => {
                args.prepare()?;
                longtail_features::run(&args)
            }
            (None, None) => Err(anyhow::anyhow!("neither a tool nor the arguments of the stage were given"))
                .context("nothing to do; `features --help` shows the usage"),
        };
        outcome.map_err(longtail_features::explained)
    })
}
