//! The seeds of a recipe: those that were asked for, and those that lie finished in its folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use longtail_artifact::{StageState, split_identity};

use crate::cli::RecipeArgs;
use crate::images::Verdicts;
use crate::plan::{self, Filter, SeedRun};
use crate::workspace;

/// Reads the recipe once a seed, counting up from the first.
pub fn read(file: &Path, arguments: &RecipeArgs, count: u32, runs_dir: &Path) -> Result<Vec<SeedRun>> {
    let first = workspace::read_recipe(file, &arguments.set, arguments.seed)?;
    let start = first.seed;
    let mut runs = vec![SeedRun::new(first, runs_dir)];
    for step in 1..u64::from(count) {
        let seed = start.checked_add(step).with_context(|| format!("seed {start} + {step} is larger than a u64"))?;
        runs.push(SeedRun::new(workspace::read_recipe(file, &arguments.set, Some(seed))?, runs_dir));
    }
    Ok(runs)
}

/// The numbers N of all `seed-N` folders, ascending.
pub fn in_folder(recipe_dir: &Path) -> Vec<u64> {
    let Ok(entries) = fs_err::read_dir(recipe_dir) else {
        return Vec::new();
    };
    let mut numbers: Vec<u64> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("seed-")?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// The run folders that the report covers: those of this command, and every other seed of the same recipe whose stages are
/// all up to date; of those, all that were made from the images of the first. A seed that is left out is named.
pub fn finished(
    root: &Path,
    asked: &[SeedRun],
    recipe_dir: &Path,
    device: &str,
    images: &Verdicts,
) -> Result<Vec<PathBuf>> {
    let mut covered: Vec<(u64, PathBuf)> = Vec::new();
    let first = &asked[0];
    let of_first = split_identity(&first.layout());
    let left_out =
        |run: &SeedRun, why: &str| eprintln!("left out of the table: {} ({why})", workspace::shown(root, &run.dir));
    for run in asked {
        match split_identity(&run.layout()) == of_first {
            true => covered.push((run.seed, run.dir.clone())),
            false => left_out(run, &other_images(first)),
        }
    }
    for seed in in_folder(recipe_dir) {
        if asked.iter().any(|run| run.seed == seed) {
            continue;
        }
        let overrides = [("seed".to_owned(), seed.to_string())];
        let recipe = longtail_recipe::read_str(&first.recipe.to_yaml(), &first.recipe.recipe, &overrides)?;
        let dir = recipe_dir.join(format!("seed-{seed}"));
        let run = SeedRun { seed, recipe, dir, images: images.of(seed) };
        match unfinished(&run, device)? {
            None if split_identity(&run.layout()) != of_first => left_out(&run, &other_images(first)),
            None => covered.push((seed, run.dir)),
            Some(why) => left_out(&run, &why),
        }
    }
    covered.sort();
    Ok(covered.into_iter().map(|(_, dir)| dir).collect())
}

fn other_images(first: &SeedRun) -> String {
    format!("it was made from other images than seed {}", first.seed)
}

/// Why a run cannot stand in the table, if so. All stages count: a head that fits features is stale if those are.
fn unfinished(run: &SeedRun, device: &str) -> Result<Option<String>> {
    for job in plan::jobs(&run.recipe, &Filter::default())? {
        match job.state(run, device)? {
            StageState::UpToDate => {}
            StageState::Stale { reasons } => {
                return Ok(Some(format!("{} is stale: {}", job.label(), reasons.join("; "))));
            }
            StageState::Missing => return Ok(Some(format!("{} is not there", job.label()))),
            StageState::Locked { .. } => return Ok(Some(format!("{} is being made", job.label()))),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::in_folder;

    #[test]
    fn seed_folders_come_in_the_order_of_their_numbers() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for name in ["seed-10", "seed-2", "report", "seed-x"] {
            std::fs::create_dir(dir.path().join(name)).expect("writable");
        }
        assert_eq!(in_folder(dir.path()), [2, 10]);
        assert!(in_folder(&dir.path().join("none")).is_empty());
    }
}
