//! Where people keep photo sets, and whether images are where a list says.

use std::path::{Path, PathBuf};

use crate::photo_files::Paths;

/// Images of a list that are looked for to tell a layout: a few may be missing without being mistaken for another layout.
const PROBES: usize = 9;

/// The first of `roots` × `below` (an empty name is the root itself) that `accepts`.
pub fn first(roots: &[PathBuf], below: &[&str], accepts: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    roots.iter().flat_map(|root| below.iter().map(move |name| join(root, name))).find(|folder| accepts(folder))
}

/// Whether any of a few images of the list, spread over it, lies below `root`.
pub fn holds(root: &Path, paths: &Paths) -> bool {
    holds_as(root, paths, str::to_owned)
}

/// [`holds`] for paths that are written otherwise on disk; the second argument of `written` says how.
pub fn holds_as(root: &Path, paths: &Paths, written: impl Fn(&str) -> String) -> bool {
    holds_each(root, paths, |_, path| written(path))
}

/// [`holds_as`] where the way of writing also depends on the image's position.
pub fn holds_each(root: &Path, paths: &Paths, written: impl Fn(usize, &str) -> String) -> bool {
    let last = paths.len().saturating_sub(1);
    (0..PROBES.min(paths.len()))
        .map(|probe| probe * last / (PROBES - 1).min(last).max(1))
        .any(|index| root.join(written(index.min(last), paths.get(index.min(last)))).is_file())
}

fn join(root: &Path, name: &str) -> PathBuf {
    if name.is_empty() { root.to_owned() } else { root.join(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_image_of_few_or_many_is_enough() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::write(folder.path().join("last"), []).expect("file");
        for others in [0, 1, 8, 1000] {
            let names: Vec<String> = (0..others).map(|i| i.to_string()).chain(["last".to_owned()]).collect();
            let paths: Paths = names.iter().map(String::as_str).collect();
            assert!(holds(folder.path(), &paths), "{others}");
        }
        assert!(!holds(folder.path(), &["x", "y"].into_iter().collect()));
    }
}
