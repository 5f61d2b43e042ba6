//! Whether a recipe's settings fit the split that it draws: asked of the `datasets` binary, which alone draws splits.

use std::path::Path;

use anyhow::{Result, anyhow};
use longtail_artifact::cli::WithHint;
use serde_json::Value;

use crate::child;
use crate::cli::{RecipeArgs, Stage};
use crate::plan::{Intent, Job};
use crate::plan_view::Entry;
use crate::stage_command;

/// What of one stage does not fit.
struct Misfit {
    job: Job,
    problem: String,
    hint: String,
    refused: bool,
}

/// Warns of stages of the plan that the split would make refuse, and refuses them unless it is a plan alone. A plan alone also says why
/// the images would be refused (no pack, an empty class folder): else `datasets check` does that, in more words, before any stage.
///
/// What the split is cannot be told where there are no images: then nothing is said, here.
///
/// # Errors
/// A stage that is to run would refuse the split.
pub fn check(
    root: &Path,
    program: &Path,
    (file, arguments, run): (&Path, &RecipeArgs, &Path),
    data: Option<&Path>,
    entries: &[Entry],
    dry_run: bool,
) -> Result<()> {
    if !entries.iter().any(will_run) {
        return Ok(());
    }
    let (code, output) = child::capture(root, program, &stage_command::data_fits(file, arguments, run, data)?)?;
    let answer: Value = serde_json::from_slice(&output).unwrap_or_default();
    let Some(found) = answer["misfits"].as_array().filter(|_| code == 0) else { return Ok(()) };
    let misfits: Vec<Misfit> = found.iter().filter_map(|misfit| of_a_stage(misfit, entries)).collect();
    let first_reader = entries.iter().find(|entry| will_run(entry) && entry.job.stage <= Stage::Features);
    if let (Some(reader), true) = (first_reader, dry_run)
        && let Some(problem) = answer["data"]["problem"].as_str()
    {
        eprintln!("warning: {}: will be refused: {problem}", reader.job.label());
        if let Some(hint) = answer["data"]["hint"].as_str() {
            eprintln!("hint: {hint}");
        }
    }
    if first_reader.is_some_and(|reader| reader.job.stage == Stage::Representation)
        && answer["left_out_unknown"] == true
    {
        eprintln!(
            "note: `on_bad_image: skip`: the number of images left out is known only after decoding; to check before \
             then whether the settings fit the remaining images: {}",
            arguments.data_command("check", data, " --images")
        );
    }
    let refused = |misfit: &&Misfit| misfit.refused && !dry_run;
    for misfit in misfits.iter().filter(|misfit| !refused(misfit)) {
        let will = if misfit.refused { "will be refused: " } else { "" };
        eprintln!("warning: {}: {will}{}: {}", misfit.job.label(), misfit.problem, misfit.hint);
    }
    match misfits.iter().find(refused) {
        None => Ok(()),
        Some(Misfit { job, problem, hint, .. }) => {
            Err(anyhow!("{}: {problem}; no stage was started", job.label())).hint(hint)
        }
    }
}

fn will_run(entry: &Entry) -> bool {
    matches!(entry.intent, Intent::Run(_))
}

/// The first stage of the plan that runs with these settings.
fn of_a_stage(misfit: &Value, entries: &[Entry]) -> Option<Misfit> {
    let name = misfit["name"].as_str()?;
    let has_these = |entry: &&Entry| match misfit["part"].as_str() {
        Some("representations") => entry.job.stage == Stage::Representation && entry.job.variant == name,
        Some("classifiers") => entry.job.method.as_deref() == Some(name),
        _ => false,
    };
    let job = entries.iter().filter(|entry| will_run(entry)).find(has_these)?.job.clone();
    let text = |key: &str| misfit[key].as_str().unwrap_or_default().to_owned();
    Some(Misfit { job, problem: text("problem"), hint: text("hint"), refused: misfit["refused"] == true })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_stages_that_run_are_spoken_of() {
        let entry = |stage, method: Option<&str>, intent| Entry {
            seed: 0,
            job: Job { stage, variant: "ce".to_owned(), method: method.map(str::to_owned) },
            intent,
            secs: None,
            rough_secs: None,
            bytes: None,
        };
        let entries = [
            entry(Stage::Representation, None, Intent::UpToDate),
            entry(Stage::Classifier, Some("tau"), Intent::Run(vec!["not made yet".to_owned()])),
        ];
        let found = |part, name| of_a_stage(&json!({"part": part, "name": name, "refused": true}), &entries);
        assert!(found("representations", "ce").is_none(), "it is up to date");
        assert!(
            found("classifiers", "tau").is_some_and(|found| found.refused && found.job.label() == "classifier/ce/tau")
        );
        assert!(found("classifiers", "other").is_none(), "no row of the plan");
    }
}
