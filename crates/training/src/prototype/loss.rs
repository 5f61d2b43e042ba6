//! L_PC: each feature against the prototypes of all classes seen so far.

use candle_core::{D, DType, Tensor};

use super::seen::{SeenClasses, select_rows};
use crate::head::normalize_rows;
use crate::step::{Seen, Term};
use crate::{CrossEntropy, TrainingError};

/// What features are contrasted against; constants of a step.
#[derive(Debug, Clone)]
pub struct Contrast<'a> {
    /// c or c' of the seen classes, (K_seen, d).
    pub prototypes: &'a Tensor,
    /// Which classes those are.
    pub seen: &'a SeenClasses,
    /// λ now, at least 0.
    pub lambda: f64,
    /// Temperature τ, above 0.
    pub tau: f64,
}

impl Contrast<'_> {
    /// `λ·L_PC` as a term of a step's loss; none if no sample's class is seen.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn term(&self, name: &'static str, seen: &Seen<'_>) -> Result<Option<Term>, TrainingError> {
        let value = prototype_loss(seen.features, seen.labels, self.prototypes, self.seen, self.tau)?;
        Ok(value.map(|value| Term { name, value, share: seen.share(), weight: self.lambda }))
    }
}

/// The similarities `s = u·ĉᵀ/τ`.
///
/// # Shapes
/// - `unit`: (n, d) unit rows  - `unit_prototypes`: (K_seen, d) unit rows  - returns (n, K_seen)
/// # Errors
/// If shapes do not fit.
pub fn similarities(unit: &Tensor, unit_prototypes: &Tensor, tau: f64) -> Result<Tensor, TrainingError> {
    Ok((unit.matmul(&unit_prototypes.t()?)? / tau)?)
}

/// `L_PC = −(1/n)·Σ_i log softmax_k(u_i·ĉ_k/τ)_{y_i}`, in nats, differentiable in `features` and `prototypes`.
///
/// Classes without a prototype are no part of the softmax, and their samples add nothing to the sum; n counts them still,
/// so that a batch of mostly unseen classes has little weight. `None` if no sample's class is seen.
///
/// # Shapes
/// - `features`: z, (n, d), normalised here  - `labels`: (n)  - `prototypes`: (K_seen, d) in the order of
///   `seen.classes()`, normalised here  - returns a scalar
/// # Errors
/// If shapes do not fit.
/// # Source
/// Eq. 2; mpcl_mpfa.md §1, §5 rows 2 and 37.
pub fn prototype_loss(
    features: &Tensor,
    labels: &[u32],
    prototypes: &Tensor,
    seen: &SeenClasses,
    tau: f64,
) -> Result<Option<Tensor>, TrainingError> {
    let (rows, targets) = seen.members(labels);
    if rows.is_empty() {
        return Ok(None);
    }
    let unit = normalize_rows(&select_rows(features, &rows)?)?;
    let similarities = similarities(&unit, &normalize_rows(prototypes)?, tau)?;
    let mean = CrossEntropy::default().of(&similarities, &targets)?;
    Ok(Some(if rows.len() == labels.len() { mean } else { (mean * (rows.len() as f64 / labels.len() as f64))? }))
}

/// softmax over the last axis, composed of operations that candle can differentiate twice; the maximum is a constant.
pub(super) fn softmax_rows(logits: &Tensor) -> Result<Tensor, TrainingError> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?.exp()?;
    Ok(shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?)
}

/// The constant `(n, K)` matrix of the type and device of `like` with a one at each row's target.
pub(super) fn one_hot(targets: &[u32], classes: usize, like: &Tensor) -> Result<Tensor, TrainingError> {
    let mut values = vec![0f32; targets.len() * classes];
    for (row, &target) in targets.iter().enumerate() {
        values[row * classes + target as usize] = 1.0;
    }
    let ones = Tensor::from_vec(values, (targets.len(), classes), like.device())?;
    Ok(if like.dtype() == DType::F32 { ones } else { ones.to_dtype(like.dtype())? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scalar;

    fn all_seen(classes: u32) -> SeenClasses {
        SeenClasses::new((0..classes).collect(), classes as usize)
    }

    #[test]
    fn two_orthogonal_prototypes_by_hand() {
        // u = c_0: s = (1/τ, 0) with τ = 1/2: loss = log(1 + e^{−2}).
        let features = f64::constant(&[5.0, 0.0], &[1, 2]).expect("1·2");
        let prototypes = f64::constant(&[2.0, 0.0, 0.0, 0.3], &[2, 2]).expect("2·2");
        let loss = prototype_loss(&features, &[0], &prototypes, &all_seen(2), 0.5).expect("fits").expect("seen");
        let expected = (1.0 + (-2.0f64).exp()).ln();
        assert!((loss.to_scalar::<f64>().expect("scalar") - expected).abs() < 1e-12);
    }

    #[test]
    fn unseen_classes_are_left_out_and_their_samples_add_nothing() {
        let features = f64::variable(&[5.0, 0.0, 1.0, 1.0], &[2, 2]).expect("2·2");
        let prototypes = f64::constant(&[2.0, 0.0, 0.0, 0.3], &[2, 2]).expect("2·2");
        let seen = SeenClasses::new(vec![0, 2], 3);
        let loss = prototype_loss(&features, &[0, 1], &prototypes, &seen, 0.5).expect("fits").expect("one is seen");
        let expected = 0.5 * (1.0 + (-2.0f64).exp()).ln();
        assert!((loss.to_scalar::<f64>().expect("scalar") - expected).abs() < 1e-12);
        let store = loss.backward().expect("differentiable");
        let gradient = f64::values(store.get(&features).expect("a gradient")).expect("f64");
        assert_eq!(gradient[2..], [0.0, 0.0]);
        let none = prototype_loss(&features, &[1, 1], &prototypes, &seen, 0.5).expect("fits");
        assert!(none.is_none());
    }

    #[test]
    fn softmax_rows_sum_to_one() {
        let logits = f64::constant(&[0.0, 0.0, 1000.0, 0.0], &[2, 2]).expect("2·2");
        assert_eq!(f64::values(&softmax_rows(&logits).expect("fits")).expect("f64"), vec![0.5, 0.5, 1.0, 0.0]);
        assert_eq!(f64::values(&one_hot(&[1, 0], 2, &logits).expect("fits")).expect("f64"), vec![0.0, 1.0, 1.0, 0.0]);
    }
}
