//! How many rows are generated from which source row.

use longtail_ops::{below, shuffle, stream};
use longtail_recipe::{CountRule, TailRule};

/// The rows to generate in one epoch: for generated row g, the source row (sorted position) it is drawn around.
///
/// Class after class; within a class, all sources once, then all again, and so on, the random remainder last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPlan {
    sources: Vec<u32>,
    per_class: Vec<usize>,
}

/// Who gets the rows that are left when every source of a class has had ⌊(N_1 − N_k)/N_k⌋.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remainder {
    /// Distinct sources at random (ours, for MPFA): no source is more than one copy ahead of another.
    Distinct,
    /// Independent draws with replacement, as TailCalib's `get_sample_count` does.
    WithReplacement,
}

/// Is this class raised to the largest class's count?
///
/// # Source
/// mpcl_mpfa.md §5 row 25.
pub fn is_tail(rule: TailRule, count: usize, max_count: usize) -> bool {
    let below_max = count < max_count;
    match rule {
        TailRule::Below100 => below_max && count < 100,
        TailRule::Below20 => below_max && count < 20,
        TailRule::BelowMax => below_max,
    }
}

impl RowPlan {
    /// Rows such that every tail class has exactly `N_1` with its own, or (`ceil`) `max(⌈N_1/N_k − 1⌉, 1)` per source.
    ///
    /// The remainder is drawn from the stream (`seed`, `purpose`, `epoch`, class), so that it is the same for every thread
    /// count and order of classes.
    ///
    /// # Shapes
    /// `counts`: `(K,)`, rows of each class, all at least 1; class k's sources are numbered on from those of class k − 1.
    ///
    /// # Source
    /// mpcl_mpfa.md §3 step 5 and §5 row 26; `with_replacement` as TailCalib's `get_sample_count`.
    pub fn new(
        counts: &[usize],
        tail: TailRule,
        rule: CountRule,
        remainder: Remainder,
        seed: u64,
        purpose: &str,
        epoch: u64,
    ) -> Self {
        let max_count = counts.iter().copied().max().unwrap_or(0);
        let mut sources = Vec::new();
        let mut per_class = Vec::with_capacity(counts.len());
        let mut start = 0usize;
        for (class, &count) in counts.iter().enumerate() {
            let before = sources.len();
            let members = start as u32..(start + count) as u32;
            start += count;
            if rule == CountRule::Ceil && (is_tail(tail, count, max_count) || tail == TailRule::BelowMax) {
                // The paper's ceiling gives the largest class one copy too.
                let copies = max_count.div_ceil(count).saturating_sub(1).max(1);
                (0..copies).for_each(|_| sources.extend(members.clone()));
            } else if is_tail(tail, count, max_count) {
                let missing = max_count - count;
                (0..missing / count).for_each(|_| sources.extend(members.clone()));
                let left = missing % count;
                let mut rng = stream(seed, purpose, epoch, class as u64);
                match remainder {
                    Remainder::Distinct => {
                        let mut candidates: Vec<u32> = members.collect();
                        shuffle(&mut rng, &mut candidates);
                        sources.extend_from_slice(&candidates[..left]);
                    }
                    Remainder::WithReplacement => {
                        sources.extend((0..left).map(|_| members.start + below(&mut rng, count as u64) as u32));
                    }
                }
            }
            per_class.push(sources.len() - before);
        }
        Self { sources, per_class }
    }

    /// The source row of every generated row, `(G,)`.
    pub fn sources(&self) -> &[u32] {
        &self.sources
    }

    /// Generated rows G.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// True when nothing is to be generated (a balanced set).
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Generated rows of each class, `(K,)`.
    pub fn per_class(&self) -> &[usize] {
        &self.per_class
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(counts: &[usize], rule: CountRule, remainder: Remainder) -> RowPlan {
        RowPlan::new(counts, TailRule::BelowMax, rule, remainder, 3, "test", 5)
    }

    #[test]
    fn exact_counts_reach_the_largest_class() {
        let counts = [10, 4, 3, 1];
        for remainder in [Remainder::Distinct, Remainder::WithReplacement] {
            let plan = plan(&counts, CountRule::Exact, remainder);
            assert_eq!(plan.per_class(), &[0, 6, 7, 9]);
            assert_eq!(plan.len(), 22);
        }
    }

    #[test]
    fn distinct_remainders_differ_by_one_copy_at_most() {
        let plan = plan(&[10, 4, 3], CountRule::Exact, Remainder::Distinct);
        let copies = |source: u32| plan.sources().iter().filter(|&&s| s == source).count();
        // class 1 (sources 10..14): 6 rows over 4 sources; class 2 (14..17): 7 rows over 3
        let second: Vec<usize> = (10..14).map(copies).collect();
        assert!(second.iter().all(|&c| c == 1 || c == 2) && second.iter().sum::<usize>() == 6);
        let third: Vec<usize> = (14..17).map(copies).collect();
        assert!(third.iter().all(|&c| c == 2 || c == 3) && third.iter().sum::<usize>() == 7);
    }

    #[test]
    fn ceil_gives_the_head_one_copy_each() {
        // ⌈10/10 − 1⌉ = 0 → 1; ⌈10/4 − 1⌉ = 2; ⌈10/3 − 1⌉ = 3
        let plan = plan(&[10, 4, 3], CountRule::Ceil, Remainder::Distinct);
        assert_eq!(plan.per_class(), &[10, 8, 9]);
    }

    #[test]
    fn tail_rules() {
        let counts = [200, 100, 99, 20, 19];
        let rows =
            |rule| RowPlan::new(&counts, rule, CountRule::Exact, Remainder::Distinct, 0, "t", 0).per_class().to_vec();
        assert_eq!(rows(TailRule::BelowMax), vec![0, 100, 101, 180, 181]);
        assert_eq!(rows(TailRule::Below100), vec![0, 0, 101, 180, 181]);
        assert_eq!(rows(TailRule::Below20), vec![0, 0, 0, 0, 181]);
    }

    #[test]
    fn the_remainder_changes_with_the_epoch() {
        let at =
            |epoch| RowPlan::new(&[50, 30], TailRule::BelowMax, CountRule::Exact, Remainder::Distinct, 1, "t", epoch);
        assert_ne!(at(0), at(1));
        assert_eq!(at(1), at(1));
    }
}
