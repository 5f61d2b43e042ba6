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

/// Hex digits of the file's hash in its name.
const HASH_DIGITS: usize = 16;

/// A checkpoint's file, as its name describes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    step: u64,
    hash: String,
    path: PathBuf,
}

/// Writes a checkpoint, then removes all but the two newest.
///
/// It is one file, `step-N-HASH.safetensors`: safetensors checks sizes, not content, and a hash in the name comes into being
/// with the file, in one rename.
pub(crate) fn save(folder: &Path, key: &str, device: &str, checkpoint: &Checkpoint) -> Result<(), ArtifactError> {
    let metadata = json!({
        "key": key,
        "device": device,
        "step": checkpoint.step,
        "state": checkpoint.state,
        "metrics_offset": checkpoint.metrics_offset,
    });
    let bytes = encode(folder, &checkpoint.tensors, &metadata)?;
    let hash = hash_bytes(&bytes);
    let path = folder.join(format!("step-{:010}-{}.safetensors", checkpoint.step, &hash[..HASH_DIGITS]));
    write_atomic(&path, &bytes)?;
    let mut entries = entries(folder)?;
    // Of two with one step the one just written counts.
    entries.retain(|entry| entry.path == path || entry.step != checkpoint.step || remove(&entry.path).is_err());
    for old in entries.into_iter().rev().skip(KEPT) {
        remove(&old.path)?;
    }
    Ok(())
}

/// The newest sound checkpoint of `key`, and a warning for each one that was set aside.
///
/// Checkpoints of another key are removed, with a warning: they belong to other settings and can never be gone on from here.
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
    for entry in entries(folder)?.into_iter().rev() {
        let path = entry.path.clone();
        match read(&entry) {
            Ok((found_key, _, _)) if found_key != key => {
                remove(&path)?;
                let step = entry.step;
                warnings.push(format!(
                    "the checkpoint of step {step} was written with other settings or inputs: it is discarded and its \
                     steps are lost (to keep both, use another folder: --run DIR, or --runs DIR of `cargo xtask`)"
                ));
            }
            Ok((_, found, _)) if kind(&found) != kind(device) && !accept_device_change => {
                return Err(ArtifactError::DeviceChange { path, found, wanted: device.to_owned() });
            }
            Ok((_, _, checkpoint)) => return Ok((Some(checkpoint), warnings)),
            Err(error) => {
                let aside = path.with_extension("safetensors.bad");
                fs::rename(&path, &aside).map_err(|source| ArtifactError::io("set aside", &path, source))?;
                warnings.push(format!("a damaged checkpoint was set aside as `{}`: {error}", aside.display()));
            }
        }
    }
    Ok((None, warnings))
}

/// The step of the newest checkpoint in `folder`, and whether it is of `key`; by its header alone. `None` where there is none, or none that
/// can be read.
pub(crate) fn newest_of(folder: &Path, key: &str) -> Option<(u64, bool)> {
    let newest = entries(folder).ok()?.pop()?;
    let file = TensorFile::open(&newest.path).ok()?;
    Some((newest.step, file.metadata().get("key").and_then(Value::as_str) == Some(key)))
}

/// `cuda` of `cuda:1`: which card it was changes no bit.
fn kind(device: &str) -> &str {
    device.split(':').next().unwrap_or(device)
}

fn read(entry: &Entry) -> Result<(String, String, Checkpoint), ArtifactError> {
    let damaged = |what: &str| ArtifactError::Damaged { path: entry.path.clone(), what: what.to_owned() };
    let file = TensorFile::open(&entry.path)?;
    if !file.hash().starts_with(&entry.hash) {
        return Err(damaged("its content does not match the hash in its name"));
    }
    let metadata = file.metadata();
    let text = |name: &str| metadata.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| metadata.get(name).and_then(Value::as_u64);
    let (Some(key), Some(device), Some(step), Some(metrics_offset)) =
        (text("key"), text("device"), number("step"), number("metrics_offset"))
    else {
        return Err(damaged("its metadata is not that of a checkpoint"));
    };
    if step != entry.step {
        return Err(damaged("it is not from the step in its name"));
    }
    let state = metadata.get("state").cloned().unwrap_or(Value::Null);
    Ok((key, device, Checkpoint { step, tensors: file.tensors()?, state, metrics_offset }))
}

/// All checkpoints in the folder by their names, the oldest first.
fn entries(folder: &Path) -> Result<Vec<Entry>, ArtifactError> {
    let listed = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ArtifactError::io("list", folder, source)),
    };
    let mut found = Vec::new();
    for entry in listed {
        let path = entry.map_err(|source| ArtifactError::io("list", folder, source))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let middle = name.strip_prefix("step-").and_then(|rest| rest.strip_suffix(".safetensors"));
        let Some((digits, hash)) = middle.and_then(|middle| middle.split_once('-')) else { continue };
        if let (Ok(step), HASH_DIGITS) = (digits.parse(), hash.len()) {
            found.push(Entry { step, hash: hash.to_owned(), path });
        }
    }
    found.sort();
    Ok(found)
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

    fn steps(folder: &Path) -> Vec<u64> {
        entries(folder).expect("listable").iter().map(|entry| entry.step).collect()
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
        assert_eq!(steps(dir.path()), [11, 20]);
        assert_eq!(newest(dir.path()).0, Some(checkpoint(20)));
        let again = Checkpoint { metrics_offset: 9, ..checkpoint(20) };
        save(dir.path(), "key", "cpu", &again).expect("writable");
        assert_eq!(steps(dir.path()), [11, 20], "one file a step");
        assert_eq!(newest(dir.path()).0, Some(again));
        assert_eq!(fs::read_dir(dir.path()).expect("listable").count(), KEPT, "and nothing beside them");
    }

    #[test]
    fn a_damaged_one_is_set_aside_and_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for step in [1, 2] {
            save(dir.path(), "key", "cpu", &checkpoint(step)).expect("writable");
        }
        let path = entries(dir.path()).expect("listable")[1].path.clone();
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
        save(dir.path(), "key", "cuda:1", &checkpoint(1)).expect("writable");
        assert_eq!(latest(dir.path(), "key", "cuda:0", false).expect("the same kind").0, Some(checkpoint(1)));
        assert!(matches!(latest(dir.path(), "key", "cpu", false), Err(ArtifactError::DeviceChange { .. })));
        assert_eq!(latest(dir.path(), "key", "cpu", true).expect("accepted").0, Some(checkpoint(1)));
        assert_eq!((newest_of(dir.path(), "key"), newest_of(dir.path(), "other")), (Some((1, true)), Some((1, false))));
        let (found, warnings) = latest(dir.path(), "other", "cpu", false).expect("readable");
        assert!(
            found.is_none()
                && warnings[0].contains("step 1 was written with other settings")
                && warnings[0].contains("--run DIR"),
            "{warnings:?}"
        );
        assert_eq!(newest_of(dir.path(), "key"), None);
        assert_eq!(steps(dir.path()), [] as [u64; 0]);
    }
}
