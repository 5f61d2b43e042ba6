//! The frame of every stage's binary: arguments, device, images and split, begin or stay, progress, finish.
//!
//! A stage's own crate says what it reads, makes and writes; what it has in common with the others stands here, in their one form of
//! words. `main` of a stage is [`run_main`] with its command line; its run is a [`Frame`]:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use anyhow::Context;
//! use longtail_artifact::stage_specs;
//! use longtail_stage::{Frame, StageArgs};
//!
//! fn run(args: &StageArgs) -> anyhow::Result<ExitCode> {
//!     let variant = &args.variant;
//!     let frame = Frame::new("features", variant, format!("cannot start stage `features` of variant `{variant}`"), args)?;
//!     let recipe = frame.recipe()?;
//!     let device = frame.device()?.to_string();
//!     let images = frame.compare_images(&recipe)?;
//!     frame.require_representation(&recipe, &images, &device)?;
//!     let part = recipe.features_part(variant)?;
//!     let spec = stage_specs::features(frame.layout(), &images, variant, part, &device);
//!     let begun = frame.begin(&frame.layout().features(variant), &spec).with_context(|| frame.cannot_start())?;
//!     let Some(stage) = begun else { return Ok(ExitCode::SUCCESS) };
//!     // The stage's own work, with `frame.terminal()` for its progress; then:
//!     stage.finish(&[])?;
//!     frame.done(&serde_json::json!({"variant": variant}), "no file");
//!     Ok(ExitCode::SUCCESS)
//! }
//! ```

#[macro_use]
extern crate longtail_artifact; // `println!` that a reader who left does not end

mod args;
mod frame;
mod images;
mod start;
mod terminal;

pub use args::StageArgs;
pub use frame::{Frame, KEPT, UP_TO_DATE};
pub use start::run_main;
pub use terminal::Terminal;
