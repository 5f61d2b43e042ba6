//! `datasets fits`: whether a recipe's settings fit the split that it draws, for the plan of `cargo xtask`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use longtail_artifact::{RunLayout, TensorFile};
use longtail_datasets::{DatasetError, Split, read};
use longtail_recipe::{Misfit, OnBadImage, Recipe, Row, SplitSizes};
use serde_json::json;

use crate::target::{RecipeFile, target};

#[derive(Args)]
pub struct FitsArgs {
    #[command(flatten)]
    of: RecipeFile,
    /// The folder with the images; without it they are looked for as stages do
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The folder of one seed: where there are no images, its split is taken
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
}

/// Prints `{"misfits": [{"part", "name", "problem", "hint", "refused"}]}`, or `{"error"}` with code 2 where nobody can tell. Lists are
/// read, and no image.
pub fn run(arguments: &FitsArgs) -> Result<ExitCode> {
    let (_, recipe) = target(None, Some(&arguments.of.recipe), &arguments.of.set)?;
    let recipe = recipe.context("a recipe's file was named")?;
    let drawn = draw(&recipe, arguments.data.as_deref());
    match drawn.or_else(|error| arguments.run.as_deref().and_then(of_run).ok_or(error)) {
        Ok(sizes) => {
            println!("{}", json!({"misfits": misfits(&recipe, sizes)}));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            println!("{}", json!({"error": error.to_string()}));
            Ok(ExitCode::from(2))
        }
    }
}

/// Of the split in the run's folder.
fn of_run(run: &Path) -> Option<SplitSizes> {
    let split = TensorFile::open(&RunLayout::new(run).split()).ok()?;
    let size = |name: &str| split.shape(name).and_then(|shape| shape.first().copied());
    Some(SplitSizes { train: size("train")?, meta: size("meta")?, val: size("val")? })
}

/// Of the split that `recipe` draws if every image is good.
fn draw(recipe: &Recipe, dir: Option<&Path>) -> Result<SplitSizes, DatasetError> {
    let source = match &recipe.data.photo {
        Some(photo) => read::photos::read(recipe.data.dataset, dir)?.into_files(photo.image_side),
        None => read::load(recipe.data.dataset, dir)?,
    };
    let split = Split::draw(&recipe.data, &source)?;
    Ok(SplitSizes { train: split.train.len(), meta: split.meta.len(), val: split.val.len() })
}

/// What does not fit. Where bad images are left out nobody knows yet how many are left: then nothing is refused.
pub fn misfits(recipe: &Recipe, sizes: SplitSizes) -> Vec<Misfit> {
    let mut misfits = recipe.misfits(sizes);
    if recipe.data.photo.as_ref().is_some_and(|photo| photo.on_bad_image == OnBadImage::Skip) {
        for misfit in &mut misfits {
            misfit.refused &= misfit.part == "classifiers" && sizes.val == 0;
        }
    }
    misfits
}

/// [`misfits`] of what the table's rows ask for.
pub fn misfits_of_rows(recipe: &Recipe, sizes: SplitSizes) -> Vec<Misfit> {
    let mut misfits = misfits(recipe, sizes);
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
