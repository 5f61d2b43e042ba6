//! MPFA's calibration: scaled prototypes, neighbours with their weights, β, and the law of each row.

use longtail_recipe::{BetaMode, MpfaRecipe, NeighborRule, NeighborWeights, ProtoScale};

use super::base_rows::BaseRows;
use super::class_store::ClassStore;
use super::factors::ClassFactors;
use super::laws::{Component, RowLaws};
use super::neighbors::{Neighbors, most_similar, nearest};
use super::transform::norm;
use crate::ClassifierError;

/// Classes with at least this many rows have a trusted mean norm (mpcl_mpfa.md §5 row 13).
pub const TRUSTED_COUNT: usize = 20;
/// Classes with more rows than this make the head covariance (row 38).
pub const HEAD_ABOVE: usize = 100;

/// The norm r_k that prototype k gets.
///
/// `class_norm`: ‖mean of class k's rows‖ where N_k ≥ 20, else the median of those (E‖mean_k‖² = ‖μ_k‖² + tr Σ_k/N_k, so small
/// classes are over-estimated). `head_median`: that median for every class. `unit`: 1.
///
/// # Shapes
/// `store`: rows before Tukey; returns `(K,)`.
///
/// # Source
/// mpcl_mpfa.md §5 row 13. Where no class has 20 rows, the median is over all classes (ours).
pub fn prototype_norms(store: &ClassStore, scale: ProtoScale) -> Vec<f32> {
    let classes = store.num_classes();
    let norms: Vec<f32> = store.means().chunks_exact(store.dim()).map(norm).collect();
    let trusted = |class: &usize| store.count(*class) >= TRUSTED_COUNT;
    let mut sorted: Vec<f32> = (0..classes).filter(trusted).map(|class| norms[class]).collect();
    if sorted.is_empty() {
        sorted.clone_from(&norms);
    }
    sorted.sort_by(f32::total_cmp);
    let middle = sorted.len() / 2;
    let median =
        if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + sorted[middle]) / 2.0 } else { sorted[middle] };
    match scale {
        ProtoScale::Unit => vec![1.0; classes],
        ProtoScale::HeadMedian => vec![median; classes],
        ProtoScale::ClassNorm => {
            (0..classes).map(|class| if trusted(&class) { norms[class] } else { median }).collect()
        }
    }
}

/// Prototypes ĉ_k as class means: clamped at 0 where asked for and where features are post-ReLU, then scaled to norm r_k.
///
/// # Shapes
/// - `prototypes`: `(K, d)`, any length  - `store`: rows before Tukey  - returns `(K, d)`
/// # Errors
/// [`ClassifierError::NoPrototype`] for a class whose prototype is zero: stage 1 never saw it, or clamping left nothing.
///
/// # Source
/// mpcl_mpfa.md §5 rows 13, 14 and 37.
pub fn scale_prototypes(
    prototypes: &[f32],
    store: &ClassStore,
    scale: ProtoScale,
    clamp: bool,
) -> Result<Vec<f32>, ClassifierError> {
    let dim = store.dim();
    let clamp = clamp && store.features().iter().all(|&value| value >= 0.0);
    let mut out = prototypes.to_vec();
    for ((class, row), length) in out.chunks_exact_mut(dim).enumerate().zip(prototype_norms(store, scale)) {
        if clamp {
            row.iter_mut().for_each(|value| *value = value.max(0.0));
        }
        let before = norm(row);
        if before <= 1e-12 {
            return Err(ClassifierError::NoPrototype { class });
        }
        row.iter_mut().for_each(|value| *value *= length / before);
    }
    Ok(out)
}

/// Neighbours, their weights and β of one set of features: all of Eq. 10 but α.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    neighbors: Neighbors,
    rule: NeighborWeights,
    labels: Vec<u32>,
    diagonal_variance: f64,
    shared_variance: f64,
}

impl Calibration {
    /// Finds every row's neighbours and the size of β.
    ///
    /// # Shapes
    /// - `tukeyed`: rows z̃  - `prototypes`: `(K, d)`, scaled  - `factors`: of the covariances in use
    ///
    /// # Source
    /// mpcl_mpfa.md §3 steps 4 and 6, §5 rows 19 to 23 and 38.
    pub fn new(recipe: &MpfaRecipe, tukeyed: &BaseRows, prototypes: &[f32], factors: &ClassFactors) -> Self {
        let neighbors = match recipe.neighbor_rule {
            NeighborRule::L2All => nearest(tukeyed, prototypes, recipe.neighbors),
            NeighborRule::CosLarger => most_similar(tukeyed, prototypes, recipe.neighbors),
        };
        let (diagonal_variance, shared_variance) = match recipe.beta_mode {
            BetaMode::AbsDiag => (recipe.beta, 0.0),
            BetaMode::AbsAll => (0.0, recipe.beta),
            BetaMode::RelDiag => (recipe.beta * head_trace(factors) / factors.dim() as f64, 0.0),
        };
        Self { neighbors, rule: recipe.weights, labels: tukeyed.labels().to_vec(), diagonal_variance, shared_variance }
    }

    /// The neighbours in use.
    pub fn neighbors(&self) -> &Neighbors {
        &self.neighbors
    }

    /// Effective weights ω of one row's neighbours, best first: softmax of the cosines, that over M_i, or 1/M_i.
    ///
    /// # Source
    /// mpcl_mpfa.md §3 steps 4 and 6.
    pub fn weights(&self, row: usize) -> Vec<f64> {
        let cosines: Vec<f64> = self.neighbors.of(row).map(|(_, cosine)| f64::from(cosine)).collect();
        let count = cosines.len() as f64;
        if self.rule == NeighborWeights::Uniform {
            return vec![1.0 / count; cosines.len()];
        }
        let largest = cosines.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exponentials: Vec<f64> = cosines.iter().map(|cosine| (cosine - largest).exp()).collect();
        let mut total: f64 = exponentials.iter().sum();
        if self.rule == NeighborWeights::SoftmaxOverM {
            total *= count;
        }
        exponentials.into_iter().map(|e| e / total).collect()
    }

    /// Eq. 10 for every row, with `alpha[k]` for the rows of class k:
    ///
    /// `mean = (1−α)·z̃ + α·Σ ω_j·ĉ_j`, `cov = (1−α)²·Σ_own + α²·Σ ω_j·Σ_j + β`.
    ///
    /// Slot 0 is the own class, slot 1 + s the s-th neighbour.
    ///
    /// # Shapes
    /// `alpha`: `(K,)` in [0, 1].
    ///
    /// # Source
    /// mpcl_mpfa.md §3 step 6 and §6.1.
    pub fn laws(&self, alpha: &[f64]) -> RowLaws {
        let mut laws = RowLaws::new(self.labels.len(), self.neighbors.per_row() + 1);
        laws.diagonal_variance = self.diagonal_variance;
        laws.shared_variance = self.shared_variance;
        let mut components = Vec::with_capacity(laws.slots());
        for (row, &label) in self.labels.iter().enumerate() {
            let alpha = alpha[label as usize];
            components.clear();
            components.push(Component { class: label, mean_weight: 0.0, noise_weight: (1.0 - alpha) as f32 });
            components.extend(self.neighbors.of(row).zip(self.weights(row)).map(|((class, _), weight)| Component {
                class,
                mean_weight: (alpha * weight) as f32,
                noise_weight: (alpha * weight.sqrt()) as f32,
            }));
            laws.set(row, (1.0 - alpha) as f32, &components);
        }
        laws
    }
}

/// tr Σ̄_head: the mean trace over classes with more than 100 rows, or over the largest third if there are none.
///
/// # Source
/// mpcl_mpfa.md §5 row 38.
pub fn head_trace(factors: &ClassFactors) -> f64 {
    let counts = factors.counts();
    let mut head: Vec<usize> = (0..counts.len()).filter(|&class| counts[class] > HEAD_ABOVE).collect();
    if head.is_empty() {
        let mut by_count: Vec<usize> = (0..counts.len()).collect();
        by_count.sort_by_key(|&class| (std::cmp::Reverse(counts[class]), class));
        by_count.truncate(counts.len().div_ceil(3));
        head = by_count;
    }
    head.iter().map(|&class| factors.trace(class)).sum::<f64>() / head.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn store(counts: &[usize], value: impl Fn(usize, usize) -> f32) -> ClassStore {
        let labels: Vec<u32> =
            counts.iter().enumerate().flat_map(|(class, &count)| vec![class as u32; count]).collect();
        let features: Vec<f32> = labels
            .iter()
            .flat_map(|&label| (0..2).map(move |column| (label as usize, column)))
            .map(|(class, column)| value(class, column))
            .collect();
        ClassStore::new(&features, &labels, counts.len(), 2).expect("valid")
    }

    #[test]
    fn small_classes_get_the_median_norm() {
        // norms 5, 10 and 20 for counts 30, 25 and 3
        let store = store(&[30, 25, 3], |class, column| [3.0, 4.0][column] * [1.0, 2.0, 4.0][class]);
        assert_eq!(prototype_norms(&store, ProtoScale::ClassNorm), vec![5.0, 10.0, 7.5]);
        assert_eq!(prototype_norms(&store, ProtoScale::HeadMedian), vec![7.5; 3]);
        assert_eq!(prototype_norms(&store, ProtoScale::Unit), vec![1.0; 3]);
    }

    #[test]
    fn clamping_keeps_the_norm() {
        let store = store(&[30, 25], |class, _| 1.0 + class as f32);
        let scaled = scale_prototypes(&[3.0, -4.0, 1.0, 1.0], &store, ProtoScale::Unit, true).expect("not zero");
        assert_eq!(&scaled[..2], &[1.0, 0.0]);
        let scaled = scale_prototypes(&[3.0, -4.0, 1.0, 1.0], &store, ProtoScale::Unit, false).expect("not zero");
        assert!((scaled[0] - 0.6).abs() < 1e-6 && (scaled[1] + 0.8).abs() < 1e-6);
        let error = scale_prototypes(&[3.0, -4.0, 0.0, 0.0], &store, ProtoScale::Unit, true).expect_err("unseen");
        assert!(matches!(error, ClassifierError::NoPrototype { class: 1 }), "{error}");
    }

    #[test]
    fn the_largest_third_stands_in_for_the_head() {
        // classes of 3, 2 and 1 rows: the largest third is class 0
        let features = [0.0, 0.0, 2.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0, 9.0, 1.0, 1.0];
        let store = ClassStore::new(&features, &[0, 0, 0, 1, 1, 2], 3, 2).expect("valid");
        let centers = store.means();
        let factors = ClassFactors::new(Arc::new(store), centers).expect("factors");
        assert!((head_trace(&factors) - 4.0).abs() < 1e-12, "variance of 0, 2, 4 is 4");
    }
}
