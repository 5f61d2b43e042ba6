//! The `classifier` binary: stage 3.

use std::process::ExitCode;

use clap::Parser;
use longtail_artifact::{StageArgs, init_threads, install_interrupt_handler, run_main};

/// Stage 3: a balanced classifier from dumped features.
///
/// Reads RUN/features/VARIANT/{train,meta,val,test}.safetensors and stage 1's head and prototypes; writes head.safetensors,
/// predictions.safetensors, metrics.jsonl and manifest.json to RUN/classifier/VARIANT/METHOD/. Test features are opened when
/// the classifier is finished, never before. Run again after an interruption it goes on from the last checkpoint.
#[derive(Debug, Parser)]
#[command(name = "classifier", version, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    stage: StageArgs,

    /// The classifier, as the recipe names it under `classifiers`
    #[arg(long, value_name = "NAME")]
    method: String,
}

const EXAMPLES: &str = "Examples:
  classifier --recipe pipelines/fashion-mnist-lt.yaml --run runs/fashion-mnist-lt/seed-0 --variant mpcl --method mpfa
  classifier --recipe pipelines/cifar100-lt-quick.yaml --run runs/cifar100-lt-quick/seed-0 --variant ce --method tau_norm --json
  classifier --recipe r.yaml --run runs/r/seed-0 --variant mpcl --method mpfa --set classifiers.mpfa.mpfa.tukey=1.0 --force";

fn main() -> ExitCode {
    run_main(|| {
        let args = Args::parse();
        init_threads(args.stage.threads)?;
        longtail_linalg::init();
        install_interrupt_handler();
        longtail_classifier::run(&args.stage, &args.method)
    })
}
