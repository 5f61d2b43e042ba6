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
        /// Path of the folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A folder that is not called `seed-N`.
    #[error("`{}` is not the folder of a run: run folders are named seed-0, seed-1, …", path.display())]
    NotARun {
        /// Path of the folder.
        path: PathBuf,
    },
    /// A seed that was asked for has no folder.
    #[error("there is no run of seed {seed} in `{}`{}", folder.display(), found(seeds))]
    NoSuchSeed {
        /// Random seed of the run.
        seed: u64,
        /// Where it was looked for.
        folder: PathBuf,
        /// The seeds that are there.
        seeds: Vec<u64>,
    },
    /// One seed twice.
    #[error("seed {seed} was given twice: `{}` and `{}`", paths[0].display(), paths[1].display())]
    SeedTwice {
        /// Random seed of the run.
        seed: u64,
        /// The two folders with this seed.
        paths: [PathBuf; 2],
    },
    /// Predictions that contradict themselves.
    #[error("`{}`: {what}", path.display())]
    Predictions {
        /// Path of the file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// Predictions of two rows or seeds that were not made from one data set.
    #[error("`{}` has other {images} image counts than `{}`: class {class} has {found}, not {expected}",
        path.display(), first.display())]
    OtherData {
        /// Path of the file.
        path: PathBuf,
        /// The file it is compared with.
        first: PathBuf,
        /// `training` or `test`.
        images: &'static str,
        /// The first class that differs.
        class: usize,
        /// Its count in `first`.
        expected: u32,
        /// Image count of the class in this file.
        found: u32,
    },
    /// A figure could not be drawn.
    #[error("cannot draw the figure `{name}`: {what}")]
    Figure {
        /// File name of the figure.
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
                format!("it has other {images} image counts: class {class} has {found}, not {expected}")
            }
            _ => "one of its files cannot be read".to_owned(),
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
