//! The IDX format of MNIST and its relatives: a magic number, big-endian sizes, then the values.

use crate::error::FormatError;

/// Type code of unsigned bytes, the only one the data sets here use.
const UNSIGNED_BYTE: u32 = 0x08;

/// Reads an IDX array of unsigned bytes whose sizes are known beforehand, and returns its values.
///
/// Layout: two zero bytes, the type code, the number of dimensions, one big-endian u32 per dimension, the values in
/// row-major order, and nothing after them.
///
/// # Errors
/// A wrong magic number, wrong sizes, or a length that is not exactly that of the sizes. Nothing is allocated for values.
///
/// # Source
/// The format's description on the MNIST page (Y. LeCun, C. Cortes, C. Burges).
pub fn parse<'a>(bytes: &'a [u8], dimensions: &[u32]) -> Result<&'a [u8], FormatError> {
    let header = 4 + 4 * dimensions.len();
    if bytes.len() < header {
        return Err(FormatError::Length {
            what: "IDX header",
            expected: header as u64,
            found: bytes.len() as u64,
            at_least: false,
        });
    }
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let magic = (UNSIGNED_BYTE << 8) | dimensions.len() as u32;
    if word(0) != magic {
        return Err(FormatError::Magic { expected: magic, found: word(0) });
    }
    let found: Vec<u32> = (0..dimensions.len()).map(|axis| word(4 + 4 * axis)).collect();
    if found != dimensions {
        return Err(FormatError::Dimensions { expected: dimensions.to_vec(), found });
    }
    let expected = header as u64 + dimensions.iter().map(|&size| u64::from(size)).product::<u64>();
    if bytes.len() as u64 != expected {
        return Err(FormatError::Length { what: "IDX file", expected, found: bytes.len() as u64, at_least: false });
    }
    Ok(&bytes[header..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: [u8; 18] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 10, 11, 12, 13, 14, 15];

    #[test]
    fn reads_a_small_array() {
        assert_eq!(parse(&SMALL, &[2, 3]).expect("well formed"), [10, 11, 12, 13, 14, 15]);
    }

    #[test]
    fn says_what_is_wrong() {
        let message = |bytes: &[u8], dims: &[u32]| parse(bytes, dims).expect_err("malformed").to_string();
        assert_eq!(message(&SMALL[..7], &[2, 3]), "IDX header: expected 12 bytes, found 7");
        assert_eq!(message(&SMALL[..17], &[2, 3]), "IDX file: expected 18 bytes, found 17");
        assert_eq!(message(&SMALL, &[2, 4]), "IDX dimensions are [2, 3], expected [2, 4]");
        assert_eq!(
            message(&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0], &[1]),
            "not an IDX file of unsigned bytes: magic number 0x1f8b0808, expected 0x00000801"
        );
        let mut long = SMALL.to_vec();
        long.push(0);
        assert_eq!(message(&long, &[2, 3]), "IDX file: expected 18 bytes, found 19");
    }
}
