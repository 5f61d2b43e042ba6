//! How many images each class keeps, and which classes are many, medium and few.

use longtail_recipe::ShotGroups;

/// Training images per class of an exponential long tail.
///
/// `N_k = ⌊base · f^(k/(K−1))⌋` with `f = 1/imbalance_factor`, in f64 and truncated, k = 0..K−1 in label order: class 0 is
/// the largest.
///
/// # Source
/// Cao et al. 2019, `imbalance_cifar.py` of LDAM-DRW; the same in BBN, MiSLAS, De-confound, LADE, TailCalibX, PaCo.
pub fn long_tailed_counts(base: u32, imbalance_factor: f64, num_classes: usize) -> Vec<u32> {
    let ratio = 1.0 / imbalance_factor;
    let last = num_classes.saturating_sub(1).max(1) as f64;
    (0..num_classes).map(|class| (f64::from(base) * ratio.powf(class as f64 / last)) as u32).collect()
}

/// A class's group by its training images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShotGroup {
    /// More than `many_above` images.
    Many,
    /// From `few_below` to `many_above` images.
    Medium,
    /// Fewer than `few_below` images.
    Few,
}

/// Classes in `[many, medium, few]`.
pub fn group_sizes(counts: &[u32], groups: &ShotGroups) -> [usize; 3] {
    sizes(counts, groups.many_above, groups.few_below)
}

pub(crate) fn group_of(count: u32, many_above: u32, few_below: u32) -> ShotGroup {
    if count > many_above {
        ShotGroup::Many
    } else if count < few_below {
        ShotGroup::Few
    } else {
        ShotGroup::Medium
    }
}

fn sizes(counts: &[u32], many_above: u32, few_below: u32) -> [usize; 3] {
    let mut sizes = [0; 3];
    for &count in counts {
        sizes[group_of(count, many_above, few_below) as usize] += 1;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// protocol.md §1.1: base, factor, total, last count, groups at >100 and <20.
    #[test]
    fn published_totals_and_groups() {
        for (base, factor, total, to_generate, last, groups) in [
            (500, 100.0, 10_847, 39_153, 5, [35, 35, 30]),
            (500, 50.0, 12_608, 37_392, 10, [41, 41, 18]),
            (500, 10.0, 19_573, 30_427, 50, [69, 31, 0]),
            (490, 100.0, 10_626, 38_374, 4, [34, 35, 31]),
            (490, 50.0, 12_354, 36_646, 9, [40, 41, 19]),
            (490, 10.0, 19_183, 29_817, 49, [68, 32, 0]),
        ] {
            let counts = long_tailed_counts(base, factor, 100);
            assert_eq!(counts.iter().sum::<u32>(), total, "base {base} factor {factor}");
            assert_eq!((counts[0], counts[99]), (base, last));
            assert_eq!(sizes(&counts, 100, 20), groups);
            assert_eq!(counts.iter().map(|&count| base - count).sum::<u32>(), to_generate);
        }
    }

    #[test]
    fn first_and_last_counts_at_factor_100() {
        let counts = long_tailed_counts(500, 100.0, 100);
        assert_eq!(counts[..12], [500, 477, 455, 434, 415, 396, 378, 361, 344, 328, 314, 299]);
        assert_eq!(counts[88..], [8, 7, 7, 7, 6, 6, 6, 6, 5, 5, 5, 5]);
    }

    #[test]
    fn the_edges() {
        assert_eq!(long_tailed_counts(7, 100.0, 1), [7]);
        assert_eq!(long_tailed_counts(7, 1.0, 3), [7, 7, 7]);
        assert!(long_tailed_counts(7, 1.0, 0).is_empty());
        assert_eq!(sizes(&[101, 100, 20, 19], 100, 20), [1, 2, 1]);
    }
}
