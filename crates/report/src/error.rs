//! What keeps a report from being made.

use std::path::PathBuf;

use longtail_artifact::ArtifactError;
use longtail_recipe::RecipeError;
use thiserror::Error;

/// Everything that this crate refuses.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The recipe does not hold.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A hand-off file does not hold.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A folder that should hold runs cannot be listed.
    #[error("cannot list the runs in `{}`", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A folder that is not called `seed-N`.
    #[error("`{}` is not the folder of a run: those are called seed-0, seed-1, …", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// A seed that was asked for has no folder.
    #[error("there is no run of seed {seed} in `{}`{}", folder.display(), found(seeds))]
    NoSuchSeed {
        /// The seed.
        seed: u64,
        /// Where it was looked for.
        folder: PathBuf,
        /// The seeds that are there.
        seeds: Vec<u64>,
    },
    /// One seed twice.
    #[error("seed {seed} was given twice: `{}` and `{}`", paths[0].display(), paths[1].display())]
    SeedTwice {
        /// The seed.
        seed: u64,
        /// Both folders.
        paths: [PathBuf; 2],
    },
    /// Predictions that contradict themselves.
    #[error("`{}`: {what}", path.display())]
    Predictions {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// Predictions of two rows or seeds that were not made from one data set.
    #[error("`{}` counts other {images} images per class than `{}`: class {class} has {found}, not {expected}",
        path.display(), first.display())]
    OtherData {
        /// The file.
        path: PathBuf,
        /// The file it is compared with.
        first: PathBuf,
        /// `training` or `test`.
        images: &'static str,
        /// The first class that differs.
        class: usize,
        /// Its count in `first`.
        expected: u32,
        /// Its count here.
        found: u32,
    },
    /// A figure could not be drawn.
    #[error("cannot draw the figure `{name}`: {what}")]
    Figure {
        /// Its file name.
        name: String,
        /// plotters' words.
        what: String,
    },
    /// The page could not be filled in.
    #[error("cannot write the page report.html")]
    Page(#[from] askama::Error),
}

impl ReportError {
    /// What is wrong, for the report itself: artifacts hold no path.
    pub(crate) fn without_path(&self) -> String {
        match self {
            ReportError::Predictions { what, .. } => what.clone(),
            ReportError::OtherData { images, class, expected, found, .. } => {
                format!("it counts other {images} images per class: class {class} has {found}, not {expected}")
            }
            _ => "a file of it cannot be read".to_owned(),
        }
    }
}

fn found(seeds: &[u64]) -> String {
    if seeds.is_empty() {
        return ": it holds none".to_owned();
    }
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    format!(": it holds {}", seeds.join(", "))
}
