//! The runs that a report covers.

use std::path::{Path, PathBuf};

use longtail_artifact::RunLayout;

use crate::error::ReportError;

/// One seed's folder, `runs/NAME/seed-N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedRun {
    /// Number N of the folder `seed-N`.
    pub seed: u64,
    /// Path of the folder.
    pub dir: PathBuf,
    /// It counts if it fits to the recipe and to the other runs, and is left out if not.
    pub optional: bool,
    /// How the images that it was made from differ from those that there are now, in words; who looked at both says so.
    pub other_images: Option<String>,
}

impl SeedRun {
    /// The run in `dir`, whose name says its seed.
    ///
    /// # Errors
    /// [`ReportError::NotARun`] when it does not.
    pub fn new(dir: &Path) -> Result<Self, ReportError> {
        let name = dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("seed-"));
        let seed = name.and_then(|seed| seed.parse().ok());
        let seed = seed.ok_or_else(|| ReportError::NotARun { path: dir.to_path_buf() })?;
        Ok(SeedRun { seed, dir: dir.to_path_buf(), optional: false, other_images: None })
    }

    /// The paths inside it.
    pub fn layout(&self) -> RunLayout {
        RunLayout::new(&self.dir)
    }
}

/// The runs to report, by seed: `given` folders, or those in `folder`, all or only `seeds`; and `optional` ones.
///
/// # Errors
/// A folder that is no run, a seed twice, a seed that is not there, a folder that cannot be listed.
pub fn seed_runs(
    given: &[PathBuf],
    optional: &[PathBuf],
    folder: Option<&Path>,
    seeds: &[u64],
) -> Result<Vec<SeedRun>, ReportError> {
    let mut runs = Vec::new();
    for dir in given {
        runs.push(SeedRun::new(dir)?);
    }
    for dir in optional {
        runs.push(SeedRun { optional: true, ..SeedRun::new(dir)? });
    }
    if let Some(folder) = folder {
        runs.extend(in_folder(folder, seeds)?);
    }
    runs.sort_by_key(|run| run.seed);
    if let Some(twice) = runs.windows(2).find(|pair| pair[0].seed == pair[1].seed) {
        let paths = [twice[0].dir.clone(), twice[1].dir.clone()];
        return Err(ReportError::SeedTwice { seed: twice[1].seed, paths });
    }
    Ok(runs)
}

fn in_folder(folder: &Path, seeds: &[u64]) -> Result<Vec<SeedRun>, ReportError> {
    let listing = |source| ReportError::Folder { path: folder.to_path_buf(), source };
    let mut runs = Vec::new();
    for entry in fs_err::read_dir(folder).map_err(listing)? {
        let path = entry.map_err(listing)?.path();
        // `report` and whatever else a person keeps there are not runs.
        if let Ok(run) = SeedRun::new(&path)
            && path.is_dir()
        {
            runs.push(run);
        }
    }
    if seeds.is_empty() {
        return Ok(runs);
    }
    runs.sort_by_key(|run| run.seed);
    let mut chosen = Vec::new();
    for seed in seeds {
        let found = runs.iter().find(|run| run.seed == *seed);
        chosen.push(found.cloned().ok_or_else(|| ReportError::NoSuchSeed {
            seed: *seed,
            folder: folder.to_path_buf(),
            seeds: runs.iter().map(|run| run.seed).collect(),
        })?);
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_by_name_and_sorted_by_seed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["seed-10", "seed-9", "report", "seed-x"] {
            fs_err::create_dir(folder.path().join(name)).expect("writable");
        }
        let seeds = |runs: Vec<SeedRun>| runs.iter().map(|run| run.seed).collect::<Vec<_>>();
        assert_eq!(seeds(seed_runs(&[], &[], Some(folder.path()), &[]).expect("listed")), [9, 10]);
        assert_eq!(seeds(seed_runs(&[], &[], Some(folder.path()), &[10]).expect("listed")), [10]);
        let missing = seed_runs(&[], &[], Some(folder.path()), &[3]).expect_err("no seed 3").to_string();
        assert!(missing.ends_with("it holds 9, 10"), "{missing}");
        let twice = seed_runs(&[folder.path().join("seed-9")], &[], Some(folder.path()), &[]);
        let said = twice.expect_err("one seed twice").to_string();
        assert!(said.starts_with("seed 9 was given twice: `") && !said.contains("another folder"), "{said}");
        assert!(matches!(seed_runs(&[folder.path().join("report")], &[], None, &[]), Err(ReportError::NotARun { .. })));
    }
}
