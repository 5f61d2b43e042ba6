//! The bytes of a pack.
//!
//! | part | bytes |
//! |---|---|
//! | head | [`MAGIC`]; length of the key, u32; the key as JSON |
//! | a record for each image, in the order of the lists | length, u32; kind, u32; hash, 16; origin, 32; the image, or why there is none |
//! | an entry for each image | where its bytes begin, u64; length, u32; kind, u32; hash, 16 |
//! | an origin for each image, and BLAKE3 of them | 32 each |
//! | foot | where the entries begin, u64; number of entries, u64; identity, 32; [`END`] |
//!
//! Numbers are little-endian. A hash is the first half of BLAKE3 over length, kind and bytes, so that a record that was torn
//! by a kill or by a full disk is known for what it is without any other file; entries and foot make the file random-access.
//!
//! An origin is BLAKE3 of the file that the image was made from, or zeros where there was none to read. Version 1 had none, here
//! and in records; such packs are read, and nobody can tell what they were made from. The identity is BLAKE3 of key and entries
//! as version 1 wrote them: it is of the images that come out, so a pack that is made again from the same photographs, by a later
//! version or after a comment in a photograph was changed, leaves what was trained on it as it is.

use longtail_artifact::counted;
use serde::{Deserialize, Serialize};

/// What is said of a file of another kind.
pub const NO_PACK: &str = "it does not start like a pack";

/// Begins every pack that is written; its last byte is the format's version.
pub const MAGIC: [u8; 8] = *b"LTPACK\0\x02";
/// Begins packs of before origins were noted, and what every identity is made over.
const FIRST_MAGIC: [u8; 8] = *b"LTPACK\0\x01";
/// Ends every finished pack.
pub const END: [u8; 8] = *b"LTPACKED";
/// Before the bytes of each record of version 1; of later ones an origin follows.
const RECORD_BYTES: usize = 24;
/// Of one origin.
pub const ORIGIN_BYTES: usize = 32;
/// Of one entry.
pub const ENTRY_BYTES: usize = 32;
/// Of the foot.
pub const FOOT_BYTES: usize = 56;
/// A key that is longer is no key.
const LONGEST_KEY: usize = 1 << 16;
/// Raised when the same key begins to give other bytes.
const MAKER: u32 = 1;

/// What an image was made from: BLAKE3 of that file, zeros where there was none to read.
pub type Origin = [u8; ORIGIN_BYTES];

/// What differs between the versions that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Says nothing of what images were made from.
    First,
    /// Has origins.
    WithOrigins,
}

impl Version {
    /// Before the bytes of each record.
    pub const fn record_bytes(self) -> usize {
        match self {
            Self::First => RECORD_BYTES,
            Self::WithOrigins => RECORD_BYTES + ORIGIN_BYTES,
        }
    }

    /// Between the entries and the foot of a pack of `images`.
    pub fn origins_bytes(self, images: usize) -> usize {
        match self {
            Self::First => 0,
            Self::WithOrigins => images.saturating_add(1).saturating_mul(ORIGIN_BYTES),
        }
    }
}

/// What decides every byte of a pack, beside the images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackKey {
    /// The recipe's word.
    pub dataset: String,
    /// BLAKE3 of the lists (see [`crate::read::photos`]).
    pub lists: String,
    /// Images of all lists.
    pub images: usize,
    /// The short side of a stored image is at most this.
    pub short: u32,
    /// JPEG quality of images that were made smaller.
    pub quality: u8,
    /// The version of what makes them smaller.
    pub maker: u32,
}

impl PackKey {
    /// A key of this build.
    pub fn new(dataset: &str, lists: &str, images: usize, short: u32, quality: u8) -> Self {
        Self { dataset: dataset.to_owned(), lists: lists.to_owned(), images, short, quality, maker: MAKER }
    }

    /// The bytes that a file with this key begins with.
    pub fn head(&self) -> Vec<u8> {
        self.head_after(MAGIC)
    }

    /// The identity of a pack with this key and these entries: BLAKE3 of both as version 1 would have written them.
    pub fn identity(&self, version: Version, entries: impl Iterator<Item = Entry>) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.head_after(FIRST_MAGIC));
        let more_before = (version.record_bytes() - RECORD_BYTES) as u64;
        for (index, entry) in (1..).zip(entries) {
            let offset = entry.offset.wrapping_sub(more_before * index);
            hasher.update(&Entry { offset, ..entry }.bytes());
        }
        hasher.finalize()
    }

    fn head_after(&self, magic: [u8; 8]) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("numbers and strings are JSON");
        let mut head = magic.to_vec();
        head.extend_from_slice(&(json.len() as u32).to_le_bytes());
        head.extend(json);
        head
    }

    /// Reads the head of a file: the key, the length of the head, and the version. `Err` says what is wrong.
    pub fn of_head(bytes: &[u8]) -> Result<(Self, usize, Version), String> {
        let start = MAGIC.len() + 4;
        let version = match bytes.get(..start) {
            Some(start) if start[..8] == MAGIC => Version::WithOrigins,
            Some(start) if start[..8] == FIRST_MAGIC => Version::First,
            Some(start) if start[..7] == MAGIC[..7] => {
                return Err(format!(
                    "it is a pack of version {}; this build reads versions 1 and {}",
                    start[7], MAGIC[7]
                ));
            }
            _ => return Err(NO_PACK.to_owned()),
        };
        let length = u32::from_le_bytes(array(&bytes[8..start])) as usize;
        if length > LONGEST_KEY {
            return Err(format!("its key claims a length of {length} bytes"));
        }
        let json = bytes.get(start..start + length).ok_or("it ends inside its key")?;
        let key = serde_json::from_slice(json).map_err(|error| format!("its key cannot be read: {error}"))?;
        Ok((key, start + length, version))
    }
}

impl std::fmt::Display for PackKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { dataset, lists, images, short, quality, maker } = self;
        let lists = lists.get(..12).unwrap_or(lists);
        write!(
            f,
            "{} of {dataset}, lists {lists}…, short side at most {short}, quality {quality}",
            counted(*images, "image")
        )?;
        if *maker == MAKER {
            Ok(())
        } else {
            write!(f, ", made with method version {maker}, but this build has {MAKER}")
        }
    }
}

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An encoded image.
    Image,
    /// Why there is none: UTF-8 text.
    Bad,
}

impl Kind {
    fn number(self) -> u32 {
        match self {
            Self::Image => 0,
            Self::Bad => 1,
        }
    }

    fn of(number: u32) -> Option<Self> {
        [Self::Image, Self::Bad].into_iter().find(|kind| kind.number() == number)
    }
}

/// Where a record's bytes are and what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Of the first byte, in the file.
    pub offset: u64,
    /// Bytes.
    pub length: u32,
    /// What they are.
    pub kind: Kind,
    /// See the module.
    pub hash: [u8; 16],
}

impl Entry {
    /// Of bytes that begin at `offset`.
    pub fn new(offset: u64, kind: Kind, bytes: &[u8]) -> Self {
        let length = bytes.len() as u32;
        Self { offset, length, kind, hash: hash(length, kind, bytes) }
    }

    /// Of the 24 bytes that a record begins with; `None` where they are none. `offset`: of the record's own bytes.
    pub fn of_record(record: &[u8; RECORD_BYTES], offset: u64) -> Option<Self> {
        let kind = Kind::of(u32::from_le_bytes(array(&record[4..8])))?;
        Some(Self { offset, length: u32::from_le_bytes(array(&record[..4])), kind, hash: array(&record[8..]) })
    }

    /// The 24 bytes that a record begins with.
    pub fn record(&self) -> [u8; RECORD_BYTES] {
        let mut record = [0; RECORD_BYTES];
        record[..4].copy_from_slice(&self.length.to_le_bytes());
        record[4..8].copy_from_slice(&self.kind.number().to_le_bytes());
        record[8..].copy_from_slice(&self.hash);
        record
    }

    /// Of an entry at the file's end.
    ///
    /// # Panics
    /// If there are fewer than 32 bytes.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        Self::of_record(&array(&bytes[8..ENTRY_BYTES]), u64::from_le_bytes(array(&bytes[..8])))
    }

    /// The entry as it stands at the file's end.
    pub fn bytes(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..].copy_from_slice(&self.record());
        bytes
    }

    /// Where the record after this one begins.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.length))
    }

    /// Whether `bytes` are the record's.
    pub fn fits(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == u64::from(self.length) && hash(self.length, self.kind, bytes) == self.hash
    }
}

fn hash(length: u32, kind: Kind, bytes: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length.to_le_bytes()).update(&kind.number().to_le_bytes()).update(bytes);
    array(&hasher.finalize().as_bytes()[..16])
}

/// What stands between entries and foot.
pub fn origins(origins: &[Origin]) -> Vec<u8> {
    let mut bytes = origins.concat();
    let hash = *blake3::hash(&bytes).as_bytes();
    bytes.extend(hash);
    bytes
}

/// The foot of a file whose entries begin at `entries_at`. `identity`: see [`PackKey::identity`].
pub fn foot(entries_at: u64, images: usize, identity: &blake3::Hash) -> [u8; FOOT_BYTES] {
    let mut foot = [0; FOOT_BYTES];
    foot[..8].copy_from_slice(&entries_at.to_le_bytes());
    foot[8..16].copy_from_slice(&(images as u64).to_le_bytes());
    foot[16..48].copy_from_slice(identity.as_bytes());
    foot[48..].copy_from_slice(&END);
    foot
}

/// # Panics
/// If the slice has another length.
pub fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller cut a slice of this length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_and_what_is_none_is_told_apart() {
        let key = PackKey::new("imagenet_lt", &"ab".repeat(32), 7, 256, 95);
        let head = key.head();
        let mut more = head.clone();
        more.extend([1, 2, 3]);
        assert_eq!(PackKey::of_head(&more), Ok((key.clone(), head.len(), Version::WithOrigins)));
        more[7] = 1;
        assert_eq!(PackKey::of_head(&more), Ok((key.clone(), head.len(), Version::First)));
        let other = PackKey { maker: 9, ..key.clone() };
        assert!(other.to_string().contains("method version 9") && !key.to_string().contains("method version"));
        for (bytes, expected) in [
            (&b"PK"[..], "does not start"),
            (&b"LTPACK\0\x07\0\0\0\0"[..], "version 7; this build reads versions 1 and 2"),
            (&b"LTPACK\0\x01\xff\xff\xff\xff"[..], "4294967295 bytes"),
            (&head[..head.len() - 1], "ends inside its key"),
            (&b"LTPACK\0\x01\x02\0\0\0{}"[..], "missing field `dataset`"),
        ] {
            let problem = PackKey::of_head(bytes).expect_err(expected);
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn an_entry_comes_back_and_knows_its_bytes() {
        let entry = Entry::new(1 << 40, Kind::Bad, b"no such file");
        assert_eq!(Entry::of_bytes(&entry.bytes()), Some(entry));
        assert_eq!(Entry::of_record(&entry.record(), 1 << 40), Some(entry));
        assert!(entry.fits(b"no such file") && !entry.fits(b"no such filf") && !entry.fits(b"no such fil"));
        assert!(!Entry { kind: Kind::Image, ..entry }.fits(b"no such file"), "the kind is hashed too");
        let mut torn = entry.record();
        torn[4] = 2;
        assert_eq!(Entry::of_record(&torn, 0), None);
    }
}
