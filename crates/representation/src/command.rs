//! Stage 1 from its arguments on: images, split, training, and what the terminal is told.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use longtail_artifact::{Interrupted, counted, interrupted, stage_specs};
use longtail_datasets::{Identified, Split};
use longtail_recipe::DataRecipe;
use longtail_stage::{Frame, KEPT, StageArgs, Terminal, UP_TO_DATE};
use longtail_training::Compute;
use serde_json::json;

use crate::RepresentationError;
use crate::stage::{self, Outcome};
use crate::train::Observer;

/// Trains one variant, from files to files; does nothing when they are up to date.
///
/// # Errors
/// Everything that keeps it from finishing; finished artifacts are left as they were.
pub fn run(args: &StageArgs) -> anyhow::Result<ExitCode> {
    let variant = &args.variant;
    let frame =
        Frame::new("representation", variant, format!("cannot start stage `representation` of `{variant}`"), args)?;
    let (layout, cannot_start) = (frame.layout(), || frame.cannot_start());
    let recipe = frame.recipe().with_context(cannot_start)?;
    let part = recipe.representation_part(variant).with_context(cannot_start)?;
    let place = frame.device()?;
    let (source, images) = frame.load_images(&recipe).with_context(cannot_start)?;
    if let Some(others) = images.matches(layout).reason().filter(|_| !args.quiet && images.are_others(layout)) {
        eprintln!("{others}; the split is drawn again");
    }
    frame.warn_of(&images);
    let afresh = args.force && !args.keep_census;
    let split = frame.draw_split(&recipe, &source, &images, afresh).with_context(cannot_start)?;
    say_what_is_left_out(&split, &frame, args.quiet);
    let spec = stage_specs::representation(layout, &images.matches(layout), part, &place.to_string());
    let (folder, train) = (layout.representation(variant), Arc::new(source.train));
    let compute = Compute::open(place, "representation").map_err(|error| RepresentationError::from(error).explained());
    let compute = compute.with_context(cannot_start)?;
    let terminal = Terminal::new(format!("representation {variant}"), args.quiet || args.json);
    let mut observer = AtTerminal { terminal, frame: &frame, images, data: &recipe.data };
    let outcome =
        stage::run(&recipe, variant, &train, &split, &folder, &spec, &compute, frame.options(), &mut observer);
    if let Err(RepresentationError::Interrupted { step }) = outcome {
        observer.say(&format!("checkpoint written after step {step}"));
        return Err(Interrupted.into());
    }
    let outcome = outcome.map_err(RepresentationError::explained);
    let (status, steps) = match outcome.with_context(|| format!("stage `representation` of `{variant}` stopped"))? {
        Outcome::KeptStale => (KEPT, None),
        Outcome::UpToDate => (UP_TO_DATE, None),
        Outcome::Trained { steps } => ("trained", Some(steps)),
    };
    observer.terminal.clear();
    frame.done(&json!({"stage": "representation", "variant": variant, "status": status, "steps": steps}), status);
    Ok(ExitCode::SUCCESS)
}

fn say_what_is_left_out(split: &Split, frame: &Frame<'_>, quiet: bool) {
    let skipped = split.skipped.train.len() + split.skipped.test.len();
    if skipped > 0 && !quiet {
        let (images, are) = (counted(skipped, "image"), if skipped == 1 { "is" } else { "are" });
        eprintln!("{images} cannot be decoded and {are} left out: {}", frame.layout().split().display());
    }
}

/// A progress bar over all steps; lines go above it.
struct AtTerminal<'a> {
    terminal: Terminal,
    frame: &'a Frame<'a>,
    /// As they were at the start.
    images: Identified,
    data: &'a DataRecipe,
}

impl Observer for AtTerminal<'_> {
    fn start(&mut self, total_steps: u64, first_step: u64) {
        self.terminal.start(total_steps, first_step);
    }

    fn stop_after(&mut self, step: u64) -> bool {
        self.terminal.at(step);
        interrupted()
    }

    fn stop_now(&mut self) -> bool {
        interrupted()
    }

    fn images_changed(&mut self) -> Result<Option<String>, RepresentationError> {
        Ok(self.frame.changes(self.data, &self.images)?)
    }

    fn say(&mut self, line: &str) {
        self.terminal.say(line);
    }
}
