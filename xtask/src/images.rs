//! Whether the images are still those that runs were made from: asked of the `datasets` binary, which alone can look at them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use longtail_artifact::cli::WithHint;
use longtail_artifact::{ImageMatch, RunLayout};
use serde_json::Value;

use crate::cli::RecipeArgs;
use crate::plan::SeedRun;
use crate::{child, seeds, stage_command};

/// What came of the question, by seed.
#[derive(Debug, Default)]
pub struct Verdicts {
    by_seed: BTreeMap<u64, ImageMatch>,
    /// Why nothing could be compared, if so.
    pub unknown: Option<String>,
    /// What a person should know of the pack that is read, where there is something.
    pub note: Option<String>,
}

impl Verdicts {
    /// Of a seed that has nothing to compare yet: the same.
    pub fn of(&self, seed: u64) -> ImageMatch {
        match (&self.unknown, self.by_seed.get(&seed)) {
            (Some(_), _) => ImageMatch::NotCompared,
            (None, Some(verdict)) => verdict.clone(),
            (None, None) => ImageMatch::Same,
        }
    }

    /// Tells each run.
    pub fn put(&self, runs: &mut [SeedRun]) {
        for run in runs {
            run.images = self.of(run.seed);
        }
    }

    /// Whether these words are why a seed's stages are stale.
    pub fn is_reason(&self, words: &str) -> bool {
        self.by_seed.values().any(|verdict| verdict.reason() == Some(words))
    }

    /// For images that nobody looked at.
    pub fn not_compared(why: impl Into<String>) -> Self {
        Self { unknown: Some(why.into()), ..Self::default() }
    }
}

/// The seeds below `runs/NAME` whose images are known: those with a split.
pub fn drawn(recipe_dir: &Path) -> Vec<u64> {
    let has_split = |seed: &u64| RunLayout::new(recipe_dir.join(format!("seed-{seed}"))).split().is_file();
    seeds::in_folder(recipe_dir).into_iter().filter(has_split).collect()
}

/// Asks `datasets compare` about every seed below `recipe_dir` that has a split.
///
/// Without `data` it is no error that there are no images: those of a finished table may be gone.
///
/// # Errors
/// The images in `data` cannot be read; an interrupt.
pub fn compare(
    root: &Path,
    program: &Path,
    (file, arguments): (&Path, &RecipeArgs),
    data: Option<&Path>,
    recipe_dir: &Path,
    record: bool,
) -> Result<Verdicts> {
    let seeds = drawn(recipe_dir);
    if seeds.is_empty() {
        return Ok(Verdicts::default());
    }
    let words: Vec<OsString> = stage_command::data_compare(file, arguments, data, recipe_dir, &seeds, record)?;
    let (code, output) = child::capture(root, program, &words)?;
    let answer: Value = serde_json::from_slice(&output).unwrap_or_default();
    if let Some(error) = answer["error"].as_str() {
        if data.is_none() {
            return Ok(Verdicts::not_compared(error));
        }
        let hint = answer["hint"].as_str().unwrap_or("`cargo xtask data check` shows which images exist");
        return Err(anyhow!("{error}"))
            .hint(hint)
            .context("the images cannot be compared with those that the runs were made from; nothing was done");
    }
    let runs = answer["runs"].as_array().filter(|runs| code == 0 && runs.len() == seeds.len());
    let runs = runs.with_context(|| format!("`datasets compare` ended with code {code} and no answer"))?;
    let verdict = |run: &Value| match run["why"].as_str() {
        Some(why) => ImageMatch::Other(why.to_owned()),
        None => ImageMatch::Same,
    };
    let note = answer["note"].as_str().map(str::to_owned);
    Ok(Verdicts { by_seed: seeds.into_iter().zip(runs.iter().map(verdict)).collect(), unknown: None, note })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_without_a_split_has_nothing_to_differ_from() {
        let other = ImageMatch::Other("1 of 2 files differ".to_owned());
        let asked = Verdicts { by_seed: BTreeMap::from([(3, other.clone())]), ..Verdicts::default() };
        assert_eq!((asked.of(3), asked.of(4)), (other, ImageMatch::Same));
        assert_eq!(Verdicts::not_compared("gone").of(3), ImageMatch::NotCompared);
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (seed, file) in [("seed-1", "split.safetensors"), ("seed-2", "recipe.yaml")] {
            std::fs::create_dir(folder.path().join(seed)).expect("writable");
            std::fs::write(folder.path().join(seed).join(file), "").expect("writable");
        }
        assert_eq!(drawn(folder.path()), [1]);
    }
}
