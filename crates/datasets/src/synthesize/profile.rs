//! How many training images each class has, and that labels are not sorted by it.

use longtail_ops::{shuffle, stream};

/// The largest class over the smallest, before rounding.
const IMBALANCE: f64 = 10.0;
/// A class of one image has no covariance.
const SMALLEST: usize = 2;

/// Training images by label: `total` in all, falling like `1/(rank + c)` with `c` such that the first rank has
/// [`IMBALANCE`] times the last; ranks are dealt to labels at random, as ImageNet-LT's are not sorted either.
///
/// Expects `total ≥ 2·classes` and `classes ≥ 2`.
pub fn class_counts(classes: usize, total: usize, seed: u64) -> Vec<usize> {
    let offset = (classes - 1) as f64 / (IMBALANCE - 1.0);
    let weights: Vec<f64> = (0..classes).map(|rank| 1.0 / (rank as f64 + offset)).collect();
    let sum: f64 = weights.iter().sum();
    let spare = (total - SMALLEST * classes) as f64;
    // What is above the smallest is shared out; the rounding's rest goes to the largest, one each.
    let floor = spare * weights[classes - 1] / sum;
    let share = |weight: f64| {
        if floor >= SMALLEST as f64 { total as f64 * weight / sum } else { SMALLEST as f64 + spare * weight / sum }
    };
    let mut by_rank: Vec<usize> = weights.iter().map(|&weight| share(weight) as usize).collect();
    let rest = total - by_rank.iter().sum::<usize>();
    for rank in 0..rest {
        by_rank[rank % classes] += 1;
    }
    let mut ranks: Vec<usize> = (0..classes).collect();
    shuffle(&mut stream(seed, "synthesize/ranks", 0, 0), &mut ranks);
    ranks.into_iter().map(|rank| by_rank[rank]).collect()
}

/// Thresholds (many above, few below) that put about a fifth of the classes into many and a third into few.
pub fn shot_groups(class_counts: &[usize]) -> [usize; 2] {
    let mut sorted = class_counts.to_vec();
    sorted.sort_unstable_by(|left, right| right.cmp(left));
    let classes = sorted.len();
    // Thresholds are strict: the class at the first place is not many, the one at the second is not few.
    let many_above = sorted[classes.div_ceil(5).min(classes - 1)];
    let few_below = sorted[(classes - 1).saturating_sub(classes.div_ceil(3))];
    [many_above, few_below.min(many_above)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_fall_off_and_are_not_sorted() {
        for (classes, total) in [(20, 300), (6, 60), (2, 4), (100, 200), (1000, 115_846)] {
            let counts = class_counts(classes, total, 0);
            assert_eq!(counts.len(), classes);
            assert_eq!(counts.iter().sum::<usize>(), total, "{classes} classes");
            assert!(counts.iter().all(|&count| count >= 2), "{classes} classes");
        }
        let counts = class_counts(20, 300, 0);
        let (most, least) = (counts.iter().max().expect("20"), counts.iter().min().expect("20"));
        assert!(*most >= 8 * least, "{counts:?}");
        assert!(!counts.is_sorted_by(|left, right| left >= right), "{counts:?}");
    }

    #[test]
    fn all_three_groups_are_there_at_the_suggested_thresholds() {
        for (classes, total) in [(20, 300), (6, 60), (100, 2000)] {
            let counts = class_counts(classes, total, 0);
            let [many_above, few_below] = shot_groups(&counts);
            let many = counts.iter().filter(|&&count| count > many_above).count();
            let few = counts.iter().filter(|&&count| count < few_below).count();
            assert!(many >= 1 && few >= classes / 5 && many + few < classes, "{many_above} {few_below} {counts:?}");
        }
    }
}
