//! The arguments that every stage binary is started with.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cli::{DataPackArgs, DataSynthesizeArgs, ExecuteArgs, RecipeArgs};
use crate::plan::{Job, SeedRun};
use crate::workspace;

/// `STAGE --recipe FILE --run DIR --variant NAME [--method NAME] …`.
///
/// Paths inside the checkout are given relative to it (children run there), so that messages stay short. `keep_census`: a stage
/// before this one has taken it anew, for the whole run.
pub fn stage(
    root: &Path,
    run: &SeedRun,
    job: &Job,
    execute: &ExecuteArgs,
    device: &str,
    keep_census: bool,
) -> Result<Vec<OsString>> {
    let mut words = Words::default();
    words.pair("--recipe", relative(root, &run.layout().recipe()));
    words.pair("--run", relative(root, &run.dir));
    words.pair("--variant", &job.variant);
    if let Some(method) = &job.method {
        words.pair("--method", method);
    }
    words.pair("--device", device);
    if let Some(threads) = execute.threads {
        words.pair("--threads", threads.to_string());
    }
    if let Some(data) = &execute.data {
        words.pair("--data", workspace::absolute(data)?);
    }
    words.flag("--force", execute.force);
    words.flag("--keep-census", keep_census && execute.force);
    words.flag("--accept-stale", execute.accept_stale);
    words.flag("--accept-device-change", execute.accept_device_change);
    Ok(words.0)
}

/// `datasets check --recipe FILE [--data DIR] [--images] [--accept-stale] [--json]`.
pub fn data_check(
    recipe: &Path,
    data: Option<&Path>,
    set: &[String],
    images: bool,
    accept_stale: bool,
    json: bool,
) -> Result<Vec<OsString>> {
    let mut words = Words(vec!["check".into()]);
    words.pair("--recipe", recipe);
    if let Some(data) = data {
        words.pair("--data", workspace::absolute(data)?);
    }
    for change in set {
        words.pair("--set", change);
    }
    words.flag("--images", images);
    words.flag("--accept-stale", accept_stale);
    words.flag("--json", json);
    Ok(words.0)
}

/// `datasets fits --recipe FILE [--set PATH=VALUE…] --run DIR [--data DIR]`.
pub fn data_fits(file: &Path, recipe: &RecipeArgs, run: &Path, data: Option<&Path>) -> Result<Vec<OsString>> {
    let mut words = Words(vec!["fits".into()]);
    words.pair("--recipe", file);
    for change in &recipe.set {
        words.pair("--set", change);
    }
    words.pair("--run", run);
    if let Some(data) = data {
        words.pair("--data", workspace::absolute(data)?);
    }
    Ok(words.0)
}

/// `datasets compare --recipe FILE [--set PATH=VALUE…] [--data DIR] --run DIR… [--record]`, of seeds below `recipe_dir`.
pub fn data_compare(
    file: &Path,
    recipe: &RecipeArgs,
    data: Option<&Path>,
    recipe_dir: &Path,
    seeds: &[u64],
    record: bool,
) -> Result<Vec<OsString>> {
    let mut words = Words(vec!["compare".into()]);
    words.pair("--recipe", file);
    for change in &recipe.set {
        words.pair("--set", change);
    }
    if let Some(data) = data {
        words.pair("--data", workspace::absolute(data)?);
    }
    for seed in seeds {
        words.pair("--run", recipe_dir.join(format!("seed-{seed}")));
    }
    words.flag("--record", record);
    Ok(words.0)
}

/// `datasets synthesize LAYOUT --out DIR …`; its own defaults stand for what was not asked for.
pub fn data_synthesize(arguments: &DataSynthesizeArgs) -> Result<Vec<OsString>> {
    let mut words = Words(vec!["synthesize".into(), arguments.layout.name().into()]);
    words.pair("--out", workspace::absolute(&arguments.out)?);
    for (name, value) in [
        ("--classes", arguments.classes),
        ("--train-images", arguments.train_images),
        ("--val-per-class", arguments.val_per_class),
        ("--test-per-class", arguments.test_per_class),
        ("--seed", arguments.seed),
        ("--side", arguments.side),
    ] {
        if let Some(value) = value {
            words.pair(name, value.to_string());
        }
    }
    words.flag("--json", arguments.json);
    Ok(words.0)
}

/// `datasets pack --recipe FILE …`; its own defaults stand for what was not asked for.
pub fn data_pack(recipe: &Path, arguments: &DataPackArgs) -> Result<Vec<OsString>> {
    let mut words = Words(vec!["pack".into()]);
    words.pair("--recipe", recipe);
    for (name, path) in [("--data", &arguments.data), ("--out", &arguments.out)] {
        if let Some(path) = path {
            words.pair(name, workspace::absolute(path)?);
        }
    }
    let numbers = [("--short", arguments.short), ("--quality", arguments.quality), ("--threads", arguments.threads)];
    for (name, value) in numbers {
        if let Some(value) = value {
            words.pair(name, value.to_string());
        }
    }
    for change in &arguments.set {
        words.pair("--set", change);
    }
    words.flag("--json", arguments.json);
    Ok(words.0)
}

/// `report --recipe FILE --run DIR… --also DIR… --out DIR`: what was asked for, and `others`, which count if they fit.
pub fn report(root: &Path, asked: &[SeedRun], others: &[PathBuf], out: &Path, execute: &ExecuteArgs) -> Vec<OsString> {
    let mut words = Words::default();
    words.pair("--recipe", relative(root, &asked[0].layout().recipe()));
    for run in asked {
        words.pair("--run", relative(root, &run.dir));
    }
    for dir in others {
        words.pair("--also", relative(root, dir));
    }
    words.pair("--out", relative(root, out));
    words.flag("--force", execute.force);
    words.flag("--accept-stale", execute.accept_stale);
    for run in asked {
        // Else what is of other images has just been made again.
        if let Some(why) = run.images.reason().filter(|_| execute.accept_stale) {
            words.pair("--other-images", format!("{}:{why}", run.seed));
        }
    }
    words.0
}

fn relative(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

#[derive(Default)]
struct Words(Vec<OsString>);

impl Words {
    fn pair(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.push(name.into());
        self.0.push(value.into());
    }

    fn flag(&mut self, name: &str, on: bool) {
        if on {
            self.0.push(name.into());
        }
    }
}
