//! `status NAME`: of every stage whether it is up to date, stale (and why), missing or running. Changes nothing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use longtail_artifact::{ImageMatch, StageState, stage_specs, stage_state};
use serde_json::{Value, json};

use crate::cli::StatusArgs;
use crate::images::{self, Verdicts};
use crate::plan::{self, Filter, SeedRun};
use crate::plan_view::plain_table;
use crate::{binaries, fetch, seeds, workspace};

/// The device of this build; no part of any key.
const DEVICE: &str = "cpu";

struct Line {
    seed: String,
    stage: String,
    state: StageState,
}

pub fn run(root: &Path, arguments: &StatusArgs) -> Result<ExitCode> {
    let file = workspace::recipe_file(root, &arguments.recipe.name)?;
    let runs_dir = workspace::runs_dir(root, &arguments.recipe.runs)?;
    let mut runs = runs(&file, arguments, &runs_dir)?;
    let recipe_dir = runs_dir.join(&runs[0].recipe.recipe);
    let images = compare_images(root, &file, arguments, &runs[0], &recipe_dir)?;
    runs.iter_mut().for_each(|run| run.images = images.of(run.seed));
    let mut lines = Vec::new();
    for run in &runs {
        for job in plan::jobs(&run.recipe, &Filter::default())? {
            lines.push(Line { seed: run.seed.to_string(), stage: job.label(), state: job.state(run, DEVICE)? });
        }
    }
    let state = report_state(&runs, &recipe_dir, &lines)?;
    lines.push(Line { seed: "all".to_owned(), stage: "report".to_owned(), state });
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&as_json(&runs, &lines, &images))?);
    } else {
        print(root, &recipe_dir, &lines);
        say_of_images(&runs, &lines, &images);
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds nothing and writes nothing.
fn compare_images(
    root: &Path,
    file: &Path,
    arguments: &StatusArgs,
    run: &SeedRun,
    recipe_dir: &Path,
) -> Result<Verdicts> {
    if images::drawn(recipe_dir).is_empty() {
        return Ok(Verdicts::default());
    }
    let data = arguments.data.as_deref();
    fetch::refuse_wrong_folder(&run.recipe, data)?;
    match binaries::built("datasets") {
        Some(program) => images::compare(root, &program, (file, &arguments.recipe), data, recipe_dir, false),
        None => Ok(Verdicts::not_compared("the programs are not built yet")),
    }
}

/// What no line of the table says: a run that has finished nothing yet has no stage to be stale.
fn say_of_images(runs: &[SeedRun], lines: &[Line], images: &Verdicts) {
    if let Some(why) = &images.unknown {
        println!("the images could not be compared with those that the runs were made from: {why}");
    }
    if let Some(note) = images.note.as_ref().filter(|note| !images.is_reason(note)) {
        println!("{note}");
    }
    for run in runs {
        let Some(others) = run.images.reason() else { continue };
        let is_said = |line: &Line| words(&line.state).1.iter().any(|reason| reason == others);
        if !lines.iter().any(|line| line.seed == run.seed.to_string() && is_said(line)) {
            println!("seed {}: {others}", run.seed);
        }
    }
}

/// The seed that was asked for; else every seed in the folder, and the recipe's own.
fn runs(file: &Path, arguments: &StatusArgs, runs_dir: &Path) -> Result<Vec<SeedRun>> {
    let mut runs = seeds::read(file, &arguments.recipe, 1, runs_dir)?;
    if arguments.recipe.seed.is_none() {
        let own = runs[0].seed;
        for seed in seeds::in_folder(&runs_dir.join(&runs[0].recipe.recipe)) {
            if seed != own {
                let recipe = workspace::read_recipe(file, &arguments.recipe.set, Some(seed))?;
                runs.push(SeedRun::new(recipe, runs_dir));
            }
        }
        runs.sort_by_key(|run| run.seed);
    }
    Ok(runs)
}

/// The report reads the rows of which every stage is up to date.
fn report_state(runs: &[SeedRun], recipe_dir: &Path, lines: &[Line]) -> Result<StageState> {
    let recipe = &runs[0].recipe;
    let rows: Vec<(&str, &str)> =
        recipe.rows.iter().map(|row| (row.representation.as_str(), row.classifier.as_str())).collect();
    let dirs: Vec<PathBuf> = runs.iter().map(|run| run.dir.clone()).collect();
    let mut spec = stage_specs::report(&dirs, &rows, recipe.report_part());
    let is_up_to_date = |seed: u64, stage: &str| {
        let line = lines.iter().find(|line| line.seed == seed.to_string() && line.stage == stage);
        line.is_some_and(|line| line.state == StageState::UpToDate)
    };
    let mut counted: Vec<PathBuf> = Vec::new();
    for run in runs {
        for (variant, method) in &rows {
            let stages = [
                format!("representation/{variant}"),
                format!("features/{variant}"),
                format!("classifier/{variant}/{method}"),
            ];
            if stages.iter().all(|stage| is_up_to_date(run.seed, stage)) {
                counted.push(run.layout().classifier(variant, method));
            }
        }
    }
    spec.inputs.retain(|input| input.path.parent().is_some_and(|folder| counted.iter().any(|own| own == folder)));
    if let Some(run) = runs.iter().find(|run| run.images.reason().is_some()) {
        spec.images = run.images.clone();
    }
    Ok(stage_state(&recipe_dir.join("report"), &spec)?)
}

fn words(state: &StageState) -> (&'static str, &[String]) {
    match state {
        StageState::UpToDate => ("up to date", &[]),
        StageState::Stale { reasons } => ("stale", reasons),
        StageState::Missing => ("missing", &[]),
        StageState::Locked { .. } => ("running", &[]),
    }
}

fn print(root: &Path, recipe_dir: &Path, lines: &[Line]) {
    println!("{}", workspace::shown(root, recipe_dir));
    let mut table = plain_table(&["seed", "stage", "state", "why"]);
    for line in lines {
        let (state, reasons) = words(&line.state);
        table.add_row([line.seed.as_str(), line.stage.as_str(), state, &reasons.join("\n")]);
    }
    println!("{}", table.trim_fmt());
}

fn as_json(runs: &[SeedRun], lines: &[Line], compared: &Verdicts) -> Value {
    let stages: Vec<Value> = lines
        .iter()
        .map(|line| {
            let (state, reasons) = words(&line.state);
            json!({"seed": line.seed.parse::<u64>().ok(), "stage": line.stage, "state": state, "reasons": reasons})
        })
        .collect();
    let images: Vec<Value> = runs
        .iter()
        .map(|run| {
            let state = match &run.images {
                ImageMatch::Same => "same",
                ImageMatch::NotCompared => "not compared",
                ImageMatch::Other(_) => "other",
            };
            json!({"seed": run.seed, "images": state, "why": run.images.reason().or(compared.unknown.as_deref())})
        })
        .collect();
    json!({"recipe": runs[0].recipe.recipe, "images": images, "note": compared.note, "stages": stages})
}
