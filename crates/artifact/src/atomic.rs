//! Writing a file so that it is either there as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::ArtifactError;

/// Stands between a file's name and the writer's process id in a temporary name.
const MARK: &str = ".tmp-";

/// Writes `bytes` to a temporary file in the same folder, syncs it, and renames it over `path`. Makes missing folders.
///
/// # Errors
/// [`ArtifactError::Io`]; `path` is then as it was, and the temporary file is gone.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    make_place(path)?;
    let temporary = temporary_path(path);
    let written = write_synced(&temporary, bytes)
        .map_err(|source| ArtifactError::io("write", path, source))
        .and_then(|()| fs::rename(&temporary, path).map_err(|source| ArtifactError::io("write", path, source)));
    if written.is_err() {
        // The first error is the one to tell; what is left here is swept away when the stage begins again.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    sync_folder_of(path);
    Ok(())
}

/// Gives a file that was written under another name in the same folder, `from`, its place: syncs it, and renames it over `path`.
///
/// # Errors
/// [`ArtifactError::Io`]; `from` is then still there.
pub fn publish(from: &Path, path: &Path) -> Result<(), ArtifactError> {
    let synced = File::options().write(true).open(from).and_then(|file| file.sync_all());
    synced.and_then(|()| fs::rename(from, path)).map_err(|source| ArtifactError::io("write", path, source))?;
    sync_folder_of(path);
    Ok(())
}

/// Makes the folder of `path`, and removes what killed writers of `path` left in it.
pub(crate) fn make_place(path: &Path) -> Result<(), ArtifactError> {
    let folder = folder_of(path);
    fs::create_dir_all(folder).map_err(|source| ArtifactError::io("make the folder", folder, source))?;
    sweep_dead_siblings(path);
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// `value` as indented JSON with a newline at the end, written like [`write_atomic`].
///
/// # Errors
/// Those of [`write_atomic`].
pub fn write_json_atomic(path: &Path, value: &Value) -> Result<(), ArtifactError> {
    let text = format!("{value:#}\n");
    write_atomic(path, text.as_bytes())
}

/// Removes temporary files in `folder` that a dead writer left. Only for the holder of the folder's lock.
pub(crate) fn sweep(folder: &Path) -> Result<(), ArtifactError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(ArtifactError::io("list", folder, source)),
    };
    for entry in entries {
        let path = entry.map_err(|source| ArtifactError::io("list", folder, source))?.path();
        let is_temporary = path.file_name().is_some_and(|name| name.to_string_lossy().contains(MARK));
        if is_temporary && path.is_file() {
            fs::remove_file(&path).map_err(|source| ArtifactError::io("remove", &path, source))?;
        }
    }
    Ok(())
}

/// Removes what killed writers of this very file left beside it: for files outside a stage's lock, such as a split.
///
/// A writer is dead when Linux knows no process of its number; elsewhere nothing is removed. Tidiness only, so no error.
fn sweep_dead_siblings(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let prefix = format!("{}{MARK}", name.to_string_lossy());
    if !Path::new("/proc/self").exists() {
        return;
    }
    for sibling in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = sibling.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(&prefix).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = fs::remove_file(sibling.path());
        }
    }
}

pub(crate) fn temporary_path(path: &Path) -> PathBuf {
    // Threads of one process may write side by side.
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}{MARK}{}-{count}", std::process::id()))
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the rename itself durable, where the system can.
pub(crate) fn sync_folder_of(path: &Path) {
    if let Ok(handle) = File::open(folder_of(path)) {
        // Some file systems refuse to sync a folder; the file itself is safe already.
        let _ = handle.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("deep/er/file");
        write_atomic(&path, b"one").expect("writable");
        write_atomic(&path, b"two").expect("writable");
        assert_eq!(fs::read(&path).expect("readable"), b"two");
        assert_eq!(fs::read_dir(path.parent().expect("a folder")).expect("readable").count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_place_as_it_was() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("occupied");
        fs::create_dir(&path).expect("writable"); // a file cannot be renamed over a folder
        let error = write_atomic(&path, b"x").expect_err("a folder is there").to_string();
        assert!(error.contains("occupied"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 1, "no temporary file is left");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_an_error_with_a_hint() {
        let source = write_synced(Path::new("/dev/full"), b"x").expect_err("always full");
        let error = ArtifactError::io("write", "x.safetensors", source);
        assert!(error.hint().is_some_and(|hint| hint.contains("disk or your quota is full")), "{error:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_dead_writers_of_the_same_file_are_swept_without_a_lock() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let living = format!("a.tmp-{}-7", std::process::id());
        for name in ["a.tmp-4294967295-0", "b.tmp-4294967295-0", &living] {
            fs::write(dir.path().join(name), b"half").expect("writable");
        }
        write_atomic(&dir.path().join("a"), b"x").expect("writable");
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).expect("readable").map(|entry| entry.expect("readable").file_name()).collect();
        left.sort();
        assert_eq!(left, ["a", &living, "b.tmp-4294967295-0"]);
    }

    #[test]
    fn only_temporary_files_are_swept() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for name in ["a.safetensors.tmp-12-0", "a.safetensors"] {
            fs::write(dir.path().join(name), b"x").expect("writable");
        }
        sweep(dir.path()).expect("sweeps");
        assert!(dir.path().join("a.safetensors").exists());
        assert!(!dir.path().join("a.safetensors.tmp-12-0").exists());
    }
}
