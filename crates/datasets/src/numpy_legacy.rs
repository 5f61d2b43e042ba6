//! NumPy's legacy generator, for subsets that are, image by image, those of the published code.

const WORDS: usize = 624;
const SHIFT: usize = 397;

/// `numpy.random.RandomState(seed)`: MT19937 seeded by `init_genrand`, and the two draws that published splits use.
///
/// # Source
/// Matsumoto and Nishimura 1998; the legacy `shuffle` of NumPy, restated in protocol.md §1.2 and checked against its
/// vectors and against NumPy 2.4.
#[derive(Clone)]
pub struct NumpyLegacy {
    state: [u32; WORDS],
    next: usize,
}

impl NumpyLegacy {
    /// `s_0 = seed, s_i = 1812433253·(s_{i−1} ⊕ s_{i−1} ≫ 30) + i`.
    pub fn new(seed: u32) -> Self {
        let mut state = [seed; WORDS];
        for i in 1..WORDS {
            let previous = state[i - 1];
            state[i] = 1_812_433_253u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: WORDS }
    }

    /// The next 32-bit word.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == WORDS {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    fn twist(&mut self) {
        for i in 0..WORDS {
            let mixed = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % WORDS] & 0x7fff_ffff);
            let matrix = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + SHIFT) % WORDS] ^ (mixed >> 1) ^ matrix;
        }
        self.next = 0;
    }

    /// Uniform in `0..=max`: words masked to the bits of `max`, drawn again until not above it.
    pub fn bounded(&mut self, max: u32) -> u32 {
        if max == 0 {
            return 0; // NumPy draws no word here
        }
        let mask = u32::MAX >> max.leading_zeros();
        loop {
            let value = self.next_u32() & mask;
            if value <= max {
                return value;
            }
        }
    }

    /// In-place shuffle: for `i` from the last index down to 1, swap `i` with `bounded(i)`.
    ///
    /// # Panics
    /// If there are more than 2³² items.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.bounded(u32::try_from(i).expect("fewer than 2^32 items"));
            items.swap(i, j as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference output of `init_genrand(5489)`, the default of the authors' `mt19937ar.c` and of C++'s `std::mt19937`.
    #[test]
    fn the_ten_thousandth_word_is_that_of_the_standard() {
        let mut generator = NumpyLegacy::new(5489);
        assert_eq!(generator.next_u32(), 3_499_211_612);
        let last = (1..10_000).map(|_| generator.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    #[test]
    fn shuffles_as_numpy_does() {
        for (seed, expected) in [(0, [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]), (42, [8, 1, 5, 0, 7, 2, 9, 4, 3, 6])] {
            let mut items: Vec<u32> = (0..10).collect();
            NumpyLegacy::new(seed).shuffle(&mut items);
            assert_eq!(items, expected);
        }
    }

    #[test]
    fn nothing_and_one_item_draw_no_word() {
        let mut generator = NumpyLegacy::new(1);
        let mut untouched = generator.clone();
        generator.shuffle::<u32>(&mut []);
        generator.shuffle(&mut [5]);
        assert_eq!(generator.next_u32(), untouched.next_u32());
    }
}
