//! `images.json` of a run: what the image files were, so that they need not be hashed each time, and so that a difference has a name.

use std::collections::BTreeMap;
use std::path::Path;

use longtail_artifact::{ArtifactError, FileRecord, counted, write_atomic};
use serde::{Deserialize, Serialize};

/// Of the images with one identity, where each file lay and what it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageIndex {
    /// Theirs: what a split names.
    pub identity: String,
    /// The folder that the user named, absolute; `None` if they were found without.
    pub data: Option<String>,
    /// The folders that files are looked for in; photo sets have one for training images and one for test images.
    pub parts: Vec<IndexPart>,
}

/// The files of one folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexPart {
    /// Absolute path of the folder.
    pub folder: String,
    /// By their path below it; files that cannot be read are not among them.
    pub files: BTreeMap<String, FileRecord>,
}

impl ImageIndex {
    /// The index in `path`; `None` where there is none, or one that is damaged: all that it does is save time.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Writes it to `path`, unless that is what stands there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ArtifactError> {
        if Self::read(path).as_ref() == Some(self) {
            return Ok(());
        }
        let mut text = serde_json::to_vec(self).expect("strings and numbers are JSON");
        text.push(b'\n');
        write_atomic(path, &text)
    }

    /// The folders, in order.
    pub fn folders(&self) -> Vec<String> {
        self.parts.iter().map(|part| part.folder.clone()).collect()
    }

    /// What differs from an `earlier` index, in words: `DIR, N of M files differ, first: PATH (how)`.
    pub fn difference(&self, earlier: &Self) -> String {
        let (mut differing, mut all, mut first) = (0, 0, None);
        let none = BTreeMap::new();
        for part in 0..self.parts.len().max(earlier.parts.len()) {
            let now = self.parts.get(part).map_or(&none, |part| &part.files);
            let before = earlier.parts.get(part).map_or(&none, |part| &part.files);
            let gone = before.keys().filter(|path| !now.contains_key(*path)).map(|path| (path, "is gone"));
            let others = now.iter().filter_map(|(path, record)| match before.get(path) {
                None => Some((path, "is new")),
                Some(old) if old.blake3 != record.blake3 => Some((path, "has other contents")),
                Some(_) => None,
            });
            let mut differences: Vec<(&String, &str)> = gone.chain(others).collect();
            differences.sort_unstable();
            all += now.len() + differences.iter().filter(|(_, how)| *how == "is gone").count();
            differing += differences.len();
            if let (None, Some((path, how))) = (&first, differences.first()) {
                first = Some(format!("{path} {how}"));
            }
        }
        let folder = self.parts.first().map_or("", |part| part.folder.as_str());
        match first {
            Some(first) => {
                let differ = if all == 1 { "differs" } else { "differ" };
                format!("{folder}, {differing} of {} {differ}, first: {first}", counted(all as u64, "file"))
            }
            None if all > 0 => format!("{folder}, the same files with other labels or in another order"),
            None => folder.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(files: &[(&str, &str)]) -> ImageIndex {
        let record = |hash: &str| FileRecord { bytes: 3, blake3: hash.to_owned(), mtime_ns: 7 };
        let files = files.iter().map(|(path, hash)| ((*path).to_owned(), record(hash))).collect();
        let parts = vec![IndexPart { folder: "/photos".to_owned(), files }];
        ImageIndex { identity: "x".to_owned(), data: None, parts }
    }

    #[test]
    fn a_difference_counts_files_and_names_the_first() {
        let before = index(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let words = |now: &[(&str, &str)]| index(now).difference(&before);
        assert_eq!(
            words(&[("a", "1"), ("b", "9"), ("c", "3")]),
            "/photos, 1 of 3 files differ, first: b has other contents"
        );
        assert_eq!(words(&[("b", "2"), ("d", "1")]), "/photos, 3 of 4 files differ, first: a is gone");
        assert_eq!(
            words(&[("0", "1"), ("a", "1"), ("b", "2"), ("c", "3")]),
            "/photos, 1 of 4 files differ, first: 0 is new"
        );
        let same = words(&[("a", "1"), ("b", "2"), ("c", "3")]);
        assert_eq!(same, "/photos, the same files with other labels or in another order");
        assert_eq!(index(&[]).difference(&index(&[])), "/photos");
    }

    #[test]
    fn it_is_written_once_and_a_damaged_one_is_none() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("images.json");
        let index = index(&[("a", "1")]);
        index.write(&path).expect("writable");
        assert_eq!(ImageIndex::read(&path), Some(index.clone()));
        let time = || std::fs::metadata(&path).and_then(|file| file.modified()).expect("there");
        let written = time();
        index.write(&path).expect("nothing to do");
        assert_eq!(time(), written);
        std::fs::write(&path, "{").expect("writable");
        assert_eq!(ImageIndex::read(&path), None);
    }
}
