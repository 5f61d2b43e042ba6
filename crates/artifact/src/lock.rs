//! One writer per stage folder.
//!
//! An OS advisory lock, not a file's existence: that would stay behind after SIGKILL.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::Duration;

use crate::ArtifactError;

const NAME: &str = ".lock";
/// `status` holds the lock, shared, for the blink of an eye; a writer outwaits that.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// Holds a folder until dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

/// Takes the lock of `folder`, which is made if need be.
pub(crate) fn take(folder: &Path) -> Result<FolderLock, ArtifactError> {
    fs::create_dir_all(folder).map_err(|source| ArtifactError::io("make the folder", folder, source))?;
    let path = folder.join(NAME);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| ArtifactError::io("open", &path, source))?;
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(FolderLock { _file: file }),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(source)) => return Err(ArtifactError::io("lock", &path, source)),
        }
    }
    Err(ArtifactError::Locked { path: folder.to_owned() })
}

/// Whether a writer holds `folder`. Never blocks, and changes nothing.
pub(crate) fn is_taken(folder: &Path) -> bool {
    let Ok(file) = File::open(folder.join(NAME)) else {
        return false;
    };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_writer_and_is_free_after_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert!(!is_taken(dir.path()));
        let lock = take(dir.path()).expect("free");
        assert!(is_taken(dir.path()));
        assert!(matches!(take(dir.path()), Err(ArtifactError::Locked { .. })));
        drop(lock);
        assert!(!is_taken(dir.path()));
        assert!(take(dir.path()).is_ok());
    }
}
