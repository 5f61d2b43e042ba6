//! The `classifier` binary: stage 3.

#[macro_use]
#[allow(unused_imports, reason = "what is printed here one day must not end a run either")]
extern crate longtail_artifact; // `println!` that a reader who left does not end

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use longtail_artifact::init_threads;
use longtail_classifier::GenerateArgs;
use longtail_stage::{StageArgs, run_main};

/// Fit a balanced classifier on dumped features (stage 3).
///
/// Reads RUN/features/VARIANT/{train,meta,val,test}.safetensors and stage 1's head and prototypes; writes head.safetensors,
/// predictions.safetensors, metrics.jsonl and manifest.json to RUN/classifier/VARIANT/METHOD/. Test features are read only after
/// the classifier is fitted. After an interruption, run the same command again: it continues from the last checkpoint.
#[derive(Debug, Parser)]
#[command(
    name = "classifier",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = EXAMPLES
)]
struct Args {
    #[command(subcommand)]
    tool: Option<Tool>,
    #[command(flatten)]
    stage: Option<StageArgs>,

    /// Name of the classifier in the recipe, under `classifiers`
    #[arg(long, value_name = "NAME", required = true)]
    method: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Tool {
    /// Write the generated rows of a few classes, as in the first epoch, and the real rows; `features plot` plots them
    #[command(after_help = GENERATE_EXAMPLES)]
    Generate(Box<GenerateArgs>),
}

const EXAMPLES: &str = "Examples:
  classifier --recipe pipelines/fashion-mnist-lt.yaml --run runs/fashion-mnist-lt/seed-0 --variant mpcl --method mpfa
  classifier --recipe pipelines/cifar100-lt-quick.yaml --run runs/cifar100-lt-quick/seed-0 --variant ce --method tau_norm --json
  classifier --recipe r.yaml --run runs/r/seed-0 --variant mpcl --method mpfa --set classifiers.mpfa.mpfa.tukey=1.0 --force
  classifier generate --recipe r.yaml --run runs/r/seed-0 --variant mpcl --method mpfa --classes 7,8,9 --out generated.safetensors";

const GENERATE_EXAMPLES: &str = "Examples:
  classifier generate --recipe pipelines/fashion-mnist-lt.yaml --run runs/fashion-mnist-lt/seed-0 --variant mpcl --method mpfa \\
      --out generated.safetensors
  F=runs/fashion-mnist-lt/seed-0/features/mpcl
  features plot --train $F/train.safetensors --val $F/val.safetensors --generated generated.safetensors --out figure-3.svg";

fn main() -> ExitCode {
    run_main(|args: Args| match (args.tool, args.stage, args.method) {
        (Some(Tool::Generate(args)), _, _) => {
            init_threads(args.threads())?;
            longtail_linalg::init();
            longtail_classifier::generate_rows(&args)
        }
        (None, Some(stage), Some(method)) => {
            stage.prepare()?;
            longtail_linalg::init();
            longtail_classifier::run(&stage, &method)
        }
        (None, _, _) => unreachable!("clap asks for a recipe and a method where there is no subcommand"),
    })
}
