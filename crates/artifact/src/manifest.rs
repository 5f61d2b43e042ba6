//! What a finished stage says of itself: written last, so that its presence means that the stage finished.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ArtifactError, FileHash, hash_file, write_json_atomic};

pub(crate) const NAME: &str = "manifest.json";
/// A file that is written to is read so often.
const TRIES: u32 = 5;

/// A file as it was when the stage finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Length of the file in bytes.
    pub bytes: u64,
    /// BLAKE3 of its bytes.
    pub blake3: FileHash,
    /// Its time of modification in nanoseconds since 1970. Only a hint: with the same length and time the hash is believed.
    pub mtime_ns: u64,
}

impl FileRecord {
    /// The record of a file whose hash is known.
    ///
    /// # Errors
    /// [`ArtifactError::Io`], also where there is no such file.
    pub fn of(path: &Path, blake3: FileHash) -> Result<Self, ArtifactError> {
        let metadata = fs::metadata(path).map_err(|source| ArtifactError::io("read", path, source))?;
        let modified = metadata.modified().map_err(|source| ArtifactError::io("read", path, source))?;
        let mtime_ns = modified.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
        Ok(Self { bytes: metadata.len(), blake3, mtime_ns })
    }

    /// Reads and hashes `path`. Length and time are those of the bytes that were hashed: a file that is written to meanwhile is read
    /// again.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`] or [`ArtifactError::Io`]; also a file that does not keep still.
    pub fn read(path: &Path) -> Result<Self, ArtifactError> {
        for _ in 0..TRIES {
            let before = Self::of(path, FileHash::new())?;
            let blake3 = hash_file(path)?;
            if before == Self::of(path, FileHash::new())? {
                return Ok(Self { blake3, ..before });
            }
        }
        let source = std::io::Error::other("it is being written to");
        Err(ArtifactError::io("read", path, source))
    }

    /// Whether `path` has this length and this time, so that the hash is believed.
    pub fn is_unchanged(&self, path: &Path) -> bool {
        Self::of(path, self.blake3.clone()).is_ok_and(|now| now == *self)
    }

    /// The hash that `path` has now: the recorded one when length and time are unchanged, else computed.
    pub(crate) fn current_hash(&self, path: &Path) -> Result<FileHash, ArtifactError> {
        let now = Self::of(path, self.blake3.clone())?;
        if now == *self { Ok(now.blake3) } else { hash_file(path) }
    }
}

/// `manifest.json` of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The stage's name.
    pub stage: String,
    /// Its key: see [`crate::stage_key`].
    pub key: String,
    /// The stage's code version.
    pub code_version: u32,
    /// Its part of the resolved recipe.
    pub recipe_part: Value,
    /// What it read, by name.
    pub inputs: BTreeMap<String, FileRecord>,
    /// What it wrote, by file name.
    pub outputs: BTreeMap<String, FileRecord>,
    /// The kind of device that it ran on.
    pub device: String,
    /// How the images changed while it ran, if they did: it is stale for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_changed: Option<String>,
}

impl Manifest {
    /// Reads the manifest of a stage's folder; None when the stage has not finished.
    ///
    /// # Errors
    /// It cannot be read, or is not a manifest.
    pub fn read(dir: &Path) -> Result<Option<Self>, ArtifactError> {
        let path = dir.join(NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ArtifactError::io("read", path, source)),
        };
        match serde_json::from_slice(&bytes) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) => Err(ArtifactError::Damaged { path, what: error.to_string() }),
        }
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<(), ArtifactError> {
        let value = serde_json::to_value(self).expect("a manifest has only string keys and finite numbers");
        write_json_atomic(&dir.join(NAME), &value)
    }
}
