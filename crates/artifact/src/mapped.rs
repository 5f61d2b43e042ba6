//! A file of any form, mapped: for files that are too large to be read and are read in places.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::ArtifactError;

/// An open file whose bytes are those on disk. Nothing of it is checked: that is for who knows its form.
///
/// Only for files that nobody writes to once they have their name, such as those of [`crate::publish`].
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Opens and maps a file.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`], [`ArtifactError::Io`].
    pub fn open(path: &Path) -> Result<Self, ArtifactError> {
        let file = File::open(path).map_err(|source| ArtifactError::io("read", path, source))?;
        let map = map(&file).map_err(|source| ArtifactError::io("read", path, source))?;
        Ok(Self { path: path.to_owned(), map })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }
}

#[allow(unsafe_code)]
pub(crate) fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: a map is unsound if the file changes under it. Our writers never change a finished file: they write another one
    // and rename it over the old name, which leaves this one's contents alone.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_the_files() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("x");
        std::fs::write(&path, b"abc").expect("writable");
        let mapped = MappedFile::open(&path).expect("there");
        assert_eq!((mapped.bytes(), mapped.path()), (&b"abc"[..], path.as_path()));
        std::fs::write(&path, b"").expect("writable");
        assert!(MappedFile::open(&path).expect("there").bytes().is_empty());
        assert!(matches!(MappedFile::open(&dir.path().join("none")), Err(ArtifactError::Missing { .. })));
    }
}
