//! The chunks of a PNG.

use super::PhotoProblem;

/// Where the first one begins: behind the eight bytes that every PNG starts with.
pub(super) const FIRST_CHUNK: usize = 8;

/// One chunk, whole.
pub(super) struct Chunk<'a> {
    pub kind: [u8; 4],
    pub body: &'a [u8],
    /// What its checksum is of: kind and body.
    summed: &'a [u8],
    sum: u32,
    /// Where the next one begins.
    pub end: usize,
}

impl<'a> Chunk<'a> {
    /// The kind of the chunk at `at`, of which the body need not be there.
    ///
    /// # Errors
    /// The file ends.
    pub fn kind_at(encoded: &[u8], at: usize) -> Result<[u8; 4], PhotoProblem> {
        let kind = encoded.get(at + 4..at + 8).ok_or_else(|| ends(encoded))?;
        Ok(kind.try_into().expect("four bytes"))
    }

    /// The chunk at `at`.
    ///
    /// # Errors
    /// The file ends before it does.
    pub fn at(encoded: &'a [u8], at: usize) -> Result<Self, PhotoProblem> {
        let word = |at: usize| {
            let bytes = encoded.get(at..at + 4).ok_or_else(|| ends(encoded))?;
            Ok::<u32, PhotoProblem>(u32::from_be_bytes(bytes.try_into().expect("four bytes")))
        };
        let kind = Self::kind_at(encoded, at)?;
        let length = word(at)? as usize;
        let summed = encoded.get(at + 4..at + 8 + length).ok_or_else(|| ends(encoded))?;
        let sum = word(at + 8 + length)?;
        Ok(Self { kind, body: &summed[4..], summed, sum, end: at + 12 + length })
    }

    /// Refuses a chunk that is not what was written.
    ///
    /// # Errors
    /// Its checksum is wrong.
    pub fn check(&self) -> Result<(), PhotoProblem> {
        let mut sum = flate2::Crc::new();
        sum.update(self.summed);
        if sum.sum() == self.sum {
            return Ok(());
        }
        let name: String =
            self.kind.iter().map(|byte| if byte.is_ascii_alphanumeric() { char::from(*byte) } else { '?' }).collect();
        Err(PhotoProblem::png(format!("the checksum of chunk `{name}` is wrong")))
    }
}

fn ends(encoded: &[u8]) -> PhotoProblem {
    PhotoProblem::Truncated { format: "PNG", found: encoded.len() }
}
