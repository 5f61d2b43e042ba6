//! JPEG's Huffman codes as tables that are looked up, and the bits that they stand in.

/// Bits that the fast table looks at.
const FAST: u32 = 10;

/// A Huffman table, ready to decode: of a code it gives how many bits to take, how many coefficients to pass over, and how
/// many bits of a value follow.
///
/// An entry holds, from its lowest byte up: bits of code and value together, bits of the code, bits of the value, the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HuffmanTable {
    fast: Box<[u32; 1 << FAST]>,
    /// For longer codes: of each length, what a code of it is less than, at the upper end of 16 bits.
    limits: [u32; 17],
    /// What is added to a code of each length to find its symbol.
    offsets: [i32; 17],
    symbols: [u8; 256],
}

impl HuffmanTable {
    /// From the number of codes of 1 to 16 bits and the symbols in the order of their codes; `None` if no such code exists.
    ///
    /// # Source
    /// ITU-T T.81, annex C and F.2.2.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let total: usize = counts.iter().map(|count| usize::from(*count)).sum();
        if total == 0 || total > 256 || symbols.len() != total {
            return None;
        }
        let mut table = Self { fast: Box::new([0; 1 << FAST]), limits: [0; 17], offsets: [0; 17], symbols: [0; 256] };
        table.symbols[..total].copy_from_slice(symbols);
        let (mut code, mut place) = (0u32, 0usize);
        for length in 1..=16u32 {
            let count = u32::from(counts[length as usize - 1]);
            if code + count > 1 << length {
                return None;
            }
            table.offsets[length as usize] = place as i32 - code as i32;
            if length <= FAST {
                let wide = 1usize << (FAST - length);
                for symbol in &symbols[place..place + count as usize] {
                    let first = (code as usize) << (FAST - length);
                    table.fast[first..first + wide].fill(entry(length, *symbol));
                    (code, place) = (code + 1, place + 1);
                }
            } else {
                code += count;
                place += count as usize;
            }
            table.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    /// The entry of the code at the upper end of `bits`; 0 if there is none.
    #[inline(always)]
    pub(super) fn entry(&self, bits: u64) -> u32 {
        let entry = self.fast[(bits >> (64 - FAST)) as usize];
        if entry == 0 { self.long(bits) } else { entry }
    }

    #[cold]
    #[inline(never)]
    fn long(&self, bits: u64) -> u32 {
        let code = (bits >> 48) as u32;
        for length in FAST + 1..=16 {
            if code < self.limits[length as usize] {
                let place = (code >> (16 - length)) as i32 + self.offsets[length as usize];
                return entry(length, self.symbols[place as usize & 255]);
            }
        }
        0
    }
}

fn entry(length: u32, symbol: u8) -> u32 {
    let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
    (length + size) | length << 8 | size << 16 | run << 24
}

/// The bits of one stretch of entropy-coded data, from which stuffed zeros were taken. Beyond their end are zeros.
#[derive(Debug, Clone)]
pub struct EntropyBits<'a> {
    data: &'a [u8],
    /// The next byte that is not in `buffer`.
    next: usize,
    /// Bits not taken yet, from the upper end.
    buffer: u64,
    /// How many of them are there for certain.
    count: u32,
}

impl<'a> EntropyBits<'a> {
    /// The bits of `data`, to whose end eight zeros were added.
    ///
    /// # Panics
    /// Without these eight bytes.
    pub fn new(data: &'a [u8]) -> Self {
        assert!(data.ends_with(&[0; 8]), "eight zeros end the data");
        Self { data, next: 0, buffer: 0, count: 0 }
    }

    /// Whether more bits were taken than there are.
    pub fn is_beyond_end(&self) -> bool {
        8 * self.next > 8 * (self.data.len() - 8) + self.count as usize
    }

    /// Whether less than one byte is left.
    pub fn is_at_end(&self) -> bool {
        8 * self.next + 8 > 8 * (self.data.len() - 8) + self.count as usize
    }

    /// The next `count` bits as a number; 16 at most.
    #[inline(always)]
    pub(super) fn number(&mut self, count: u32) -> u32 {
        self.refill();
        let number = (self.buffer >> 1 >> (63 - count)) as u32;
        self.buffer <<= count;
        self.count = self.count.wrapping_sub(count);
        number
    }

    /// Makes sure that 56 bits are there: more than a code of 16 and a value of 15.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        // Always: whether bits are needed is what no processor can foretell. Bytes that are there in part are read again: the
        // same bits come to the same places.
        let word = match self.data.get(self.next..self.next + 8) {
            Some(bytes) => u64::from_be_bytes(bytes.try_into().expect("eight bytes")),
            None => 0,
        };
        self.buffer |= word >> self.count;
        self.next += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    #[inline(always)]
    pub(super) fn peek(&self) -> u64 {
        self.buffer
    }

    /// Takes the code and value of an entry and returns the value.
    #[inline(always)]
    pub(super) fn take(&mut self, entry: u32) -> i32 {
        let size = (entry >> 16) & 15;
        let rest = self.buffer << ((entry >> 8) & 31);
        self.buffer <<= entry & 63;
        self.count = self.count.wrapping_sub(entry & 63);
        // A value whose first bit is 0 is negative: its bits are those of the number plus 2^size − 1.
        let bits = ((rest >> 1) >> (63 - size)) as i32;
        let negative = !((rest as i64) >> 63) as i32;
        bits + (negative & (1 - (1 << size)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_short_and_long_give_their_symbols_and_values() {
        // Codes 0, 10, 110 and, of 12 bits, 1110 0000 0000.
        let mut counts = [0; 16];
        (counts[0], counts[1], counts[2], counts[11]) = (1, 1, 1, 1);
        let table = HuffmanTable::new(&counts, &[0x02, 0x13, 0x00, 0xF5]).expect("a code");
        // 0 11 → 3; 10 011 → −4 after a run of 1; 0 00 → −3; 111000000000 10001 → 17 after a run of 15; 110 → nothing.
        let bits = "0 11 10 011 0 00 111000000000 10001 110".replace(' ', "");
        let mut data: Vec<u8> = bits
            .as_bytes()
            .chunks(8)
            .map(|byte| byte.iter().enumerate().map(|(at, bit)| (bit - b'0') << (7 - at)).sum())
            .collect();
        data.extend([0; 8]);
        let mut reader = EntropyBits::new(&data);
        for (run, value) in [(0, 3), (1, -4), (0, -3), (15, 17), (0, 0)] {
            reader.refill();
            let entry = table.entry(reader.peek());
            assert_eq!((entry >> 24, reader.take(entry)), (run, value));
        }
        assert!(!reader.is_beyond_end() && reader.is_at_end());
        for _ in 0..9 {
            reader.refill();
            reader.take(1);
        }
        assert!(reader.is_beyond_end());
    }

    #[test]
    fn numbers_are_the_next_bits() {
        let data = [0b1010_0110, 0b1111_0000, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut reader = EntropyBits::new(&data);
        assert_eq!([0, 1, 3, 4, 1].map(|count| reader.number(count)), [0, 1, 0b010, 0b0110, 1]);
        assert!(reader.is_at_end() && !reader.is_beyond_end());
        assert_eq!((reader.number(7), reader.is_beyond_end()), (0b111_0000, false));
        assert_eq!((reader.number(1), reader.is_beyond_end()), (0, true));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let mut counts = [0; 16];
        assert_eq!(HuffmanTable::new(&counts, &[]), None, "empty");
        counts[0] = 3;
        assert_eq!(HuffmanTable::new(&counts, &[1, 2, 3]), None, "three codes of one bit");
        (counts[0], counts[15]) = (1, 1);
        assert_eq!(HuffmanTable::new(&counts, &[1]), None, "a symbol is missing");
        let table = HuffmanTable::new(&counts, &[1, 2]).expect("a code");
        assert_eq!(table.entry(u64::MAX), 0, "no code of ones");
        assert_eq!(table.entry(1 << 63), entry(16, 2));
    }
}
