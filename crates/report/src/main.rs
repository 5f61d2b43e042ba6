//! The `report` binary: the table to the terminal, the report to its folder, exit code 1 when a row lies outside the
//! range that its recipe expects.

#[macro_use]
extern crate longtail_artifact; // `println!` that a reader who left does not end

mod own;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::Parser;
use longtail_artifact::{
    Begin, BeginOptions, FileHash, Manifest, RunLayout, StageRun, StageSpec, WithHint, hash_file, is_same_file,
    run_main, stage_specs, write_atomic,
};
use longtail_recipe::Recipe;
use longtail_report::{
    Collected, File, RowSummary, SeedRun, Summary, collect, exceptions, render, report_json, seed_runs, summarize,
    terminal_table,
};

/// Writes the results of a recipe's finished runs, next to the paper's numbers: report.md, report.html, report.json, figures/*.svg.
#[derive(Parser)]
#[command(
    name = "report",
    version,
    after_help = "Exit codes: 0 done or nothing to do, 1 a row is outside the recipe's expected range, 2 could \
                  not run.\n\nExample:\n  report --recipe pipelines/fashion-mnist-lt.yaml --runs runs/fashion-mnist-lt"
)]
struct Arguments {
    /// Recipe whose rows are shown.
    #[arg(long, value_name = "FILE")]
    recipe: PathBuf,
    /// Folder with seed-0, seed-1, …
    #[arg(long, value_name = "DIR", required_unless_present = "run")]
    runs: Option<PathBuf>,
    /// Folder of one run, seed-N; may be repeated.
    #[arg(long, value_name = "DIR")]
    run: Vec<PathBuf>,
    /// Folder of another run; it counts if it has this recipe's settings, else it is left out and named.
    #[arg(long, value_name = "DIR")]
    also: Vec<PathBuf>,
    /// What speaks against the images of a run of --run, in words: it is left out, or counted and named with --accept-stale.
    #[arg(long, value_name = "SEED:WHY", value_parser = of_seed, hide = true)]
    other_images: Vec<(u64, String)>,
    /// Only these seeds of --runs, such as 0,1,2.
    #[arg(long, value_delimiter = ',', requires = "runs")]
    seeds: Vec<u64>,
    /// Output folder [default: `report` beside the runs].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Change one field of the recipe, such as data.imbalance_factor=50; may be repeated.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Print report.json instead of the table.
    #[arg(long)]
    json: bool,
    /// Write the report again even if it is up to date.
    #[arg(long)]
    force: bool,
    /// Include runs whose settings have changed since; the report names them.
    #[arg(long)]
    accept_stale: bool,
}

fn main() -> ExitCode {
    run_main(|| run(&longtail_artifact::cli::parse::<Arguments>()))
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let overrides = arguments.set.iter().map(|set| split_set(set)).collect::<Result<Vec<_>>>()?;
    let recipe = longtail_recipe::read(&arguments.recipe, &overrides)?;
    let mut runs = seed_runs(&arguments.run, &arguments.also, arguments.runs.as_deref(), &arguments.seeds)
        .with_context(|| format!("cannot report on `{}`", recipe.recipe))?;
    for run in runs.iter_mut().filter(|run| !run.optional) {
        run.other_images =
            arguments.other_images.iter().find(|(seed, _)| *seed == run.seed).map(|(_, why)| why.clone());
    }
    let collected = collect(&recipe, &runs, arguments.accept_stale)
        .with_context(|| format!("cannot report on `{}`", recipe.recipe))
        .hint("run the classifier stage of that row again, or delete its folder to show the row as not run")?;
    let summary = summarize(&recipe, &collected);
    for line in exceptions(&summary) {
        eprintln!("{line}");
    }
    refuse_nothing_but_others(&summary).with_context(|| format!("cannot report on `{}`", recipe.recipe))?;
    let out = match (&arguments.out, &arguments.runs, runs.first()) {
        (Some(out), _, _) => out.clone(),
        (None, Some(folder), _) => folder.join("report"),
        (None, None, Some(run)) => run.dir.parent().unwrap_or(Path::new(".")).join("report"),
        (None, None, None) => PathBuf::from("report"),
    };
    refuse_folder(&recipe, &arguments.recipe, &out)?;
    let files = render(&summary)?;
    own::refuse_others_files(&out, &files)?;
    write(&recipe, &collected, &runs, files, &out, arguments)
        .with_context(|| format!("cannot write the report into `{}`", out.display()))?;
    if arguments.json {
        println!("{}", report_json(&summary));
    } else {
        print!("{}", terminal_table(&summary));
    }
    Ok(if summary.any_outside() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// `SEED:WHY`.
fn of_seed(text: &str) -> Result<(u64, String), String> {
    let (seed, why) = text.split_once(':').ok_or("expected SEED:WHY")?;
    Ok((seed.parse().map_err(|_| format!("`{seed}` is no seed"))?, why.to_owned()))
}

/// A report replaces its own files (see [`own`]) and no others: not the recipe that it reads, nothing in a run, no other recipe's
/// report.
fn refuse_folder(recipe: &Recipe, recipe_file: &Path, out: &Path) -> Result<()> {
    let (there, hint) = (out.display(), "give --out a separate folder");
    let pages = ["report.md", "report.html", "report.json"];
    if let Some(page) = pages.into_iter().find(|page| is_same_file(&out.join(page), recipe_file)) {
        return Err(anyhow!("--out {there}: `{page}` in it is the recipe that this command reads")).hint(hint);
    }
    if RunLayout::new(out).recipe().exists() || RunLayout::new(out).split().exists() {
        return Err(anyhow!("--out {there} is the folder of a run")).hint(hint);
    }
    let other = Manifest::read(out).ok().flatten().and_then(|manifest| {
        let of = manifest.recipe_part["recipe"].as_str()?.to_owned();
        (of != recipe.recipe).then_some(of)
    });
    match other {
        Some(other) => {
            Err(anyhow!("--out {there} holds the report of `{other}`, but this is `{}`", recipe.recipe)).hint(hint)
        }
        None => Ok(()),
    }
}

/// The words change with more than the predictions and the recipe, of which the key is made (a seed that is left out, a device):
/// what would come out otherwise than it lies there is written again.
fn write(
    recipe: &Recipe,
    collected: &Collected,
    runs: &[SeedRun],
    files: Vec<File>,
    out: &Path,
    arguments: &Arguments,
) -> Result<()> {
    let is_as_before =
        |file: &File| fs_err::read(out.join(&file.name)).is_ok_and(|bytes| bytes == file.text.as_bytes());
    let options = BeginOptions {
        force: arguments.force || !files.iter().all(is_as_before),
        accept_stale: false,
        accept_device_change: true, // nothing here runs on a device
    };
    let stage = match StageRun::begin(out, &spec(recipe, collected, runs), options)? {
        Begin::UpToDate | Begin::KeptStale => return Ok(()),
        Begin::Run(stage) => stage,
    };
    own::note(&stage, &files)?;
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

/// The predictions that count: what was not run or was left out is no input.
fn spec(recipe: &Recipe, collected: &Collected, runs: &[SeedRun]) -> StageSpec {
    let dirs: Vec<PathBuf> = runs.iter().map(|run| run.dir.clone()).collect();
    let rows: Vec<(&str, &str)> =
        recipe.rows.iter().map(|row| (row.representation.as_str(), row.classifier.as_str())).collect();
    let mut spec = stage_specs::report(&dirs, &rows, recipe.report_part());
    spec.inputs.retain(|input| collected.predictions.iter().any(|prediction| prediction.path == input.path));
    spec
}

/// An empty table is no answer where there are numbers, and must not take the place of an earlier report.
fn refuse_nothing_but_others(summary: &Summary) -> Result<()> {
    if summary.left_out.is_empty() || summary.rows.iter().any(RowSummary::counts) {
        return Ok(());
    }
    Err(anyhow!("no run counts for this recipe; see the reason for each seed above"))
        .hint("run the stages again, use the settings they were run with, or pass --accept-stale")
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

fn split_set(set: &str) -> Result<(String, String)> {
    let (path, value) = set
        .split_once('=')
        .with_context(|| format!("`--set {set}` has no `=`"))
        .hint("write --set path=value, as in --set data.imbalance_factor=50")?;
    Ok((path.to_owned(), value.to_owned()))
}
