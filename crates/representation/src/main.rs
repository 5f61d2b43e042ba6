//! The `representation` binary: stage 1 of one variant.

#[macro_use]
#[allow(unused_imports, reason = "what is printed here one day must not end a run either")]
extern crate longtail_artifact; // `println!` that a reader who left does not end

use std::process::ExitCode;

use clap::Parser;
use longtail_stage::{StageArgs, run_main};

/// Train a backbone, its head and prototypes (stage 1).
///
/// Reads the recipe and the images; writes backbone, head, prototypes and, for `mpcl`, the meta-network to
/// RUN/representation/VARIANT. After an interruption, run the same command again: it continues from the last checkpoint and gives
/// identical results. If the stage is up to date, it does nothing.
#[derive(Parser)]
#[command(
    name = "representation",
    version,
    after_help = "\
Examples:
  representation --recipe pipelines/fashion-mnist-lt.yaml --run runs/fashion-mnist-lt/seed-0 --variant ce
  representation --recipe pipelines/cifar100-lt-quick.yaml --run runs/quick/seed-1 --variant mpcl_meta --seed 1 --data ~/data
  representation --recipe my.yaml --run runs/my/seed-0 --variant mpcl --set representations.mpcl.epochs=5 --force

Environment:
  LONGTAIL_CHECKPOINT_EVERY_STEPS=N  also write a checkpoint every N steps (for tests; does not change the results)"
)]
struct Cli {
    #[command(flatten)]
    stage: StageArgs,
}

fn main() -> ExitCode {
    run_main(|cli: Cli| {
        cli.stage.prepare()?;
        longtail_representation::run(&cli.stage)
    })
}
