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

/// Folders that all paths begin with and that are not on disk: without them, images lie below the root that comes along.
pub fn superfluous(roots: &[PathBuf], paths: &Paths) -> Option<(String, PathBuf)> {
    const DEEPEST: usize = 6;
    let first = paths.iter().next()?;
    let ends = first.match_indices('/').map(|(at, _)| at + 1).take(DEEPEST);
    ends.map(|end| &first[..end]).take_while(|prefix| paths.iter().all(|path| path.starts_with(prefix))).find_map(
        |prefix| {
            let found = roots.iter().find(|root| holds_as(root, paths, |path| path[prefix.len()..].to_owned()))?;
            Some((prefix.to_owned(), found.clone()))
        },
    )
}

/// The folder below a root that the paths leave out.
pub fn left_out(roots: &[PathBuf], paths: &Paths) -> Option<PathBuf> {
    first(roots, &["train", "val", "test", "train_val2018"], |folder| holds(folder, paths))
}

fn join(root: &Path, name: &str) -> PathBuf {
    if name.is_empty() { root.to_owned() } else { root.join(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_are_too_much_are_found() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir_all(folder.path().join("train/a")).expect("folder");
        std::fs::write(folder.path().join("train/a/1.jpg"), []).expect("file");
        let roots = [folder.path().to_owned()];
        let paths: Paths = ["data/imagenet/train/a/1.jpg", "data/imagenet/train/b/2.jpg"].into_iter().collect();
        let expected = Some(("data/imagenet/".to_owned(), folder.path().to_owned()));
        assert_eq!(superfluous(&roots, &paths), expected);
        let others: Paths = ["data/train/a/1.jpg", "x/train/b/2.jpg"].into_iter().collect();
        assert_eq!(superfluous(&roots, &others), None);
        let short: Paths = ["a/1.jpg"].into_iter().collect();
        assert_eq!((superfluous(&roots, &short), left_out(&roots, &short)), (None, Some(folder.path().join("train"))));
        assert_eq!(left_out(&roots, &paths), None);
    }

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
