//! Which files of a folder a report made itself, and may replace: those that its manifest lists, and those that a start which was
//! killed was about to write. Anything else that has their names is somebody's.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, anyhow};
use longtail_artifact::{Manifest, StageRun, WithHint, write_atomic};
use longtail_report::File;

/// In the stage's folder of checkpoints, which goes as the manifest comes.
const BEGUN: &str = "checkpoints/files.json";

/// Refuses `out` where a file that no report made would be replaced. One with the very bytes is none.
///
/// # Errors
/// The file is named.
pub fn refuse_others_files(out: &Path, files: &[File]) -> Result<()> {
    let own = own(out);
    let is_others = |file: &&File| {
        let path = out.join(&file.name);
        let is_there = path.symlink_metadata().is_ok();
        is_there && !own.contains(&file.name) && std::fs::read(&path).ok().as_deref() != Some(file.text.as_bytes())
    };
    match files.iter().find(is_others) {
        None => Ok(()),
        Some(file) => {
            let (there, name) = (out.display(), &file.name);
            Err(anyhow!("--out {there}: this command would replace `{name}`, which it did not write"))
                .hint("give --out a separate folder, or move that file away")
        }
    }
}

/// Notes what is about to be written, before the first of it is.
///
/// # Errors
/// The folder cannot be written.
pub fn note(stage: &StageRun, files: &[File]) -> Result<()> {
    let mut names = own(stage.folder());
    names.extend(files.iter().map(|file| file.name.clone()));
    let path = stage.folder().join(BEGUN);
    std::fs::create_dir_all(stage.checkpoint_dir())?;
    Ok(write_atomic(&path, &serde_json::to_vec(&names)?)?)
}

fn own(out: &Path) -> BTreeSet<String> {
    let listed = Manifest::read(out).ok().flatten().map(|manifest| manifest.outputs.into_keys().collect());
    let begun = std::fs::read(out.join(BEGUN)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let both: [Option<BTreeSet<String>>; 2] = [listed, begun];
    both.into_iter().flatten().flatten().collect()
}
