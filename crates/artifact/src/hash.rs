//! BLAKE3 of files.

use std::io::Read;
use std::path::Path;

use crate::ArtifactError;

/// BLAKE3 of a file's bytes, 64 hex digits.
pub type FileHash = String;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 16;

/// BLAKE3 of the bytes of `path` as hex.
///
/// # Errors
/// [`ArtifactError::Missing`] or [`ArtifactError::Io`].
pub fn hash_file(path: &Path) -> Result<FileHash, ArtifactError> {
    let mut file = std::fs::File::open(path).map_err(|source| ArtifactError::io("read", path, source))?;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0u8; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).map_err(|source| ArtifactError::io("read", path, source))?;
        if read == 0 {
            return Ok(hasher.finalize().to_hex().to_string());
        }
        hasher.update(&chunk[..read]);
    }
}

/// BLAKE3 of bytes in memory.
pub(crate) fn hash_bytes(bytes: &[u8]) -> FileHash {
    blake3::hash(bytes).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_hashes_like_its_bytes() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("bytes");
        let bytes: Vec<u8> = (0..200_000u32).map(|value| value as u8).collect();
        std::fs::write(&path, &bytes).expect("writable");
        assert_eq!(hash_file(&path).expect("readable"), hash_bytes(&bytes));
        assert!(matches!(hash_file(&dir.path().join("none")), Err(ArtifactError::Missing { .. })));
    }
}
