//! Runs of the tiny recipe in a temporary folder.

use std::path::{Path, PathBuf};

use longtail_artifact::RunLayout;
use longtail_recipe::Recipe;
use tempfile::TempDir;

use crate::root;

/// The file of the tiny recipe.
pub fn tiny_recipe() -> PathBuf {
    root().join("tests").join("recipes").join("tiny.yaml")
}

/// A run folder of the tiny recipe, gone when dropped.
pub struct TinyRun {
    _temporary: TempDir,
    /// The resolved recipe.
    pub recipe: Recipe,
    /// The seed's folder.
    pub dir: PathBuf,
    /// The folder of images for `--data`, if there is one.
    pub data: Option<PathBuf>,
}

impl TinyRun {
    /// A new folder with `recipe.yaml` in it and nothing else; `overrides` as in `--set`.
    pub fn new(overrides: &[(&str, &str)]) -> Self {
        Self::of(&tiny_recipe(), None, overrides)
    }

    /// The same of another recipe, with its images.
    pub fn of(file: &Path, data: Option<&Path>, overrides: &[(&str, &str)]) -> Self {
        let overrides: Vec<(String, String)> =
            overrides.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
        let recipe = longtail_recipe::read(file, &overrides).expect("the recipe resolves");
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let dir = temporary.path().join("seed-0");
        std::fs::create_dir(&dir).expect("a writable folder");
        std::fs::write(RunLayout::new(&dir).recipe(), recipe.to_yaml()).expect("a writable folder");
        Self { _temporary: temporary, recipe, dir, data: data.map(Path::to_owned) }
    }

    /// A copy of this run, finished stages and all, in a new folder. Times of files are kept: stages look at them.
    pub fn copy(&self) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let dir = temporary.path().join("seed-0");
        copy_folder(&self.dir, &dir);
        Self { _temporary: temporary, recipe: self.recipe.clone(), dir, data: self.data.clone() }
    }

    /// The paths inside the run.
    pub fn layout(&self) -> RunLayout {
        RunLayout::new(&self.dir)
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a writable folder");
    for entry in std::fs::read_dir(from).expect("a readable folder") {
        let entry = entry.expect("a readable entry");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target);
        } else {
            std::fs::copy(&source, &target).expect("a copy");
            let modified = entry.metadata().and_then(|metadata| metadata.modified()).expect("a file has a time");
            let file = std::fs::File::options().write(true).open(&target).expect("the copy");
            file.set_modified(modified).expect("a settable time");
        }
    }
}
