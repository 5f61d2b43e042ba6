//! `datasets fits`: whether a recipe's settings fit the split that it draws, and whether it can be drawn, for the plan of `cargo xtask`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use longtail_artifact::{Interrupted, RunLayout, TensorFile, install_interrupt_handler};
use longtail_datasets::{DataSource, DatasetError, LeftOut, Split, absent, read};
use longtail_recipe::{Misfit, OnBadImage, Recipe, Row, SplitSizes};
use serde_json::{Value, json};

use crate::target::{RecipeFile, target};

#[derive(Args)]
pub struct FitsArgs {
    #[command(flatten)]
    of: RecipeFile,
    /// Folder of the images [default: search like the stages]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder of one seed, whose split is used if there are no images
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
}

/// Prints `{"misfits": [{"part", "name", "problem", "hint", "refused"}], "data": null or {"problem", "hint"}, "left_out_unknown"}`, or
/// `{"error"}` with code 2 where nobody can tell. `data` is why these images are refused, in the words of the stage that reads them.
/// Lists and a pack's table are read, files looked for, and no image is decoded.
pub fn run(arguments: &FitsArgs) -> Result<ExitCode> {
    install_interrupt_handler();
    let (_, recipe) = target(None, Some(&arguments.of.recipe), &arguments.of.set)?;
    let recipe = recipe.context("a recipe's file was named")?;
    let of_split = || arguments.run.as_deref().and_then(of_run);
    let answer = match draw(&recipe, arguments.data.as_deref(), arguments.run.as_deref()) {
        Ok(Drawn { sizes, are_all, unreadable }) => json!({
            "misfits": misfits(&recipe, sizes, are_all), "data": unreadable.as_ref().map(refusal), "left_out_unknown": !are_all,
        }),
        Err(DatasetError::Interrupted) => return Err(Interrupted.into()),
        // Of images that are gone, the run's split says how many there were.
        Err(error @ DatasetError::NotFound { .. }) => match of_split() {
            Some(sizes) => json!({"misfits": misfits(&recipe, sizes, true), "data": null, "left_out_unknown": false}),
            None => {
                println!("{}", json!({"error": error.to_string()}));
                return Ok(ExitCode::from(2));
            }
        },
        Err(error) => {
            let found = of_split().map_or_else(Vec::new, |sizes| misfits(&recipe, sizes, true));
            json!({"misfits": found, "data": refusal(&error), "left_out_unknown": false})
        }
    };
    println!("{answer}");
    Ok(ExitCode::SUCCESS)
}

fn refusal(error: &DatasetError) -> Value {
    json!({"problem": error.to_string(), "hint": error.hint()})
}

/// Of the split in the run's folder.
fn of_run(run: &Path) -> Option<SplitSizes> {
    let split = TensorFile::open(&RunLayout::new(run).split()).ok()?;
    let size = |name: &str| split.shape(name).and_then(|shape| shape.first().copied());
    Some(SplitSizes { train: size("train")?, meta: size("meta")?, val: size("val")? })
}

/// What a recipe draws.
struct Drawn {
    sizes: SplitSizes,
    /// Whether no more images can be left out than are.
    are_all: bool,
    /// The first image that cannot be read, where the recipe leaves none out.
    unreadable: Option<DatasetError>,
}

/// The split that `recipe` draws from the images that can be read, as far as that is known without decoding.
fn draw(recipe: &Recipe, dir: Option<&Path>, run: Option<&Path>) -> Result<Drawn, DatasetError> {
    let data = &recipe.data;
    let source = match &data.photo {
        Some(photo) => read::photos::read(data.dataset, dir)?.into_data(photo)?,
        None => read::load(data.dataset, dir)?,
    };
    let layout = run.map(RunLayout::new);
    let LeftOut { skipped, are_all } = LeftOut::known(data, &source, dir, layout.as_ref())?;
    let split = Split::draw_without(data, &source, skipped)?;
    let sizes = SplitSizes { train: split.train.len(), meta: split.meta.len(), val: split.val.len() };
    let skips = data.photo.as_ref().is_some_and(|photo| photo.on_bad_image == OnBadImage::Skip);
    let unreadable = if skips { None } else { first_absent(&source)? };
    Ok(Drawn { sizes, are_all, unreadable })
}

/// The error of the first image that is not there to be read; none where none is, as lists may come before their images.
fn first_absent(source: &DataSource) -> Result<Option<DatasetError>, DatasetError> {
    let (mut first, mut there) = (None, 0);
    for set in [&source.train, &source.test] {
        let Some(files) = set.images.photos() else { continue };
        let lost = absent(set)?;
        there += files.len() - lost.len();
        first = first.or_else(|| lost.first().map(|(index, why)| files.bad(*index as usize, &why.of_one())));
    }
    Ok(first.filter(|_| there > 0))
}

/// What does not fit. Unless `are_all`, more images may be left out once all are decoded: then only what holds of fewer images too
/// is refused.
pub fn misfits(recipe: &Recipe, sizes: SplitSizes, are_all: bool) -> Vec<Misfit> {
    let mut misfits = recipe.misfits(sizes);
    misfits.iter_mut().for_each(|misfit| misfit.refused &= are_all || misfit.of_fewer_too);
    misfits
}

/// [`misfits`] of what the table's rows ask for.
pub fn misfits_of_rows(recipe: &Recipe, sizes: SplitSizes, are_all: bool) -> Vec<Misfit> {
    let mut misfits = misfits(recipe, sizes, are_all);
    misfits.retain(|Misfit { part, name, .. }| {
        let of = |row: &Row| if *part == "classifiers" { row.classifier == *name } else { row.representation == *name };
        recipe.rows.iter().any(of)
    });
    misfits
}

/// One line for a person.
pub fn words(misfit: &Misfit) -> String {
    let Misfit { part, name, problem, hint, .. } = misfit;
    format!("{part}.{name}: {problem}: {hint}")
}
