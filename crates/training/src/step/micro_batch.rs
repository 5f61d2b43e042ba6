//! How a batch is cut into parts; the recipe's `micro_batch`.

use std::ops::Range;

/// How a batch is cut; the recipe's `micro_batch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MicroBatch {
    /// Most images in a part.
    most: usize,
    /// Batches of the usual size are cut, so that no tape outlives its pass.
    cuts: bool,
}

impl MicroBatch {
    /// Nothing is cut.
    pub const WHOLE: Self = Self { most: usize::MAX, cuts: false };

    /// For batches of up to `batch_size` images; `most` 0 cuts nothing.
    pub fn new(most: usize, batch_size: usize) -> Self {
        match most {
            0 => Self::WHOLE,
            most => Self { most, cuts: batch_size > most },
        }
    }

    /// Whether one tape serves all passes, which are then run again for each use.
    pub fn cuts(self) -> bool {
        self.cuts
    }

    /// The fewest parts of `n` images that are as equal as can be and no larger than allowed, but that no part of several is
    /// a single image: batch norm needs two.
    pub fn parts(self, n: usize) -> Vec<Range<usize>> {
        let count = n.div_ceil(self.most.max(1)).min((n / 2).max(1));
        (0..count).map(|part| part * n / count..(part + 1) * n / count).filter(|part| !part.is_empty()).collect()
    }

    /// Images of the largest part of a batch of `n`.
    pub fn largest(self, n: usize) -> usize {
        self.parts(n).iter().map(ExactSizeIterator::len).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_equal_and_never_a_single_image() {
        let parts = |most, n| MicroBatch::new(most, n).parts(n).iter().map(ExactSizeIterator::len).collect::<Vec<_>>();
        assert_eq!(parts(0, 7), [7]);
        assert_eq!(parts(7, 7), [7]);
        assert_eq!(parts(4, 8), [4, 4]);
        assert_eq!(parts(4, 9), [3, 3, 3]);
        assert_eq!(parts(32, 33), [16, 17]);
        assert_eq!(parts(2, 5), [2, 3]);
        assert_eq!(parts(2, 3), [3]);
        assert_eq!(parts(2, 1), [1]);
        assert_eq!(parts(5, 0), Vec::<usize>::new());
        for (most, n) in [(3, 100), (7, 50), (64, 1000)] {
            let parts = MicroBatch::new(most, n).parts(n);
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start) && parts.iter().all(|p| p.len() <= most));
            assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, n));
        }
    }
}
