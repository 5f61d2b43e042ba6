//! The `representation` binary: stage 1 of one variant.

#[macro_use]
extern crate longtail_artifact; // `println!` that a reader who left does not end

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use indicatif::ProgressBar;
use longtail_artifact::{
    BeginOptions, Interrupted, RunLayout, StageArgs, WithHint, counted, init_threads, install_interrupt_handler,
    interrupted, progress, run_main, stage_specs,
};
use longtail_datasets::identity::{Identified, load_accepting, with_bar};
use longtail_datasets::{DatasetError, Split, load_identified};
use longtail_recipe::DataRecipe;
use longtail_representation::RepresentationError;
use longtail_representation::stage::{self, Outcome};
use longtail_representation::train::Observer;
use longtail_training::Compute;
use serde_json::json;

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
    run_main(|| run(longtail_artifact::cli::parse::<Cli>().stage))
}

fn run(args: StageArgs) -> anyhow::Result<ExitCode> {
    install_interrupt_handler();
    longtail_ops::check_simd()?;
    init_threads(args.threads)?;
    let what = format!("cannot start stage `representation` of `{}`", args.variant);
    let recipe = longtail_recipe::read(&args.recipe, &args.overrides()?).with_context(|| what.clone())?;
    let part = recipe.representation_part(&args.variant).with_context(|| what.clone())?;
    let place = args.device("representation", Compute::gpus())?;
    let device = place.to_string();
    let layout = RunLayout::new(&args.run);
    let data = args.data.as_deref();
    let load = if args.accept_stale { load_accepting } else { load_identified };
    let loaded = with_bar(args.quiet, |progress| load(&recipe.data, data, &layout, progress));
    if matches!(loaded, Err(DatasetError::Interrupted)) {
        return Err(Interrupted.into());
    }
    let (source, images) = with_hint(loaded.map_err(Into::into), &what)?;
    let before = images.matches(&layout);
    if let Some(others) = before.reason().filter(|_| !args.quiet && images.are_others(&layout)) {
        eprintln!("{others}; the split is drawn again");
    }
    if let Some(note) = images.note().filter(|_| !args.quiet) {
        eprintln!("warning: {note}");
    }
    let bar = progress((source.train.len() + source.test.len()) as u64, "decoding every image once", args.quiet);
    let afresh = args.force && !args.keep_census;
    let split = Split::of_run(&layout, &recipe.data, &source, afresh, &|done, _| {
        if done % 64 == 0 {
            bar.set_position(done);
        }
    });
    bar.finish_and_clear();
    if matches!(split, Err(DatasetError::Interrupted)) {
        return Err(Interrupted.into());
    }
    let split = with_hint(split.map_err(Into::into), &what)?;
    with_hint(images.record(&layout).map_err(Into::into), &what)?;
    let skipped = split.skipped.train.len() + split.skipped.test.len();
    if skipped > 0 && !args.quiet {
        let (images, are) = (counted(skipped, "image"), if skipped == 1 { "is" } else { "are" });
        eprintln!("{images} cannot be decoded and {are} left out: {}", layout.split().display());
    }
    let spec = stage_specs::representation(&layout, &images.matches(&layout), part, &device);
    let options = BeginOptions {
        force: args.force,
        accept_stale: args.accept_stale,
        accept_device_change: args.accept_device_change,
    };
    let mut observer = Terminal {
        bar: None,
        quiet: args.quiet || args.json,
        what: format!("representation {}", args.variant),
        images,
        data: recipe.data.clone(),
        dir: args.data.clone(),
    };
    let (folder, train) = (layout.representation(&args.variant), Arc::new(source.train));
    let compute = with_hint(Compute::open(place, "representation").map_err(Into::into), &what)?;
    let outcome = stage::run(&recipe, &args.variant, &train, &split, &folder, &spec, &compute, options, &mut observer);
    if let Err(RepresentationError::Interrupted { step }) = outcome {
        observer.say(&format!("checkpoint written after step {step}"));
        return Err(Interrupted.into());
    }
    let (status, steps) = match with_hint(outcome, &format!("stage `representation` of `{}` stopped", args.variant))? {
        Outcome::KeptStale => ("kept as it is", None),
        Outcome::UpToDate => ("up to date", None),
        Outcome::Trained { steps } => ("trained", Some(steps)),
    };
    if args.json {
        println!("{}", json!({"stage": "representation", "variant": args.variant, "status": status, "steps": steps}));
    }
    observer.finish(&format!("representation {}: {status}", args.variant));
    Ok(ExitCode::SUCCESS)
}

/// Adds what was being done, and the hint that the error knows.
fn with_hint<T>(result: Result<T, RepresentationError>, what: &str) -> anyhow::Result<T> {
    let hint = result.as_ref().err().and_then(RepresentationError::hint);
    let result = result.with_context(|| what.to_owned());
    match hint {
        Some(hint) => result.hint(&hint),
        None => result,
    }
}

/// A progress bar over all steps; lines go above it.
struct Terminal {
    bar: Option<ProgressBar>,
    quiet: bool,
    what: String,
    /// As they were at the start.
    images: Identified,
    data: DataRecipe,
    dir: Option<PathBuf>,
}

impl Terminal {
    fn finish(&self, line: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if !self.quiet {
            eprintln!("{line}");
        }
    }
}

impl Observer for Terminal {
    fn start(&mut self, total_steps: u64, first_step: u64) {
        let bar = progress(total_steps, &self.what, self.quiet);
        bar.set_position(first_step);
        bar.reset_eta();
        self.bar = Some(bar);
    }

    fn stop_after(&mut self, step: u64) -> bool {
        if let Some(bar) = &self.bar {
            bar.set_position(step);
        }
        interrupted()
    }

    fn stop_now(&mut self) -> bool {
        interrupted()
    }

    fn images_changed(&mut self) -> Result<Option<String>, RepresentationError> {
        let (data, dir) = (&self.data, self.dir.as_deref());
        Ok(with_bar(self.quiet, |progress| self.images.changes(data, dir, progress))?)
    }

    fn say(&mut self, line: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }
}
