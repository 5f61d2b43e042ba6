//! Where the checkout is, and which files belong to it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's root: this crate's parent.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies one folder below the root")
}

/// Every file that git tracks, relative to the root, sorted; outside a git checkout, every file but build output and runs.
pub fn tracked_files() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let mut files: Vec<PathBuf> = match listed {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => String::from_utf8(output.stdout)
            .expect("file names are UTF-8")
            .split('\0')
            .filter(|name| !name.is_empty() && root().join(name).is_file())
            .map(PathBuf::from)
            .collect(),
        _ => walk(root()),
    };
    files.sort();
    files
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "target" | "runs" | ".git") {
                files.extend(walk(&path));
            }
        } else {
            files.push(path.strip_prefix(root()).expect("the walk starts at the root").to_owned());
        }
    }
    files
}
