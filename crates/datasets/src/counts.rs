//! How many images each class keeps.

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

#[cfg(test)]
mod tests {
    use longtail_metrics::group_sizes;
    use longtail_recipe::ShotGroups;

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
            assert_eq!(group_sizes(&counts, ShotGroups::default()), groups);
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
    }
}
