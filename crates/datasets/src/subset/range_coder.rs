//! A binary arithmetic coder: each bit with the probability that the model gives it, in 32-bit integers, without carries.

/// Whichever end of the stream a model drives: the encoder writes the bit it is given, the decoder finds it out.
pub(super) trait BitCoder {
    /// Codes one bit that is 1 with probability `p / 65536`, `p` in `1..=65535`.
    ///
    /// The encoder writes `bit` and returns it; the decoder ignores `bit` and returns what was written.
    fn code(&mut self, bit: bool, p: u32) -> bool;
}

/// Where `p` divides the range `low..=high`: ones lie at or below.
#[inline]
fn split(low: u32, high: u32, p: u32) -> u32 {
    low + ((u64::from(high - low) * u64::from(p)) >> 16) as u32
}

/// Writes bits into bytes.
pub(super) struct Encoder {
    low: u32,
    high: u32,
    bytes: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { low: 0, high: u32::MAX, bytes: Vec::new() }
    }

    /// The stream, closed. Four bytes of the range suffice for the decoder to tell every bit.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&self.low.to_be_bytes());
        self.bytes
    }
}

impl BitCoder for Encoder {
    #[inline]
    fn code(&mut self, bit: bool, p: u32) -> bool {
        let middle = split(self.low, self.high, p);
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.bytes.push((self.high >> 24) as u8);
            self.low <<= 8;
            self.high = (self.high << 8) | 255;
        }
        bit
    }
}

/// Reads the bits back.
pub(super) struct Decoder<'a> {
    low: u32,
    high: u32,
    code: u32,
    bytes: &'a [u8],
    next: usize,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut this = Self { low: 0, high: u32::MAX, code: 0, bytes, next: 0 };
        for _ in 0..4 {
            this.shift();
        }
        this
    }

    /// How many bytes were asked for and not there; none in a whole stream.
    pub(super) fn missing(&self) -> usize {
        self.next.saturating_sub(self.bytes.len())
    }

    /// How many bytes nobody asked for; none in a whole stream that was read to its end.
    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.next)
    }

    #[inline]
    fn shift(&mut self) {
        self.code = (self.code << 8) | u32::from(self.bytes.get(self.next).copied().unwrap_or(0));
        self.next += 1;
    }
}

impl BitCoder for Decoder<'_> {
    #[inline]
    fn code(&mut self, _: bool, p: u32) -> bool {
        let middle = split(self.low, self.high, p);
        let bit = self.code <= middle;
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.low <<= 8;
            self.high = (self.high << 8) | 255;
            self.shift();
        }
        bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_back_under_every_probability() {
        let mut state = 1u32;
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let bits: Vec<(bool, u32)> = (0..20_000)
            .map(|i| {
                let p = [1, 65_535, 32_768, 1 + draw() % 65_535][i % 4];
                (draw() % 65_536 < p, p)
            })
            .collect();
        let mut encoder = Encoder::new();
        for &(bit, p) in &bits {
            encoder.code(bit, p);
        }
        let bytes = encoder.finish();
        let mut decoder = Decoder::new(&bytes);
        for &(bit, p) in &bits {
            assert_eq!(decoder.code(false, p), bit);
        }
        assert_eq!((decoder.missing(), decoder.left()), (0, 0));
    }
}
