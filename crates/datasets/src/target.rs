//! Which data set a command means: by its name, by a recipe's name, or by a recipe's file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use longtail_artifact::cli::{WithHint, overrides};
use longtail_datasets::check::default_recipe;
use longtail_recipe::{DataRecipe, Dataset, Recipe};

/// A recipe by its file, with changes.
#[derive(Args)]
pub struct RecipeFile {
    /// A recipe file
    #[arg(long, value_name = "FILE")]
    pub recipe: PathBuf,
    /// Change one field of the recipe (may be repeated)
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

/// The data set, and the recipe if one is meant.
///
/// # Errors
/// Neither of them is known, or the recipe has a mistake.
pub fn target(name: Option<&str>, recipe: Option<&Path>, set: &[String]) -> Result<(Dataset, Option<Recipe>)> {
    let from_file = |path: &Path| -> Result<(Dataset, Option<Recipe>)> {
        let recipe = longtail_recipe::read(path, &overrides(set)?)?;
        Ok((recipe.data.dataset, Some(recipe)))
    };
    if let Some(path) = recipe {
        return from_file(path);
    }
    let name = name.unwrap_or_default();
    let here = std::env::current_dir().context("cannot determine the current folder")?;
    let mut files = here.ancestors().map(|folder| folder.join("pipelines").join(format!("{name}.yaml")));
    // The recipe first: `imagenet-lt` is both, and with it the split is checked too.
    if let Some(file) = files.find(|path| path.is_file()) {
        return from_file(&file);
    }
    let dataset = match name.replace('_', "-").as_str() {
        "fashion-mnist" => Dataset::FashionMnist,
        "cifar100" | "cifar-100" => Dataset::Cifar100,
        "imagenet-lt" => Dataset::ImagenetLt,
        "inaturalist2018" | "inaturalist-2018" => Dataset::Inaturalist2018,
        "image-folder" => Dataset::ImageFolder,
        _ => {
            return Err(anyhow!("`{name}` is neither a data set nor a recipe in `pipelines/`"))
                .hint("data sets are `fashion-mnist`, `cifar100`, `imagenet-lt`, `inaturalist2018` and `image-folder`; give a recipe file with `--recipe FILE`");
        }
    };
    Ok((dataset, None))
}

/// The data part of what is meant; of a data set without a recipe, every setting at its default but for `set`.
///
/// # Errors
/// As [`target`].
pub fn data_recipe(name: Option<&str>, recipe: Option<&Path>, set: &[String]) -> Result<DataRecipe> {
    match target(name, recipe, set)? {
        (_, Some(recipe)) => Ok(recipe.data),
        (dataset, None) => Ok(default_recipe(dataset, &overrides(set)?)?),
    }
}
