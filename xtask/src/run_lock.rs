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
pub struct RunLocks(#[allow(dead_code, reason = "held, never read")] Vec<File>);

/// Takes the lock of every run folder, all or none. `idle`: no stage has to run; then a folder that cannot be written, as on a
/// read-only disk, needs no lock.
///
/// # Errors
/// Another process holds one, or the file cannot be made.
pub fn take<'a>(root: &Path, run_dirs: impl Iterator<Item = &'a Path>, idle: bool) -> Result<RunLocks> {
    let mut locks = Vec::new();
    for dir in run_dirs {
        let path = dir.join("xtask.lock");
        let file = match open(dir, &path) {
            Err(_) if idle => continue,
            opened => opened.with_context(|| format!("cannot open {}", path.display()))?,
        };
        match file.try_lock() {
            Ok(()) => locks.push(file),
            Err(TryLockError::WouldBlock) => {
                return Err(anyhow!("another `cargo xtask` is at work on {}", workspace::shown(root, dir)))
                    .hint("wait for it, or end it; nothing was changed");
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
    Ok(RunLocks(locks))
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
        let take = |idle| take(dir.path(), std::iter::once(dir.path()), idle);
        let first = take(false).expect("free");
        assert!(take(false).is_err() && take(true).is_err());
        drop(first);
        assert!(take(false).is_ok());
        // As on a read-only disk, and for root too.
        std::fs::remove_file(dir.path().join("xtask.lock")).expect("there");
        std::fs::create_dir(dir.path().join("xtask.lock")).expect("writable");
        assert!(take(false).is_err() && take(true).is_ok());
    }
}
