//! Coefficients of progressive JPEG data: a scan brings the first coefficients, or a band of the others, from a bit upwards or one bit
//! more of them.

use super::entropy::{JPEG_ZIGZAG, NoJpegCode, first};
use super::huffman::{EntropyBits, HuffmanTable};

/// What a scan brings of each block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanBand {
    /// First and last coefficient, in the zigzag order.
    pub start: usize,
    /// See `start`; up to 63.
    pub end: usize,
    /// Whether the coefficients have their upper bits already.
    pub refines: bool,
    /// The lowest bit that the scan brings.
    pub low: u32,
}

/// A scan of first coefficients that have no bit yet: reads one block's.
///
/// # Errors
/// Bits that are no code.
///
/// # Source
/// ITU-T T.81, G.1.2.1.
pub fn jpeg_first(
    bits: &mut EntropyBits<'_>,
    codes: &HuffmanTable,
    low: u32,
    prediction: &mut i32,
    block: &mut [i16; 64],
) -> Result<(), NoJpegCode> {
    *prediction = prediction.wrapping_add(first(bits, codes).ok_or(NoJpegCode)?);
    block[0] = prediction.wrapping_shl(low) as i16;
    Ok(())
}

/// A scan of one more bit of the first coefficients: reads one block's.
pub fn jpeg_first_refined(bits: &mut EntropyBits<'_>, low: u32, block: &mut [i16; 64]) {
    block[0] |= (bits.number(1) << low) as i16;
}

/// A scan of a band of the other coefficients: reads one block's. `ended` counts the blocks that have nothing more of the band,
/// 0 at the beginning and after a restart.
///
/// # Errors
/// Bits that are no code, or lead out of the band.
///
/// # Source
/// ITU-T T.81, G.1.2.2 and G.1.2.3.
pub fn jpeg_band(
    bits: &mut EntropyBits<'_>,
    codes: &HuffmanTable,
    band: ScanBand,
    ended: &mut u32,
    block: &mut [i16; 64],
) -> Result<(), NoJpegCode> {
    let mut at = band.start;
    if *ended == 0 {
        while at <= band.end {
            bits.refill();
            let entry = codes.entry(bits.peek());
            if entry == 0 {
                return Err(NoJpegCode);
            }
            let (run, size) = (entry >> 24, (entry >> 16) & 15);
            let value = bits.take(entry);
            if size == 0 && run < 15 {
                *ended = (1 << run) + bits.number(run);
                break;
            }
            if band.refines && size > 1 {
                return Err(NoJpegCode);
            }
            at = if band.refines { refine(bits, band, at, Some(run), block) } else { at + run as usize };
            if size > 0 {
                if at > band.end {
                    return Err(NoJpegCode);
                }
                block[usize::from(JPEG_ZIGZAG[at])] = value.wrapping_shl(band.low) as i16;
            }
            at += 1;
        }
    }
    if *ended > 0 {
        if band.refines {
            refine(bits, band, at, None, block);
        }
        *ended -= 1;
    }
    Ok(())
}

/// Reads a bit for each coefficient that is not zero, from `at` on, up to the zero that comes after `zeros` others; without a
/// number, to the band's end. The place where it stopped.
fn refine(bits: &mut EntropyBits<'_>, band: ScanBand, at: usize, zeros: Option<u32>, block: &mut [i16; 64]) -> usize {
    let mut left = zeros;
    for place in at..=band.end {
        let coefficient = &mut block[usize::from(JPEG_ZIGZAG[place])];
        if *coefficient == 0 {
            match &mut left {
                Some(0) => return place,
                Some(left) => *left -= 1,
                None => {}
            }
        } else if bits.number(1) == 1 && *coefficient & (1 << band.low) == 0 {
            *coefficient = coefficient.wrapping_add(coefficient.signum() << band.low);
        }
    }
    band.end + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0: the end of a block, 10: a value of one bit, 110: an end for 2 blocks and one bit more, 111: one value after a zero.
    fn codes() -> HuffmanTable {
        let mut counts = [0; 16];
        (counts[0], counts[1], counts[2]) = (1, 1, 2);
        HuffmanTable::new(&counts, &[0x00, 0x01, 0x10, 0x11]).expect("a code")
    }

    fn bits(text: &str) -> Vec<u8> {
        let bits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
        let byte = |bits: &[u8]| bits.iter().enumerate().map(|(at, bit)| (bit - b'0') << (7 - at)).sum();
        bits.chunks(8).map(byte).chain([0; 8]).collect()
    }

    #[test]
    fn bands_come_from_a_bit_upwards_and_then_bit_by_bit() {
        let (codes, mut ended, mut blocks) = (codes(), 0, [[0i16; 64]; 3]);
        // Block 1: +1 at 1, −1 after a zero, then the end of it and of the next two (2 + 1).
        let data = bits("10 1  111 0  110 1");
        let mut reader = EntropyBits::new(&data);
        let band = ScanBand { start: 1, end: 5, refines: false, low: 1 };
        for block in &mut blocks {
            jpeg_band(&mut reader, &codes, band, &mut ended, block).expect("codes");
        }
        assert_eq!((blocks[0][1], blocks[0][usize::from(JPEG_ZIGZAG[3])], ended), (2, -2, 0));
        assert_eq!(blocks[2], [0; 64]);
        // One bit more: +1 after one zero (bits 1 for the first value and 0 for the second on the way to place 4), then the end.
        let data = bits("111 1  1 0  0");
        let mut reader = EntropyBits::new(&data);
        let band = ScanBand { start: 1, end: 5, refines: true, low: 0 };
        jpeg_band(&mut reader, &codes, band, &mut ended, &mut blocks[0]).expect("codes");
        let found: Vec<i16> = (1..=5).map(|place| blocks[0][usize::from(JPEG_ZIGZAG[place])]).collect();
        assert_eq!(found, [3, 0, -2, 1, 0]);
        assert!(!reader.is_beyond_end() && reader.is_at_end());
    }

    #[test]
    fn values_outside_of_the_band_are_no_code() {
        let data = bits("111 1 111 1");
        let band = ScanBand { start: 1, end: 3, refines: false, low: 0 };
        let outcome = jpeg_band(&mut EntropyBits::new(&data), &codes(), band, &mut 0, &mut [0; 64]);
        assert_eq!(outcome, Err(NoJpegCode));
    }

    #[test]
    fn first_coefficients_are_differences_and_then_bits() {
        let (codes, mut block, mut prediction) = (codes(), [0; 64], 3);
        jpeg_first(&mut EntropyBits::new(&bits("10 1")), &codes, 2, &mut prediction, &mut block).expect("a code");
        assert_eq!((prediction, block[0]), (4, 16));
        jpeg_first_refined(&mut EntropyBits::new(&bits("1")), 1, &mut block);
        assert_eq!(block[0], 18);
    }
}
