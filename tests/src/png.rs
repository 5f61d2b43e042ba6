//! Uncompressed PNGs, by hand: tests need no encoder.

use std::path::Path;

/// A PNG of one colour, on which its length does not depend.
pub fn png(path: &Path, colour: u8) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    // At once: a stage may be reading.
    let beside = path.with_file_name(".new");
    std::fs::write(&beside, encode(24, [colour, colour.wrapping_mul(7), 90])).expect("writable");
    std::fs::rename(&beside, path).expect("movable");
}

fn encode(side: u32, colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    chunk(&mut bytes, b"IHDR", &header);
    let row = [vec![0], colour.repeat(side as usize)].concat();
    let rows = row.repeat(side as usize);
    let length = rows.len() as u16;
    let stored = [&[0x78, 0x01, 1], &length.to_le_bytes()[..], &(!length).to_le_bytes(), &rows].concat();
    chunk(&mut bytes, b"IDAT", &[stored, adler(&rows).to_be_bytes().to_vec()].concat());
    chunk(&mut bytes, b"IEND", &[]);
    bytes
}

fn chunk(bytes: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    bytes.extend((content.len() as u32).to_be_bytes());
    let checked = [&kind[..], content].concat();
    bytes.extend(&checked);
    bytes.extend(crc(&checked).to_be_bytes());
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn adler(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((1u32, 0u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    (high << 16) | low
}
