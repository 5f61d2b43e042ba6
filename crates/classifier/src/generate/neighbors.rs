//! Which classes a row borrows from: the most similar prototypes, or the nearest means.

use longtail_ops::gemm_single;
use rayon::prelude::*;

use super::base_rows::BaseRows;
use super::laws::NO_CLASS;
use super::transform::norm;

/// Up to `per_row` classes for every row, best first, with the cosine between row and target.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbors {
    per_row: usize,
    class: Vec<u32>,
    cosine: Vec<f32>,
}

impl Neighbors {
    /// Most neighbours a row can have.
    pub fn per_row(&self) -> usize {
        self.per_row
    }

    /// The neighbours of one row, best first: class and cosine.
    pub fn of(&self, row: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let range = row * self.per_row..(row + 1) * self.per_row;
        self.class[range.clone()]
            .iter()
            .copied()
            .zip(self.cosine[range].iter().copied())
            .filter(|&(c, _)| c != NO_CLASS)
    }
}

/// Rows whose products with all targets are held at a time.
const BLOCK_ROWS: usize = 1024;

/// The `per_row` targets with the largest cosine to each row, among classes with strictly more rows than the row's own.
///
/// Ties go to the lower class. A row of the largest class has no candidate and no neighbour.
///
/// # Shapes
/// - `rows`: N rows of d values  - `targets`: `(K, d)`
/// # Source
/// mpcl_mpfa.md §3 step 4.
pub fn most_similar(rows: &BaseRows, targets: &[f32], per_row: usize) -> Neighbors {
    let counts = rows.store().counts();
    search(rows, targets, per_row, |own, class| counts[class] > counts[own], |cosine, _, _| cosine)
}

/// The `per_row` targets at the smallest Euclidean distance from each row, among all classes, the row's own too.
///
/// # Source
/// TailCalib's `generate_points`: `topk(-cdist(means, x))`.
pub fn nearest(rows: &BaseRows, targets: &[f32], per_row: usize) -> Neighbors {
    // ‖x − c‖² = ‖x‖² − 2x·c + ‖c‖²; ‖x‖² is the same for all classes
    search(rows, targets, per_row, |_, _| true, |_, product, target_norm| 2.0 * product - target_norm * target_norm)
}

fn search(
    rows: &BaseRows,
    targets: &[f32],
    per_row: usize,
    is_candidate: impl Fn(usize, usize) -> bool + Sync,
    score: impl Fn(f32, f32, f32) -> f32 + Sync,
) -> Neighbors {
    let (dim, classes) = (rows.dim(), rows.num_classes());
    let target_norms: Vec<f32> = targets.chunks_exact(dim).map(norm).collect();
    let mut class = vec![NO_CLASS; rows.len() * per_row];
    let mut cosine = vec![0f32; rows.len() * per_row];
    let blocks = class.par_chunks_mut(BLOCK_ROWS * per_row).zip(cosine.par_chunks_mut(BLOCK_ROWS * per_row));
    blocks.enumerate().for_each(|(block, (classes_out, cosines_out))| {
        let start = block * BLOCK_ROWS;
        let count = classes_out.len() / per_row;
        let (mut features, mut buffer) = (Vec::with_capacity(count * dim), vec![0f32; dim]);
        (start..start + count).for_each(|row| features.extend_from_slice(rows.get(row, &mut buffer)));
        let mut products = vec![0f32; count * classes];
        gemm_single(count, classes, dim, 1.0, &features, (dim, 1), targets, (1, dim), 0.0, &mut products, (classes, 1));
        let mut ranked: Vec<(f32, u32, f32)> = Vec::with_capacity(per_row + 1);
        for row in 0..count {
            let own = rows.labels()[start + row] as usize;
            let row_norm = norm(&features[row * dim..(row + 1) * dim]);
            ranked.clear();
            for (target, &product) in products[row * classes..(row + 1) * classes].iter().enumerate() {
                if is_candidate(own, target) {
                    let cosine = product / (row_norm * target_norms[target]).max(1e-12);
                    let score = score(cosine, product, target_norms[target]);
                    // Behind all that are as good: of equals, the lower class stays in front.
                    let at = ranked.partition_point(|better| better.0.total_cmp(&score).is_ge());
                    if at < per_row {
                        ranked.insert(at, (score, target as u32, cosine));
                        ranked.truncate(per_row);
                    }
                }
            }
            for (slot, &(_, target, cosine)) in ranked.iter().enumerate() {
                classes_out[row * per_row + slot] = target;
                cosines_out[row * per_row + slot] = cosine;
            }
        }
    });
    Neighbors { per_row, class, cosine }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::class_store::ClassStore;
    use super::super::transform::Tukey;
    use super::*;

    fn as_they_are(features: &[f32], labels: &[u32], classes: usize) -> BaseRows {
        let store = ClassStore::new(features, labels, classes, 2).expect("valid");
        BaseRows::new(Arc::new(store), Tukey::IDENTITY).expect("no power, nothing to refuse")
    }

    /// Classes of 3, 2 and 1 rows around the axes of the plane.
    fn rows() -> BaseRows {
        let features = [1.0, 0.0, 1.0, 0.1, 1.0, 0.2, 0.0, 1.0, 0.1, 1.0, 0.6, 0.8];
        as_they_are(&features, &[0, 0, 0, 1, 1, 2], 3)
    }

    #[test]
    fn only_larger_classes_are_candidates() {
        let neighbors = most_similar(&rows(), &[1.0, 0.0, 0.0, 1.0, 0.6, 0.8], 2);
        assert_eq!(neighbors.of(0).count(), 0, "the largest class has nobody to borrow from");
        assert_eq!(neighbors.of(3).map(|n| n.0).collect::<Vec<_>>(), vec![0], "class 2 is smaller");
        let last: Vec<(u32, f32)> = neighbors.of(5).collect();
        assert_eq!((last[0].0, last[1].0), (1, 0), "cos 0.8 before cos 0.6");
        assert!((last[0].1 - 0.8).abs() < 1e-6 && (last[1].1 - 0.6).abs() < 1e-6);
    }

    #[test]
    fn nearest_may_be_the_own_class() {
        let neighbors = nearest(&rows(), &[1.0, 0.0, 0.0, 1.0, 0.6, 0.8], 1);
        assert_eq!(neighbors.of(0).map(|n| n.0).collect::<Vec<_>>(), vec![0]);
        assert_eq!(neighbors.of(5).map(|n| n.0).collect::<Vec<_>>(), vec![2]);
    }

    #[test]
    fn length_matters_for_distance_only() {
        // target 1 points exactly along the row but is far away
        let rows = as_they_are(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0], &[0, 1, 1], 2);
        let targets = [1.0, 0.5, 9.0, 0.0];
        assert_eq!(nearest(&rows, &targets, 1).of(0).map(|n| n.0).collect::<Vec<_>>(), vec![0]);
        assert_eq!(most_similar(&rows, &targets, 1).of(0).map(|n| n.0).collect::<Vec<_>>(), vec![1]);
    }
}
