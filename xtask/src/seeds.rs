//! The seeds of a recipe: those that were asked for, and those that lie in its folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cli::RecipeArgs;
use crate::plan::SeedRun;
use crate::workspace;

/// Reads the recipe once a seed, counting up from the first.
pub fn read(file: &Path, arguments: &RecipeArgs, count: u32, runs_dir: &Path) -> Result<Vec<SeedRun>> {
    let first = workspace::read_recipe(file, &arguments.set, arguments.seed)?;
    let start = first.seed;
    let mut runs = vec![SeedRun::new(first, runs_dir)];
    for step in 1..u64::from(count) {
        let seed = start
            .checked_add(step)
            .with_context(|| format!("seed {start} + {step} is above {}, the largest seed", u64::MAX))?;
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

/// The folders of all other seeds of the recipe, ascending: the report says which of them count.
pub fn others(asked: &[SeedRun], recipe_dir: &Path) -> Vec<PathBuf> {
    let seeds = in_folder(recipe_dir).into_iter().filter(|seed| asked.iter().all(|run| run.seed != *seed));
    seeds.map(|seed| recipe_dir.join(format!("seed-{seed}"))).collect()
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
