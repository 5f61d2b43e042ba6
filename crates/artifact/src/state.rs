//! Whether a stage is up to date, and if not, why.

use std::path::{Path, PathBuf};

use crate::difference::{as_read, differences};
use crate::stage::key_of;
use crate::{ArtifactError, Manifest, StageSpec, lock};

/// How a stage's folder stands to what the recipe asks for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageState {
    /// Finished, from this recipe and these inputs, and its files are whole.
    UpToDate,
    /// Finished, but from something else, or its files were changed since.
    Stale {
        /// Each in words, down to the recipe's field: `representation.epochs: 10 → 20`.
        reasons: Vec<String>,
    },
    /// Not finished.
    Missing,
    /// Another process is at work on it.
    Locked {
        /// Path of the folder.
        path: PathBuf,
    },
}

/// The state of the stage in `dir`. Changes nothing; files whose length and time are unchanged are not hashed again.
///
/// # Errors
/// A file that exists but cannot be read.
pub fn stage_state(dir: &Path, spec: &StageSpec) -> Result<StageState, ArtifactError> {
    if lock::is_taken(dir) {
        return Ok(StageState::Locked { path: dir.to_owned() });
    }
    finished_state(dir, spec)
}

/// [`stage_state`] for the holder of the folder's lock.
pub(crate) fn finished_state(dir: &Path, spec: &StageSpec) -> Result<StageState, ArtifactError> {
    let manifest = match Manifest::read(dir) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => return Ok(StageState::Missing),
        Err(ArtifactError::Damaged { what, .. }) => {
            return Ok(StageState::Stale { reasons: vec![format!("its manifest.json is damaged: {what}")] });
        }
        Err(error) => return Err(error),
    };
    let mut reasons: Vec<String> = spec.images.reason().map(str::to_owned).into_iter().collect();
    reasons.extend(manifest.images_changed.iter().map(|how| format!("the images changed while it ran: {how}")));
    if manifest.stage != spec.stage {
        reasons.push(format!("the folder belongs to stage `{}`", manifest.stage));
    }
    if manifest.code_version != spec.code_version {
        reasons.push(format!("code version: {} → {}", manifest.code_version, spec.code_version));
    }
    reasons.extend(differences(&manifest.recipe_part, &as_read(&spec.recipe_part)));
    let hashes = input_reasons(&manifest, spec, &mut reasons)?;
    output_reasons(dir, &manifest, &mut reasons)?;
    if reasons.is_empty() && key_of(spec, &hashes) != manifest.key {
        reasons.push("its key is another one".to_owned());
    }
    Ok(if reasons.is_empty() { StageState::UpToDate } else { StageState::Stale { reasons } })
}

/// Compares inputs with the manifest; returns their hashes now.
fn input_reasons(
    manifest: &Manifest,
    spec: &StageSpec,
    reasons: &mut Vec<String>,
) -> Result<Vec<(String, String)>, ArtifactError> {
    let mut hashes = Vec::with_capacity(spec.inputs.len());
    for input in &spec.inputs {
        let Some(record) = manifest.inputs.get(&input.name) else {
            reasons.push(format!("it did not read {}", input.name));
            continue;
        };
        match record.current_hash(&input.path) {
            Ok(hash) => {
                if hash != record.blake3 {
                    reasons.push(format!("{} changed: {} → {}", input.name, short(&record.blake3), short(&hash)));
                }
                hashes.push((input.name.clone(), hash));
            }
            Err(ArtifactError::Missing { .. }) => reasons.push(format!("{} is gone", input.name)),
            Err(error) => return Err(error),
        }
    }
    for name in manifest.inputs.keys() {
        if !spec.inputs.iter().any(|input| input.name == *name) {
            reasons.push(format!("it read {name}, which it would not read now"));
        }
    }
    Ok(hashes)
}

fn output_reasons(dir: &Path, manifest: &Manifest, reasons: &mut Vec<String>) -> Result<(), ArtifactError> {
    for (name, record) in &manifest.outputs {
        match record.current_hash(&dir.join(name)) {
            Ok(hash) if hash == record.blake3 => {}
            Ok(_) => reasons.push(format!("its output {name} was changed after it finished")),
            Err(ArtifactError::Missing { .. }) => reasons.push(format!("its output {name} is gone")),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn short(hash: &str) -> String {
    format!("{}…", hash.get(..8).unwrap_or(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_that_moves_when_it_is_read_moves_on_both_sides() {
        for step in 1..20_000u32 {
            let fresh = serde_json::json!({ "x": f64::from(step).sqrt() * 1e-7 });
            let manifest: serde_json::Value = serde_json::from_str(&fresh.to_string()).expect("JSON");
            assert!(differences(&manifest, &as_read(&fresh)).is_empty(), "{fresh}");
        }
    }
}
