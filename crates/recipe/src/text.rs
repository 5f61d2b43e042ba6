//! From a file's bytes to its text.

use crate::error::RecipeError;

/// What editors put before UTF-8; it is no part of the text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The text of a recipe's bytes: without a byte-order mark, every line ended as YAML's parser and we agree on.
///
/// # Errors
/// [`RecipeError::OtherEncoding`] for UTF-16 and UTF-32, [`RecipeError::NulByte`], [`RecipeError::NotUtf8`].
pub(crate) fn decode(bytes: &[u8], name: &str) -> Result<String, RecipeError> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if let Some(encoding) = other_encoding(bytes) {
        return Err(RecipeError::OtherEncoding { name: name.to_string(), encoding });
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        let (line, column) = place(&bytes[..at]);
        return Err(RecipeError::NulByte { name: name.to_string(), line, column });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = place(&bytes[..error.valid_up_to()]);
        RecipeError::NotUtf8 { name: name.to_string(), line, column }
    })?;
    // YAML ends lines at `\r` too; then an error's line is that of the excerpt.
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

/// By its mark, or by the zeros that every Latin letter has in it.
fn other_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [_, 0, 0, 0, ..] | [0, 0, 0, _, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [a, 0, b, 0, ..] | [0, a, 0, b, ..] if *a > 0 && *b > 0 => Some("UTF-16"),
        _ => None,
    }
}

/// 1-based line and column, in bytes, of what follows `before`.
fn place(before: &[u8]) -> (usize, usize) {
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    (before.iter().filter(|byte| **byte == b'\n').count() + 1, before.len() - line_start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_line_ends_are_no_part_of_the_text() {
        assert_eq!(decode(b"\xef\xbb\xbfa: 1\r\nb: 2\rc: 3\n", "r").expect("UTF-8"), "a: 1\nb: 2\nc: 3\n");
    }

    #[test]
    fn other_encodings_are_called_by_their_names() {
        let words = |bytes: &[u8]| decode(bytes, "r.yaml").expect_err("refused").to_string();
        let utf16: Vec<u8> = "seed: 3\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf16_big: Vec<u8> = "seed: 3\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let utf32: Vec<u8> = "seed: 3\n".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        for bytes in [utf16.clone(), [b"\xff\xfe".to_vec(), utf16].concat(), utf16_big] {
            let said = words(&bytes);
            assert!(said.contains("is UTF-16 text") && said.contains("iconv -f UTF-16 -t UTF-8"), "{said}");
        }
        assert!(words(&utf32).contains("is UTF-32 text"));
        assert!(words(b"a: 1\nb: 2\0\0\0").contains("r.yaml:2:5: a zero byte"));
        assert!(words(b"a: caf\xe9\n").contains("r.yaml:1:7: the bytes here are not UTF-8"));
    }
}
