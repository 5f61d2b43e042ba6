//! One `cargo xtask` at a time per run folder: it writes `recipe.yaml`, which its later stages read again.
//!
//! An OS advisory lock, not a file's existence: that would stay behind after SIGKILL. Every stage holds a lock of its own
//! besides, against binaries started by hand.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use longtail_artifact::cli::WithHint;

use crate::workspace;

/// Locks of run folders; dropping them (or dying) frees the folders.
#[must_use]
pub struct RunLocks {
    #[allow(dead_code, reason = "held, never read")]
    held: Vec<File>,
    unwritable: Option<anyhow::Error>,
}

impl RunLocks {
    /// Asks that every folder is held, since a stage has to run.
    ///
    /// # Errors
    /// A folder cannot be written, as on a read-only disk.
    pub fn for_work(&mut self) -> Result<()> {
        self.unwritable.take().map_or(Ok(()), Err)
    }
}

/// Takes the lock of every run folder, all or none; a folder that cannot be written needs none until a stage has to run
/// ([`RunLocks::for_work`]).
///
/// # Errors
/// Another process holds one.
pub fn take<'a>(root: &Path, run_dirs: impl Iterator<Item = &'a Path>) -> Result<RunLocks> {
    let (mut held, mut unwritable) = (Vec::new(), None);
    for dir in run_dirs {
        let path = dir.join("xtask.lock");
        let file = match open(dir, &path).with_context(|| format!("cannot open {}", path.display())) {
            Ok(file) => file,
            Err(error) => {
                unwritable.get_or_insert(error);
                continue;
            }
        };
        match file.try_lock() {
            Ok(()) => held.push(file),
            Err(TryLockError::WouldBlock) => {
                return Err(anyhow!("another `cargo xtask` is using {}", workspace::shown(root, dir)))
                    .hint("wait for it, or stop it; nothing was changed");
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
    Ok(RunLocks { held, unwritable })
}

fn open(dir: &Path, path: &Path) -> std::io::Result<File> {
    std::fs::create_dir_all(dir)?;
    File::options().create(true).truncate(false).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once_and_free_again_afterwards() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let take = || take(dir.path(), std::iter::once(dir.path()));
        let mut first = take().expect("free");
        assert!(first.for_work().is_ok());
        assert!(take().is_err());
        drop(first);
        assert!(take().is_ok());
        // As on a read-only disk, and for root too.
        std::fs::remove_file(dir.path().join("xtask.lock")).expect("there");
        std::fs::create_dir(dir.path().join("xtask.lock")).expect("writable");
        assert!(take().expect("nothing is held").for_work().is_err());
    }
}
