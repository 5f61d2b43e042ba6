//! Bytes from disk: never more than was asked for, whatever the file claims.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use crate::error::{DatasetError, FormatError};

/// Reads a file that must have exactly `expected` bytes. The size is checked before anything is read.
///
/// # Errors
/// The file cannot be read, or has another size.
pub fn read_exact_size(path: &Path, expected: u64, hint: &str) -> Result<Vec<u8>, DatasetError> {
    let unreadable = |cause| DatasetError::Read { path: path.to_owned(), cause };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?.len();
    let wrong = |found, at_least| DatasetError::Format {
        path: path.to_owned(),
        problem: FormatError::Length { what: "file", expected, found, at_least },
        hint: hint.to_owned(),
    };
    if found != expected {
        return Err(wrong(found, false));
    }
    let mut bytes = Vec::with_capacity(expected as usize);
    file.take(expected + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 != expected {
        return Err(wrong(bytes.len() as u64, bytes.len() as u64 > expected));
    }
    Ok(bytes)
}

/// Reads a gzip file whose content must have exactly `expected` bytes; a stream that goes on is cut off one byte later.
///
/// # Errors
/// The file cannot be read, the stream is broken (checksum included), or the content has another size.
pub fn read_gzip(path: &Path, expected: u64, hint: &str) -> Result<Vec<u8>, DatasetError> {
    let file = std::fs::File::open(path).map_err(|cause| DatasetError::Read { path: path.to_owned(), cause })?;
    inflate(std::io::BufReader::new(file), expected).map_err(|problem| DatasetError::Format {
        path: path.to_owned(),
        problem,
        hint: hint.to_owned(),
    })
}

/// Inflates one gzip stream of exactly `expected` bytes. Memory grows with what the stream really gives, up to
/// `expected` + 1 bytes.
///
/// # Errors
/// As `read_gzip`.
pub fn inflate(stream: impl Read, expected: u64) -> Result<Vec<u8>, FormatError> {
    let mut bytes = Vec::new();
    // The decoder verifies the checksum when it meets the end of the stream, which the one byte more lets it do.
    GzDecoder::new(stream).take(expected + 1).read_to_end(&mut bytes).map_err(FormatError::Gzip)?;
    let found = bytes.len() as u64;
    if found != expected {
        return Err(FormatError::Length { what: "unpacked content", expected, found, at_least: found > expected });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).expect("writing to memory");
        encoder.finish().expect("writing to memory")
    }

    #[test]
    fn a_bomb_is_cut_off() {
        let packed = gzip(&vec![0; 1 << 20]);
        let message = inflate(&packed[..], 100).expect_err("too long").to_string();
        assert_eq!(message, "unpacked content: expected 100 bytes, found at least 101");
    }

    #[test]
    fn a_truncated_or_changed_stream_is_an_error() {
        let packed = gzip(b"hello hello hello");
        assert_eq!(inflate(&packed[..], 17).expect("good"), b"hello hello hello");
        for cut in 0..packed.len() {
            assert!(inflate(&packed[..cut], 17).is_err(), "cut at {cut}");
        }
        let mut changed = packed.clone();
        let crc = packed.len() - 8;
        changed[crc] ^= 1;
        assert!(inflate(&changed[..], 17).expect_err("checksum").to_string().starts_with("broken gzip stream"));
    }

    #[test]
    fn a_wrong_size_is_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("train.bin");
        std::fs::write(&path, [0; 5]).expect("writing");
        let error = read_exact_size(&path, 6, "fetch it again").expect_err("five bytes");
        assert!(error.to_string().ends_with("train.bin`: file: expected 6 bytes, found 5"), "{error}");
        assert_eq!(error.hint().as_deref(), Some("fetch it again"));
    }
}
