//! Coefficients of baseline JPEG data from their Huffman codes.

use super::huffman::{EntropyBits, HuffmanTable};
use longtail_ops::{Kernel, dispatch};

/// From a place in the zigzag order to one in a block, row by row.
#[rustfmt::skip]
pub const JPEG_ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// One block of a unit (an MCU).
#[derive(Debug, Clone, Copy)]
pub struct UnitBlock<'a> {
    /// Whose first coefficients are predicted from each other, 0 to 3.
    pub component: usize,
    /// Codes of the first coefficient's difference.
    pub dc: &'a HuffmanTable,
    /// Codes of the others.
    pub ac: &'a HuffmanTable,
    /// Its block in the target for the first unit.
    pub first: usize,
    /// By how many blocks it moves from one unit to the next.
    pub step: usize,
}

/// The bits are no Huffman code, or a block has more than 64 coefficients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoJpegCode;

/// Reads `units` units. Where the bits end, it stops after the unit in which they do.
///
/// # Shapes
/// - `blocks`: the unit's, in order
/// - `predictions`: the last first coefficient of each component; 0 at the beginning and after a restart
/// - `target`: coefficients `(blocks, 64)` in natural order, zero before, and for each block whether it has its first one only
///   (left as it is where no block comes); `None` to pass over the units
///
/// # Errors
/// See [`NoJpegCode`]; `bits` then knows whether it ended before.
///
/// # Panics
/// If a block lies beyond the target.
pub fn jpeg_units(
    bits: &mut EntropyBits<'_>,
    blocks: &[UnitBlock<'_>],
    predictions: &mut [i32; 4],
    units: usize,
    target: Option<(&mut [i16], &mut [bool])>,
) -> Result<(), NoJpegCode> {
    let done = match target {
        Some((coefficients, flat)) => dispatch(Read { bits, blocks, predictions, units, coefficients, flat }),
        None => dispatch(Pass { bits, blocks, predictions, units }),
    };
    if done { Ok(()) } else { Err(NoJpegCode) }
}

struct Read<'a, 'b> {
    bits: &'a mut EntropyBits<'b>,
    blocks: &'a [UnitBlock<'a>],
    predictions: &'a mut [i32; 4],
    units: usize,
    coefficients: &'a mut [i16],
    flat: &'a mut [bool],
}

impl Kernel for Read<'_, '_> {
    type Output = bool;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> bool {
        for unit in 0..self.units {
            for block in self.blocks {
                let place = block.first + unit * block.step;
                let coefficients: &mut [i16; 64] =
                    (&mut self.coefficients[64 * place..64 * place + 64]).try_into().expect("64 coefficients");
                let Some(difference) = first(self.bits, block.dc) else { return false };
                let prediction = &mut self.predictions[block.component];
                *prediction = prediction.wrapping_add(difference);
                coefficients[0] = *prediction as i16;
                let Some(flat) = others(self.bits, block.ac, |at, value| coefficients[at] = value) else {
                    return false;
                };
                self.flat[place] = flat;
            }
            if self.bits.is_beyond_end() {
                break;
            }
        }
        true
    }
}

struct Pass<'a, 'b> {
    bits: &'a mut EntropyBits<'b>,
    blocks: &'a [UnitBlock<'a>],
    predictions: &'a mut [i32; 4],
    units: usize,
}

impl Kernel for Pass<'_, '_> {
    type Output = bool;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> bool {
        for _ in 0..self.units {
            for block in self.blocks {
                let Some(difference) = first(self.bits, block.dc) else { return false };
                let prediction = &mut self.predictions[block.component];
                *prediction = prediction.wrapping_add(difference);
                if others(self.bits, block.ac, |_, _| ()).is_none() {
                    return false;
                }
            }
            if self.bits.is_beyond_end() {
                break;
            }
        }
        true
    }
}

#[inline(always)]
pub(super) fn first(bits: &mut EntropyBits<'_>, codes: &HuffmanTable) -> Option<i32> {
    bits.refill();
    let entry = codes.entry(bits.peek());
    (entry != 0).then(|| bits.take(entry))
}

/// All coefficients but the first; whether there are none.
#[inline(always)]
fn others(source: &mut EntropyBits<'_>, codes: &HuffmanTable, mut store: impl FnMut(usize, i16)) -> Option<bool> {
    // In registers for the length of a block.
    let mut bits = source.clone();
    let mut at = 1;
    while at < 64 {
        bits.refill();
        let entry = codes.entry(bits.peek());
        let value = bits.take(entry);
        if entry & 0x000F_0000 == 0 {
            // No value: the end of the block, or sixteen zeros.
            if entry >> 24 != 15 {
                if entry == 0 {
                    *source = bits;
                    return None;
                }
                break;
            }
            at += 16;
            continue;
        }
        at += (entry >> 24) as usize;
        let Some(place) = JPEG_ZIGZAG.get(at) else {
            *source = bits;
            return None;
        };
        store(usize::from(*place), value as i16);
        at += 1;
    }
    *source = bits;
    Some(at == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zigzag_visits_every_place_once_along_diagonals() {
        let mut seen = [false; 64];
        for pair in JPEG_ZIGZAG.windows(2) {
            let place = |at: u8| (i32::from(at / 8), i32::from(at % 8));
            let ((y, x), (next_y, next_x)) = (place(pair[0]), place(pair[1]));
            let diagonal = next_y + next_x - y - x;
            assert!(
                diagonal == 0 && (next_y - y).abs() == 1
                    || diagonal == 1 && (next_y - y).abs() + (next_x - x).abs() == 1
            );
        }
        JPEG_ZIGZAG.iter().for_each(|at| seen[usize::from(*at)] = true);
        assert_eq!(seen, [true; 64]);
    }

    /// One bit each: 0 is the end of a block, 10 a value of one bit, 110 one after a run of 15, 111 sixteen zeros.
    fn codes() -> HuffmanTable {
        let mut counts = [0; 16];
        (counts[0], counts[1], counts[2]) = (1, 1, 2);
        HuffmanTable::new(&counts, &[0x00, 0x01, 0xF1, 0xF0]).expect("a code")
    }

    fn read(bits: &str, units: usize) -> (Result<(), NoJpegCode>, Vec<i16>, Vec<bool>) {
        let mut data: Vec<u8> = bits
            .as_bytes()
            .chunks(8)
            .map(|byte| byte.iter().enumerate().map(|(at, bit)| (bit - b'0') << (7 - at)).sum())
            .collect();
        data.extend([0; 8]);
        let codes = codes();
        let block = UnitBlock { component: 0, dc: &codes, ac: &codes, first: 0, step: 1 };
        let (mut coefficients, mut flat) = (vec![0; 64 * units], vec![true; units]);
        let target = Some((coefficients.as_mut_slice(), flat.as_mut_slice()));
        let outcome = jpeg_units(&mut EntropyBits::new(&data), &[block], &mut [0; 4], units, target);
        let mut predictions = [0; 4];
        let passed = jpeg_units(&mut EntropyBits::new(&data), &[block], &mut predictions, units, None);
        assert_eq!(outcome, passed);
        (outcome, coefficients, flat)
    }

    #[test]
    fn values_runs_and_ends_of_blocks() {
        // Block 1: first +1, then −1, a run of 15 and +1, end. Block 2: first +1 more, nothing else. Block 3: no data.
        let (outcome, coefficients, flat) = read(&["101", "100", "1101", "0", "101", "0"].concat(), 3);
        assert_eq!(outcome, Ok(()));
        let mut expected = vec![0; 192];
        (expected[0], expected[1], expected[usize::from(JPEG_ZIGZAG[17])], expected[64]) = (1, -1, 1, 2);
        // The bits end inside the last byte, so its zeros are one more block.
        expected[128] = 2;
        assert_eq!(coefficients, expected);
        assert_eq!(flat, [false, true, true]);
    }

    #[test]
    fn too_many_coefficients_are_no_code() {
        let runs = |count: usize| ["0".to_owned(), "111".repeat(3), "101".repeat(count)].concat();
        assert_eq!(read(&runs(15), 1).0, Ok(()), "just 64");
        assert_eq!(read(&["0", &"111".repeat(3), &"1101".repeat(2)].concat(), 1).0, Err(NoJpegCode));
    }
}
