//! u̇: how the unit features of a batch move when the backbone's weights move along v.

use std::ops::Range;

use longtail_backbone::{Network, NormMode, Tape};
use longtail_training::Scalar;

use crate::RepresentationError;
use crate::unit_features::UnitRows;

/// Where δ, the relative change of the unit features, should lie (f32 round-off ~1e-6/δ, truncation ~δ²).
const GOOD_CHANGE: std::ops::RangeInclusive<f64> = 3e-3..=3e-2;
/// The best δ.
const BEST_CHANGE: f64 = 1e-2;
/// How often a step size outside the range is corrected before the best so far is taken.
const MAX_CORRECTIONS: usize = 3;

/// Exactly, by forward-mode differentiation along the tape of the forward that made the features; costs two forwards.
///
/// # Shapes
/// - `weights`, `direction`: the backbone's  - returns u̇, (n, d)
/// # Errors
/// If sizes do not fit.
/// # Source
/// mpcl_mpfa.md §4.4 (a).
pub fn forward_mode<T: Scalar>(
    network: &mut Network<T>,
    weights: &[T],
    tape: &Tape<T>,
    direction: &[T],
) -> Result<Vec<T>, RepresentationError> {
    let dim = network.feature_dim();
    let mut features_dot = vec![T::ZERO; tape.batch() * dim];
    network.jvp(weights, tape, direction, &mut features_dot)?;
    Ok(UnitRows::of(tape.features(), dim).tangent(&features_dot))
}

/// `[u(W + εv) − u(W − εv)]/(2ε)` and δ = ‖u(W + εv) − u(W − εv)‖/(2‖u‖); two forwards with the batch's own statistics,
/// running ones untouched. The batch goes through in `parts`, which are in order and cover it; `tape` is overwritten.
///
/// # Errors
/// If sizes do not fit.
/// # Source
/// mpcl_mpfa.md §4.4 (b).
pub fn central_difference<T: Scalar>(
    network: &mut Network<T>,
    weights: &[T],
    running: &mut [T],
    images: &[T],
    parts: &[Range<usize>],
    mode: NormMode,
    direction: &[T],
    epsilon: f64,
    tape: &mut Tape<T>,
) -> Result<(Vec<T>, f64), RepresentationError> {
    let (dim, image) = (network.feature_dim(), network.image().len());
    let n = parts.last().map_or(0, |last| last.end);
    let mut unit_at = |step: f64| -> Result<Vec<T>, RepresentationError> {
        let moved: Vec<T> = weights.iter().zip(direction).map(|(w, v)| *w + T::of(step) * *v).collect();
        let mut rows = Vec::with_capacity(n * dim);
        for part in parts {
            let images = &images[part.start * image..part.end * image];
            network.forward(&moved, running, images, part.len(), mode, tape)?;
            rows.extend(UnitRows::of(tape.features(), dim).rows);
        }
        Ok(rows)
    };
    let (plus, minus) = (unit_at(epsilon)?, unit_at(-epsilon)?);
    let square: f64 = plus.iter().zip(&minus).map(|(a, b)| (a.wide() - b.wide()).powi(2)).sum();
    let slope = plus.iter().zip(&minus).map(|(a, b)| T::of((a.wide() - b.wide()) / (2.0 * epsilon))).collect();
    Ok((slope, square.sqrt() / (2.0 * (n as f64).sqrt())))
}

/// Central differences whose step follows the network: keeps a moving average of ε·‖v‖, steadier than ε.
#[derive(Debug, Clone, PartialEq)]
pub struct CentralStep {
    /// ε·‖v‖.
    pub product: f64,
}

impl Default for CentralStep {
    fn default() -> Self {
        Self { product: 1e-2 }
    }
}

impl CentralStep {
    /// u̇ with a step that moves the unit features by about 1 %.
    ///
    /// # Errors
    /// If sizes do not fit.
    pub fn unit_dot<T: Scalar>(
        &mut self,
        network: &mut Network<T>,
        weights: &[T],
        running: &mut [T],
        images: &[T],
        parts: &[Range<usize>],
        mode: NormMode,
        direction: &[T],
        tape: &mut Tape<T>,
    ) -> Result<Vec<T>, RepresentationError> {
        let length = direction.iter().map(|value| value.wide().powi(2)).sum::<f64>().sqrt();
        if length == 0.0 {
            let n = parts.last().map_or(0, |last| last.end);
            return Ok(vec![T::ZERO; n * network.feature_dim()]);
        }
        let mut product = self.product;
        for correction in 0..=MAX_CORRECTIONS {
            let epsilon = product / length;
            let (slope, change) =
                central_difference(network, weights, running, images, parts, mode, direction, epsilon, tape)?;
            let better = product * (BEST_CHANGE / change.max(1e-12)).clamp(1e-3, 1e3);
            if GOOD_CHANGE.contains(&change) || correction == MAX_CORRECTIONS {
                self.product = 0.9 * product + 0.1 * better;
                return Ok(slope);
            }
            product = better;
        }
        unreachable!("the last correction returns")
    }
}
