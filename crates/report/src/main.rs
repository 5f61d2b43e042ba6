//! The `report` binary: the table to the terminal, the report to its folder, exit code 1 when a row lies outside the
//! range that its recipe expects.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::Parser;
use longtail_artifact::{
    Begin, BeginOptions, FileHash, Manifest, RunLayout, StageRun, StageSpec, WithHint, hash_file, run_main,
    stage_specs, write_atomic,
};
use longtail_recipe::Recipe;
use longtail_report::{SeedRun, Summary, collect, render, report_json, seed_runs, summarize, terminal_table};

/// The table of a recipe's finished runs, beside the paper's numbers: report.md, report.html, report.json, figures/*.svg.
#[derive(Parser)]
#[command(
    name = "report",
    version,
    after_help = "Exit codes: 0 done or nothing to do, 1 a row lies outside the range that the recipe expects, 2 could \
                  not run.\n\nExample:\n  report --recipe pipelines/fashion-mnist-lt.yaml --runs runs/fashion-mnist-lt"
)]
struct Arguments {
    /// The recipe whose rows are shown.
    #[arg(long, value_name = "FILE")]
    recipe: PathBuf,
    /// The folder that holds seed-0, seed-1, …
    #[arg(long, value_name = "DIR", required_unless_present = "run")]
    runs: Option<PathBuf>,
    /// The folder of one run, seed-N; may be repeated.
    #[arg(long, value_name = "DIR")]
    run: Vec<PathBuf>,
    /// Only these seeds of --runs, as in 0,1,2.
    #[arg(long, value_delimiter = ',', requires = "runs")]
    seeds: Vec<u64>,
    /// Where to write; default: `report` beside the runs.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Change a field of the recipe, as in data.imbalance_factor=50; may be repeated.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Print report.json instead of the table.
    #[arg(long)]
    json: bool,
    /// Write again what is up to date.
    #[arg(long)]
    force: bool,
    /// Take runs although their settings have changed since.
    #[arg(long)]
    accept_stale: bool,
}

fn main() -> ExitCode {
    run_main(|| run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let overrides = arguments.set.iter().map(|set| split_set(set)).collect::<Result<Vec<_>>>()?;
    let recipe = longtail_recipe::read(&arguments.recipe, &overrides)?;
    let runs = seed_runs(&arguments.run, arguments.runs.as_deref(), &arguments.seeds)
        .with_context(|| format!("cannot report on `{}`", recipe.recipe))?;
    if !arguments.accept_stale {
        refuse_other_settings(&recipe, &runs).with_context(|| format!("cannot report on `{}`", recipe.recipe))?;
    }
    let predictions = collect(&recipe, &runs)
        .with_context(|| format!("cannot report on `{}`", recipe.recipe))
        .hint("run the classifier stage of that row again, or take its folder away to have the row shown as not run")?;
    let summary = summarize(&recipe, &predictions);
    let out = match (&arguments.out, &arguments.runs, runs.first()) {
        (Some(out), _, _) => out.clone(),
        (None, Some(folder), _) => folder.join("report"),
        (None, None, Some(run)) => run.dir.parent().unwrap_or(Path::new(".")).join("report"),
        (None, None, None) => PathBuf::from("report"),
    };
    write(&recipe, &runs, &summary, &out, arguments)
        .with_context(|| format!("cannot write the report into `{}`", out.display()))?;
    if arguments.json {
        println!("{}", report_json(&summary));
    } else {
        print!("{}", terminal_table(&summary));
    }
    Ok(if summary.any_outside() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn write(recipe: &Recipe, runs: &[SeedRun], summary: &Summary, out: &Path, arguments: &Arguments) -> Result<()> {
    let options = BeginOptions {
        force: arguments.force,
        accept_stale: arguments.accept_stale,
        accept_device_change: true, // nothing here runs on a device
    };
    let stage = match StageRun::begin(out, &spec(recipe, runs), options)? {
        Begin::UpToDate => return Ok(()),
        Begin::Run(stage) => stage,
    };
    let files = render(summary)?;
    clear_figures(out, &files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>())?;
    let mut outputs: Vec<(String, FileHash)> = Vec::with_capacity(files.len());
    for file in files {
        let path = out.join(&file.name);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        write_atomic(&path, file.text.as_bytes())?;
        outputs.push((file.name, hash_file(&path)?));
    }
    let outputs: Vec<(&str, FileHash)> = outputs.iter().map(|(name, hash)| (name.as_str(), hash.clone())).collect();
    Ok(stage.finish(&outputs)?)
}

/// The predictions that are there: a row that was not run is shown as such, and is no input.
fn spec(recipe: &Recipe, runs: &[SeedRun]) -> StageSpec {
    let dirs: Vec<PathBuf> = runs.iter().map(|run| run.dir.clone()).collect();
    let rows: Vec<(&str, &str)> =
        recipe.rows.iter().map(|row| (row.representation.as_str(), row.classifier.as_str())).collect();
    let mut spec = stage_specs::report(&dirs, &rows, recipe.report_part());
    spec.inputs.retain(|input| input.path.is_file() && input.path.with_file_name("manifest.json").is_file());
    spec
}

/// Takes away figures of rows that are no longer shown: those that the last report made, and no other's.
fn clear_figures(out: &Path, kept: &[&str]) -> Result<()> {
    let Ok(Some(manifest)) = Manifest::read(out) else {
        return Ok(()); // there is no report yet
    };
    for name in manifest.outputs.keys().filter(|name| name.ends_with(".svg") && !kept.contains(&name.as_str())) {
        let path = out.join(name);
        if path.is_file() {
            fs_err::remove_file(&path)?;
        }
    }
    Ok(())
}

/// A row may stand in its folder with settings that the recipe no longer has.
///
/// # Errors
/// The first such row, by name.
fn refuse_other_settings(recipe: &Recipe, runs: &[SeedRun]) -> Result<()> {
    for run in runs {
        let mut of_seed = recipe.clone();
        of_seed.seed = run.seed;
        let layout = RunLayout::new(&run.dir);
        for row in &recipe.rows {
            let (representation, classifier) = (&row.representation, &row.classifier);
            let stages = [
                (layout.representation(representation), of_seed.representation_part(representation), "representation"),
                (layout.features(representation), of_seed.features_part(representation), "features"),
                (
                    layout.classifier(representation, classifier),
                    of_seed.classifier_part(representation, classifier),
                    "classifier",
                ),
            ];
            for (folder, part, stage) in stages {
                let (Ok(Some(manifest)), Ok(part)) = (Manifest::read(&folder), part) else {
                    continue;
                };
                if manifest.recipe_part != part {
                    return Err(anyhow!(
                        "seed {}, {representation}+{classifier}: stage `{stage}` was run with other settings than this \
                         recipe's",
                        run.seed
                    ))
                    .hint("`cargo xtask status` names the fields; run the stage again, or pass --accept-stale");
                }
            }
        }
    }
    Ok(())
}

fn split_set(set: &str) -> Result<(String, String)> {
    let (path, value) = set
        .split_once('=')
        .with_context(|| format!("--set {set}: there is no `=`"))
        .hint("write --set path=value, as in --set data.imbalance_factor=50")?;
    Ok((path.to_owned(), value.to_owned()))
}
