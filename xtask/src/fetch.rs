//! A photo set without photographs: what to fetch is said before anything is built.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use longtail_artifact::class_folders::{self, PassedOver};
use longtail_artifact::cli::WithHint;
use longtail_recipe::{Dataset, Recipe};

/// What `datasets check` says too; the files are its, and stand once.
fn screen(dataset: Dataset) -> &'static str {
    let text = match dataset {
        Dataset::ImagenetLt => include_str!("../../data/fetch/imagenet-lt.txt"),
        Dataset::Inaturalist2018 => include_str!("../../data/fetch/inaturalist2018.txt"),
        Dataset::FashionMnist | Dataset::Cifar100 | Dataset::ImageFolder => {
            include_str!("../../data/fetch/image-folder.txt")
        }
    };
    text.trim_end()
}

/// Entries of the workspace's `data/` that hold no photographs.
const OTHER_DATA: [&str; 4] = ["README.md", "fetch", "fashion-mnist", "cifar-100-binary"];

/// Refuses a photo set where nobody has said where it is and no folder `data` could hold it, or where the named folder is none.
/// Whether a named folder holds it, `datasets check` finds out. `command` reproduces the recipe, as the user would type it.
///
/// # Errors
/// With the whole screen as its hint.
pub fn refuse_without_data(root: &Path, recipe: &Recipe, command: &str, data: Option<&Path>) -> Result<()> {
    refuse_wrong_folder(recipe, data)?;
    let named = data.is_some() || std::env::var_os("LONGTAIL_DATA").is_some();
    let may_hold = |folder: &Path| {
        let entries = std::fs::read_dir(folder.join("data"));
        let mut names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.any(|name| !OTHER_DATA.contains(&name.to_string_lossy().as_ref()))
    };
    if !recipe.data.dataset.is_photo_set() || named || root.ancestors().any(may_hold) {
        return Ok(());
    }
    let name = &recipe.recipe;
    Err(anyhow!(
        "`{name}` needs photographs, but neither --data nor LONGTAIL_DATA gives their folder; nothing was built"
    ))
    .hint(&format!(
        "{}\nTo see the stages, time and disk before you fetch anything: {command} --dry-run",
        screen(recipe.data.dataset)
    ))
}

/// What a folder of photographs holds that is not read; `None` of other data sets, where no folder is there yet, and where nothing
/// was passed over. What is wrong with the folder `datasets check` says before any stage starts.
pub fn passed_over(root: &Path, dataset: Dataset, data: Option<&Path>) -> Option<PassedOver> {
    if dataset != Dataset::ImageFolder {
        return None;
    }
    let named = data.map(Path::to_owned).or_else(|| std::env::var_os("LONGTAIL_DATA").map(PathBuf::from));
    let places =
        named.map_or_else(|| root.ancestors().map(|folder| folder.join("data")).collect(), |folder| vec![folder]);
    let folder = places.into_iter().find(|folder| folder.join("train").is_dir())?;
    class_folders::passed_over(&folder).ok().filter(|passed_over| !passed_over.is_empty())
}

/// Refuses a folder of photographs that is named and not there.
///
/// # Errors
/// As [`refuse_without_data`].
pub fn refuse_wrong_folder(recipe: &Recipe, data: Option<&Path>) -> Result<()> {
    match data.filter(|folder| recipe.data.dataset.is_photo_set() && !folder.is_dir()) {
        None => Ok(()),
        Some(folder) => Err(anyhow!("--data: there is no folder `{}`; nothing was built", folder.display()))
            .hint(screen(recipe.data.dataset)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_photo_sets_without_any_folder_are_refused_and_the_screen_fits_one() {
        let recipe = |dataset: &str| {
            let text = format!(
                "data: {{dataset: {dataset}}}\nrepresentations: {{ce: {{method: {{ce: {{}}}}}}}}\nclassifiers: {{joint: }}"
            );
            longtail_recipe::read_str(&text, "mine.yaml", &[]).expect("a sound recipe")
        };
        let root = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(root.path().join("data/fashion-mnist")).expect("writable");
        let refused = |dataset: &str| refuse_without_data(root.path(), &recipe(dataset), "again", None).is_err();
        assert!(refused("imagenet_lt") && refused("inaturalist2018") && refused("image_folder"));
        assert!(!refused("cifar100"));
        let named = refuse_without_data(root.path(), &recipe("imagenet_lt"), "again", Some(root.path()));
        assert!(named.is_ok(), "a named folder is for the reader to judge");
        let wrong = refuse_without_data(root.path(), &recipe("imagenet_lt"), "again", Some(&root.path().join("none")));
        assert!(wrong.expect_err("no folder").to_string().contains("there is no folder `"));
        std::fs::create_dir_all(root.path().join("data/imagenet-lt")).expect("writable");
        assert!(!refused("imagenet_lt"), "there is a folder that may hold it");
        for dataset in [Dataset::ImagenetLt, Dataset::Inaturalist2018, Dataset::ImageFolder] {
            assert!(screen(dataset).lines().count() <= 18 && screen(dataset).contains("data synthesize"));
            assert!(screen(dataset).lines().all(|line| line.chars().count() <= 125));
        }
    }
}
