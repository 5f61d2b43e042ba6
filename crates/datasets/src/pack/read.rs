//! Reading a pack: mapped, its sizes checked when it is opened, each image when it is taken.

use std::path::Path;
use std::sync::Arc;

use longtail_artifact::{ArtifactError, MappedFile};

use super::format::{
    END, ENTRY_BYTES, Entry, FOOT_BYTES, Kind, NO_PACK, ORIGIN_BYTES, Origin, PackKey, Version, array,
};
use super::problem;
use crate::error::DatasetError;

/// A finished pack.
///
/// Opening it reads the key and the entries (6 MB for ImageNet-LT) and checks that they are whole and lie side by side within
/// the file. An image's own hash is compared each time the image is taken, which costs about one hundredth of decoding it: so
/// a bad disk is found where it matters, and opening does not read gigabytes.
#[derive(Debug)]
pub struct Pack {
    file: MappedFile,
    sound: Sound,
}

/// What opening a pack has found sound.
#[derive(Debug)]
struct Sound {
    key: PackKey,
    version: Version,
    entries_at: usize,
    identity: String,
}

/// One image of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packed<'a> {
    /// Its encoded bytes.
    Image(&'a [u8]),
    /// It could not be packed, and why.
    Bad(&'a str),
}

impl Pack {
    /// Opens and checks a pack.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`] inside of [`DatasetError::Artifact`]; a file that is no pack or is damaged.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        let file = MappedFile::open(path)?;
        let sound = check(file.bytes()).map_err(|what| damaged(path, &what))?;
        Ok(Self { file, sound })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What it was made from, and how.
    pub fn key(&self) -> &PackKey {
        &self.sound.key
    }

    /// BLAKE3 over key and entries, which hold a hash of every image: the identity of all images.
    pub fn identity(&self) -> &str {
        &self.sound.identity
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.sound.key.images
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.file.bytes().len() as u64
    }

    /// Entry `index`.
    ///
    /// # Panics
    /// If there are not so many images.
    pub fn entry(&self, index: usize) -> Entry {
        assert!(index < self.len(), "image {index} of {}", self.len());
        let at = self.sound.entries_at + index * ENTRY_BYTES;
        Entry::of_bytes(&self.file.bytes()[at..at + ENTRY_BYTES]).expect("checked when the pack was opened")
    }

    /// All entries, in the order of the lists.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        (0..self.len()).map(|index| self.entry(index))
    }

    /// What image `index` was made from; `None` of packs of before that was noted.
    ///
    /// # Panics
    /// If there are not so many images.
    pub fn origin(&self, index: usize) -> Option<Origin> {
        assert!(index < self.len(), "image {index} of {}", self.len());
        if self.sound.version == Version::First {
            return None;
        }
        let at = self.sound.entries_at + self.len() * ENTRY_BYTES + index * ORIGIN_BYTES;
        Some(array(&self.file.bytes()[at..at + ORIGIN_BYTES]))
    }

    /// Whether what its images were made from is noted.
    pub fn has_origins(&self) -> bool {
        self.sound.version == Version::WithOrigins
    }

    /// Image `index`, compared with its hash.
    ///
    /// # Errors
    /// The bytes are not those that were written: the file is damaged.
    ///
    /// # Panics
    /// If there are not so many images.
    pub fn get(&self, index: usize) -> Result<Packed<'_>, DatasetError> {
        let entry = self.entry(index);
        let bytes = &self.file.bytes()[entry.offset as usize..entry.end() as usize];
        let damage = || damaged(self.path(), &format!("the bytes of image {index} do not match their hash"));
        if !entry.fits(bytes) {
            return Err(damage());
        }
        match entry.kind {
            Kind::Image => Ok(Packed::Image(bytes)),
            Kind::Bad => std::str::from_utf8(bytes).map(Packed::Bad).map_err(|_| damage()),
        }
    }
}

/// Packs are the same if all their images are.
impl PartialEq for Pack {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Pack {}

fn check(bytes: &[u8]) -> Result<Sound, String> {
    let (key, head, version) = PackKey::of_head(bytes)?;
    let foot_at = bytes.len().saturating_sub(FOOT_BYTES);
    let foot = &bytes[foot_at.max(head.min(bytes.len()))..];
    if foot.len() < FOOT_BYTES || foot[48..] != END {
        return Err("it does not end like a finished pack".to_owned());
    }
    let entries_at = u64::from_le_bytes(array(&foot[..8]));
    let images = u64::from_le_bytes(array(&foot[8..16]));
    let after = foot_at.checked_sub(version.origins_bytes(key.images)).filter(|after| *after >= head);
    let sized = images.checked_mul(ENTRY_BYTES as u64).and_then(|bytes| bytes.checked_add(entries_at));
    let Some(after) = after.filter(|after| sized == Some(*after as u64)) else {
        return Err(format!("it claims {images} images in {} bytes", bytes.len()));
    };
    if images != key.images as u64 || entries_at < head as u64 {
        return Err(format!("it claims {images} images in {} bytes", bytes.len()));
    }
    let entries_at = entries_at as usize;
    let entries = bytes[entries_at..after].chunks_exact(ENTRY_BYTES).map(Entry::of_bytes);
    let entries: Option<Vec<Entry>> = entries.collect();
    let entries = entries.ok_or("its entries do not match their hash")?; // a kind that there is not
    let identity = key.identity(version, entries.iter().copied());
    if identity.as_bytes()[..] != foot[16..48] {
        return Err("its entries do not match their hash".to_owned());
    }
    if version == Version::WithOrigins {
        let (origins, hash) = bytes[after..foot_at].split_at(key.images * ORIGIN_BYTES);
        if blake3::hash(origins).as_bytes()[..] != *hash {
            return Err("the record of its sources does not match its hash".to_owned());
        }
    }
    let mut end = head as u64;
    for (index, entry) in entries.into_iter().enumerate() {
        if entry.offset != end.saturating_add(version.record_bytes() as u64) {
            return Err(format!("entry {index} does not follow the previous one"));
        }
        end = entry.end();
    }
    if end != entries_at as u64 {
        return Err("its entries do not cover the whole file".to_owned());
    }
    Ok(Sound { key, version, entries_at, identity: identity.to_hex().to_string() })
}

fn damaged(path: &Path, what: &str) -> DatasetError {
    // Another program's file is not to be deleted for our sake.
    if what == NO_PACK {
        let hint =
            "use another place: `cargo xtask data pack RECIPE --out FILE` writes the pack, LONGTAIL_PACK=FILE reads it"
                .to_owned();
        return problem(path, format!("is not a pack: {what}"), hint);
    }
    let hint = format!("delete `{}` and run `cargo xtask data pack RECIPE` again", path.display());
    problem(path, format!("is damaged or not a pack: {what}"), hint)
}

/// Whether `error` says that there is no such file.
pub fn is_missing(error: &DatasetError) -> bool {
    matches!(error, DatasetError::Artifact(ArtifactError::Missing { .. }))
}

/// The images of one set within a pack, which holds those of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackPart {
    /// The pack.
    pub pack: Arc<Pack>,
    /// The set's first image in it.
    pub first: usize,
}

#[cfg(test)]
mod tests {
    use super::super::PackWriter;
    use super::*;

    #[test]
    fn no_change_of_a_byte_goes_unnoticed_and_none_panics() {
        let folder = tempfile::tempdir().expect("temporary");
        let path = folder.path().join("x.pack");
        let key = PackKey::new("image_folder", "0123456789abcdef", 3, 64, 95);
        let mut writer = PackWriter::open(&path, &key, &mut |_, _| {}).expect("writable");
        for bytes in [&b"one image"[..], b"", b"three"] {
            writer.push(Kind::Image, bytes, [7; 32]).expect("writable");
        }
        writer.finish().expect("writable");
        let good = std::fs::read(&path).expect("there");
        let found = |bytes: &[u8]| -> Result<Vec<Vec<u8>>, DatasetError> {
            let path = folder.path().join("y.pack");
            std::fs::write(&path, bytes).expect("writable");
            let pack = Pack::open(&path)?;
            let take = |index| match pack.get(index)? {
                Packed::Image(bytes) => Ok(bytes.to_vec()),
                Packed::Bad(_) => panic!("all are images"),
            };
            (0..pack.len()).map(take).collect()
        };
        assert_eq!(found(&good).expect("sound"), [&b"one image"[..], b"", b"three"]);
        let mut unseen = 0;
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0x40;
            match found(&bytes) {
                Err(error) => assert!(error.hint().is_some_and(|hint| hint.contains("data pack")), "{error}"),
                // The bytes before a record are for going on after a kill; a finished pack has them in its entries too.
                Ok(images) => {
                    assert_eq!(images, [&b"one image"[..], b"", b"three"], "byte {at}");
                    unseen += 1;
                }
            }
            assert!(found(&good[..at]).is_err(), "cut at {at}");
        }
        assert_eq!(unseen, 3 * Version::WithOrigins.record_bytes());
        assert!(is_missing(&Pack::open(&folder.path().join("none")).expect_err("missing")));
    }
}
