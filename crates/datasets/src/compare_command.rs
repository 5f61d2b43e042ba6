//! `datasets compare`: how the images stand to those that runs were made from, for `cargo xtask`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use longtail_artifact::{ImageMatch, Interrupted, RunLayout, init_threads, install_interrupt_handler, split_identity};
use longtail_datasets::DatasetError;
use longtail_datasets::identity::{identify, with_bar};
use serde_json::{Value, json};

use crate::target::{RecipeFile, data_recipe};

#[derive(Args)]
pub struct CompareArgs {
    #[command(flatten)]
    of: RecipeFile,
    /// Folder of the images [default: search like the stages, then where a run found them]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder of one seed (may be repeated)
    #[arg(long, value_name = "DIR", required = true)]
    run: Vec<PathBuf>,
    /// Save the hashes in the run folders, so that files need not be hashed again
    #[arg(long)]
    record: bool,
    /// Number of threads [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Prints `{"note", "runs": [{"run", "images", "why"}]}`, where `images` is `same` or `other` and `note` is of a pack; or `{"error", "hint"}` with code 2 where the
/// images cannot be looked at.
pub fn run(arguments: &CompareArgs) -> Result<ExitCode> {
    init_threads(arguments.threads)?;
    install_interrupt_handler();
    let data = data_recipe(None, Some(&arguments.of.recipe), &arguments.of.set)?;
    let layouts: Vec<RunLayout> = arguments.run.iter().map(RunLayout::new).collect();
    let now = match with_bar(false, |progress| identify(&data, arguments.data.as_deref(), &layouts, progress)) {
        Ok(now) => now,
        Err(DatasetError::Interrupted) => return Err(Interrupted.into()),
        Err(error) => {
            println!("{}", json!({"error": error.to_string(), "hint": error.hint()}));
            return Ok(ExitCode::from(2));
        }
    };
    let mut runs: Vec<Value> = Vec::new();
    for layout in &layouts {
        let matches = now.matches(layout);
        if arguments.record && split_identity(layout).is_some() {
            let are_own = matches == ImageMatch::Same;
            let recorded = if are_own { now.record(layout) } else { now.record_others(layout) };
            // Only a note for the next comparison: a read-only disk is no reason to fail.
            if let Err(error) = recorded {
                eprintln!("note: the hashes of the images could not be saved: {error}");
            }
        }
        let images = if matches.reason().is_some() { "other" } else { "same" };
        runs.push(json!({"run": layout.run(), "images": images, "why": matches.reason()}));
    }
    println!("{}", json!({"identity": now.identity(), "note": now.note(), "runs": runs}));
    Ok(ExitCode::SUCCESS)
}
