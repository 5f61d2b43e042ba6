//! What a stage is made from, and the key that follows.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::hash::hash_bytes;
use crate::{ArtifactError, ImageMatch, canonical_json, hash_file};

/// A file that a stage reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageInput {
    /// How messages and manifests call it; no path of a machine.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
}

/// Everything that a stage's output is a function of. Made by [`crate::stage_specs`] alone.
#[derive(Debug, Clone, PartialEq)]
pub struct StageSpec {
    /// The stage's name.
    pub stage: &'static str,
    /// From [`crate::code_versions`].
    pub code_version: u32,
    /// The stage's part of the resolved recipe.
    pub recipe_part: Value,
    /// The files it reads.
    pub inputs: Vec<StageInput>,
    /// The kind of device; in the manifest, not in the key.
    pub device: String,
    /// Whether the images are still those of the run's split; not in the key, which has the split.
    pub images: ImageMatch,
}

/// The stage's key: BLAKE3 of stage, code version, canonical recipe part and the hashes of all inputs.
///
/// # Errors
/// [`ArtifactError::MissingInput`], or an input that cannot be read.
pub fn stage_key(spec: &StageSpec) -> Result<String, ArtifactError> {
    let mut hashes = Vec::with_capacity(spec.inputs.len());
    for input in &spec.inputs {
        let hash = hash_file(&input.path).map_err(|error| missing_input(spec.stage, error))?;
        hashes.push((input.name.clone(), hash));
    }
    Ok(key_of(spec, &hashes))
}

pub(crate) fn missing_input(stage: &'static str, error: ArtifactError) -> ArtifactError {
    match error {
        ArtifactError::Missing { path } => ArtifactError::MissingInput { stage, path },
        other => other,
    }
}

/// The key for inputs whose hashes are known.
pub(crate) fn key_of(spec: &StageSpec, hashes: &[(String, String)]) -> String {
    let identity = json!({
        "stage": spec.stage,
        "code_version": spec.code_version,
        "recipe_part": spec.recipe_part,
        "inputs": hashes,
    });
    hash_bytes(canonical_json(&identity).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_moves_with_each_part_and_not_with_the_device() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("input");
        std::fs::write(&path, b"one").expect("writable");
        let spec = StageSpec {
            stage: "features",
            code_version: 1,
            recipe_part: json!({"a": 1}),
            inputs: vec![StageInput { name: "input".into(), path: path.clone() }],
            device: "cpu".into(),
            images: ImageMatch::Same,
        };
        let key = stage_key(&spec).expect("readable");
        assert_eq!(key, stage_key(&StageSpec { device: "cuda".into(), ..spec.clone() }).expect("readable"));
        assert_ne!(key, stage_key(&StageSpec { code_version: 2, ..spec.clone() }).expect("readable"));
        assert_ne!(key, stage_key(&StageSpec { recipe_part: json!({"a": 2}), ..spec.clone() }).expect("readable"));
        std::fs::write(&path, b"two").expect("writable");
        assert_ne!(key, stage_key(&spec).expect("readable"));
        std::fs::remove_file(&path).expect("removable");
        assert!(matches!(stage_key(&spec), Err(ArtifactError::MissingInput { .. })));
    }
}
