//! Checkpoints of a running stage: one atomic, hashed file each, the two newest kept.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::hash::hash_bytes;
use crate::tensors::encode;
use crate::{ArtifactError, NamedTensor, TensorFile, write_atomic};

/// So many stay on disk: the newest, and one more in case the newest is damaged.
const KEPT: usize = 2;

/// A sound checkpoint of the stage's present key.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The number of steps that were done.
    pub step: u64,
    /// The state's tensors, sorted by name.
    pub tensors: Vec<NamedTensor>,
    /// The state that is no tensor.
    pub state: Value,
    /// The length of `metrics.jsonl` at that step.
    pub metrics_offset: u64,
}

fn path_of(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("step-{step:010}.safetensors"))
}

/// Writes a checkpoint, then removes all but the two newest.
///
/// Its BLAKE3 stands beside it, in `step-N.blake3`: safetensors checks sizes, not content.
pub(crate) fn save(
    folder: &Path,
    key: &str,
    device: &str,
    checkpoint: &Checkpoint,
) -> Result<(), ArtifactError> {
    let metadata = json!({
        "key": key,
        "device": device,
        "step": checkpoint.step,
        "state": checkpoint.state,
        "metrics_offset": checkpoint.metrics_offset,
    });
    let path = path_of(folder, checkpoint.step);
    let bytes = encode(&path, &checkpoint.tensors, &metadata)?;
    let hash = hash_bytes(&bytes);
    // The tensors first: a crash between the two leaves a checkpoint without its hash, which is set aside like a damaged one.
    write_atomic(&path, &bytes)?;
    write_atomic(&path.with_extension("blake3"), hash.as_bytes())?;
    for old in steps(folder)?.into_iter().rev().skip(KEPT) {
        remove(&path_of(folder, old))?;
        remove(&path_of(folder, old).with_extension("blake3"))?;
    }
    Ok(())
}

/// The newest sound checkpoint of `key`, and a warning for each one that was set aside.
///
/// Checkpoints of another key are removed: they belong to another recipe and can never be gone on from here.
///
/// # Errors
/// The folder cannot be read, or the checkpoint is another device's and `accept_device_change` is false.
pub(crate) fn latest(
    folder: &Path,
    key: &str,
    device: &str,
    accept_device_change: bool,
) -> Result<(Option<Checkpoint>, Vec<String>), ArtifactError> {
    let mut warnings = Vec::new();
    for step in steps(folder)?.into_iter().rev() {
        let path = path_of(folder, step);
        match read(&path) {
            Ok((found_key, _, _)) if found_key != key => {
                remove(&path)?;
                remove(&path.with_extension("blake3"))?;
            }
            Ok((_, found, _)) if found != device && !accept_device_change => {
                return Err(ArtifactError::DeviceChange { path, found, wanted: device.to_owned() });
            }
            Ok((_, _, checkpoint)) => return Ok((Some(checkpoint), warnings)),
            Err(error) => {
                let aside = path.with_extension("safetensors.bad");
                fs::rename(&path, &aside).map_err(|source| ArtifactError::io("set aside", &path, source))?;
                remove(&path.with_extension("blake3"))?;
                warnings.push(format!("a damaged checkpoint was set aside as `{}`: {error}", aside.display()));
            }
        }
    }
    Ok((None, warnings))
}

fn read(path: &Path) -> Result<(String, String, Checkpoint), ArtifactError> {
    let damaged = |what: &str| ArtifactError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let expected = fs::read_to_string(path.with_extension("blake3")).map_err(|_| damaged("its hash is missing"))?;
    let file = TensorFile::open(path)?;
    if file.hash() != expected.trim() {
        return Err(damaged("its content does not match its hash"));
    }
    let metadata = file.metadata();
    let text = |name: &str| metadata.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| metadata.get(name).and_then(Value::as_u64);
    let (Some(key), Some(device), Some(step), Some(metrics_offset)) =
        (text("key"), text("device"), number("step"), number("metrics_offset"))
    else {
        return Err(damaged("its metadata is not a checkpoint's"));
    };
    let state = metadata.get("state").cloned().unwrap_or(Value::Null);
    Ok((key, device, Checkpoint { step, tensors: file.tensors()?, state, metrics_offset }))
}

/// The steps of all checkpoints in the folder, ascending.
fn steps(folder: &Path) -> Result<Vec<u64>, ArtifactError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ArtifactError::io("list", folder, source)),
    };
    let mut steps = Vec::new();
    for entry in entries {
        let name = entry.map_err(|source| ArtifactError::io("list", folder, source))?.file_name();
        let name = name.to_string_lossy();
        let digits = name.strip_prefix("step-").and_then(|rest| rest.strip_suffix(".safetensors"));
        steps.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    steps.sort_unstable();
    Ok(steps)
}

fn remove(path: &Path) -> Result<(), ArtifactError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ArtifactError::io("remove", path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TensorData;

    fn checkpoint(step: u64) -> Checkpoint {
        let tensor = NamedTensor { name: "w".into(), shape: vec![2], data: TensorData::F32(vec![step as f32, 1.0]) };
        Checkpoint { step, tensors: vec![tensor], state: json!({"epoch": 1}), metrics_offset: 7 }
    }

    fn newest(folder: &Path) -> (Option<Checkpoint>, Vec<String>) {
        latest(folder, "key", "cpu", false).expect("readable")
    }

    #[test]
    fn the_two_newest_stay_and_the_newest_is_taken() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(newest(dir.path()), (None, vec![]));
        for step in [3, 11, 7, 20] {
            save(dir.path(), "key", "cpu", &checkpoint(step)).expect("writable");
        }
        assert_eq!(steps(dir.path()).expect("listable"), [11, 20]);
        assert_eq!(newest(dir.path()).0, Some(checkpoint(20)));
    }

    #[test]
    fn a_damaged_one_is_set_aside_and_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for step in [1, 2] {
            save(dir.path(), "key", "cpu", &checkpoint(step)).expect("writable");
        }
        let path = path_of(dir.path(), 2);
        let mut bytes = fs::read(&path).expect("readable");
        *bytes.last_mut().expect("not empty") ^= 1;
        fs::write(&path, bytes).expect("writable");
        let (found, warnings) = newest(dir.path());
        assert_eq!(found, Some(checkpoint(1)));
        assert!(warnings[0].contains("step-0000000002"), "{warnings:?}");
        assert!(path.with_extension("safetensors.bad").exists());
    }

    #[test]
    fn another_key_or_device_is_not_gone_on_from() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        save(dir.path(), "key", "cuda", &checkpoint(1)).expect("writable");
        assert!(matches!(latest(dir.path(), "key", "cpu", false), Err(ArtifactError::DeviceChange { .. })));
        assert_eq!(latest(dir.path(), "key", "cpu", true).expect("accepted").0, Some(checkpoint(1)));
        assert_eq!(latest(dir.path(), "other", "cpu", false).expect("readable").0, None);
        assert_eq!(steps(dir.path()).expect("listable"), [] as [u64; 0]);
    }
}
