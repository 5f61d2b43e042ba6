//! The entropy-coded data of one scan, taken apart.

use std::ops::Range;

use super::kernel::EntropyBits;

use super::super::PhotoProblem;

/// What a restart without data reads.
const NOTHING: &[u8] = &[0; 8];

/// Buffers.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    /// The data without stuffed bytes and markers, eight zeros after each stretch.
    data: Vec<u8>,
    /// Where each stretch between restarts lies in it, zeros included.
    stretches: Vec<Range<usize>>,
    /// Where in the file the marker is that ended them, or the file's end.
    pub end: usize,
    has_marker: bool,
}

impl Stretches {
    /// Takes the data at `start` apart: up to the first marker that is no restart.
    ///
    /// # Errors
    /// Restarts that are not in their order.
    pub fn read(&mut self, encoded: &[u8], start: usize, restarts: bool) -> Result<(), PhotoProblem> {
        self.data.clear();
        self.stretches.clear();
        let (mut at, mut first) = (start, 0);
        loop {
            let rest = &encoded[at..];
            let plain = memchr::memchr(0xFF, rest).unwrap_or(rest.len());
            self.data.extend_from_slice(&rest[..plain]);
            // Fill bytes may stand before a marker, and before a stuffed zero.
            let fill = rest[plain..].iter().take_while(|byte| **byte == 0xFF).count();
            let byte = rest.get(plain + fill);
            (self.end, self.has_marker) = (at + plain, byte.is_some());
            at += plain + fill + 1;
            match byte {
                Some(0x00) => self.data.push(0xFF),
                Some(marker @ 0xD0..=0xD7) if restarts => {
                    if usize::from(marker - 0xD0) != self.stretches.len() % 8 {
                        return Err(PhotoProblem::jpeg("part of the image is missing: restarts are out of order"));
                    }
                    first = self.close(first);
                }
                _ => break,
            }
        }
        self.close(first);
        Ok(())
    }

    fn close(&mut self, first: usize) -> usize {
        self.data.extend([0; 8]);
        self.stretches.push(first..self.data.len());
        self.data.len()
    }

    /// Stretches, at least one.
    pub fn len(&self) -> usize {
        self.stretches.len()
    }

    /// Whether anything stands behind what was read of the last stretch.
    pub fn is_followed(&self, last: &EntropyBits<'_>) -> bool {
        self.has_marker || !last.is_at_end()
    }

    /// The bits of a stretch; none where there is no such stretch.
    pub fn bits(&self, stretch: usize) -> EntropyBits<'_> {
        EntropyBits::new(self.stretches.get(stretch).map_or(NOTHING, |range| &self.data[range.clone()]))
    }
}
