//! The orientation in EXIF data, or in XMP where EXIF says nothing: what Pillow's `getexif()` reads.

const ORIENTATION: u16 = 0x0112;

/// The orientation in EXIF data that begins with the TIFF header; `None` where it says nothing. A number outside 1 to 8 is
/// no orientation.
pub(super) fn orientation(tiff: &[u8]) -> Option<u8> {
    let little = match tiff.get(..4)? {
        [b'I', b'I', 42, 0] => true,
        [b'M', b'M', 0, 42] => false,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let bytes: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let u32_at = |at: usize| {
        let bytes: [u8; 4] = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = u32_at(4)? as usize;
    let entries = u16_at(directory)? as usize;
    for entry in 0..entries {
        let at = directory.checked_add(2 + 12 * entry)?;
        if u16_at(at)? != ORIENTATION {
            continue;
        }
        let value = match u16_at(at + 2)? {
            1 => u32::from(*tiff.get(at + 8)?), // BYTE
            3 => u32::from(u16_at(at + 8)?),    // SHORT
            4 => u32_at(at + 8)?,               // LONG
            _ => return None,
        };
        return Some(if (1..=8).contains(&value) { value as u8 } else { 1 });
    }
    None
}

/// The orientation in an XMP packet: `tiff:Orientation="6"` or `<tiff:Orientation>6<`.
pub(super) fn xmp_orientation(packet: &[u8]) -> Option<u8> {
    const NAME: &[u8] = b"tiff:Orientation";
    let at = packet.windows(NAME.len()).position(|name| name == NAME)? + NAME.len();
    let digit = match packet.get(at..)? {
        [b'=', b'"', digit, ..] | [b'>', digit, ..] => digit,
        _ => return None,
    };
    (b'1'..=b'8').contains(digit).then(|| digit - b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiff(sort: u16, value: [u8; 4]) -> Vec<u8> {
        let mut bytes = b"MM\0*\0\0\0\x08\0\x01\x01\x12".to_vec();
        bytes.extend(sort.to_be_bytes());
        bytes.extend([0, 0, 0, 1]);
        bytes.extend(value);
        bytes
    }

    #[test]
    fn the_tag_is_read_in_its_three_widths() {
        assert_eq!(orientation(&tiff(3, [0, 6, 0, 0])), Some(6));
        assert_eq!(orientation(&tiff(4, [0, 0, 0, 8])), Some(8));
        assert_eq!(orientation(&tiff(1, [3, 0, 0, 0])), Some(3));
        assert_eq!(orientation(&tiff(3, [0, 9, 0, 0])), Some(1), "no such orientation");
        assert_eq!(orientation(&tiff(2, [0, 6, 0, 0])), None, "not a number");
    }

    #[test]
    fn cut_data_says_nothing() {
        let whole = tiff(3, [0, 6, 0, 0]);
        for end in 0..20 {
            assert_eq!(orientation(&whole[..end]), None, "{end}");
        }
        assert_eq!(orientation(b"II*\0\xff\xff\xff\xff\0\0"), None, "a directory far away");
    }

    #[test]
    fn xmp_in_both_spellings() {
        assert_eq!(xmp_orientation(b"<a tiff:Orientation=\"6\">"), Some(6));
        assert_eq!(xmp_orientation(b"<tiff:Orientation>3</tiff:Orientation>"), Some(3));
        assert_eq!(xmp_orientation(b"<tiff:Orientation>0</tiff:Orientation>"), None);
        assert_eq!(xmp_orientation(b"tiff:Orientation"), None);
    }
}
