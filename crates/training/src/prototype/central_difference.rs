//! u̇ by central differences: how the unit features of a batch move when the backbone's weights move along v.
//!
//! Four forwards a step where the exact derivative ([`Step::along`]) takes two; kept as the switch `jvp: central`.

use candle_core::{DType, Tensor};
use longtail_backbone::by_float;
use longtail_backbone::host::read;

use super::unit_rows::UnitRows;
use crate::step::{At, Norm, Step};
use crate::{ImageBatch, Scalar, TrainingError};

/// Where δ, the relative change of the unit features, should lie (f32 round-off ~1e-6/δ, truncation ~δ²).
const GOOD_CHANGE: std::ops::RangeInclusive<f64> = 3e-3..=3e-2;
/// The best δ.
const BEST_CHANGE: f64 = 1e-2;
/// How often a step size outside the range is corrected before the best so far is taken.
const MAX_CORRECTIONS: usize = 3;

/// `[u(W + εv) − u(W − εv)]/(2ε)`, (n, d), and δ = ‖u(W + εv) − u(W − εv)‖/(2‖u‖); running statistics stay as they are.
///
/// # Shapes
/// - `direction`: v, flat, the backbone's part of it is read
/// # Errors
/// If sizes do not fit.
/// # Source
/// mpcl_mpfa.md §4.4 (b).
pub fn central_difference(
    step: &mut Step,
    batch: &ImageBatch,
    norm: Norm,
    direction: &Tensor,
    epsilon: f64,
) -> Result<(Tensor, f64), TrainingError> {
    let mut unit_at = |epsilon: f64| -> Result<Tensor, TrainingError> {
        let moved = step.moved(epsilon, direction)?;
        Ok(UnitRows::of(&step.features(At::Moved(moved.tensor()), batch, norm)?)?.rows)
    };
    let (plus, minus) = (unit_at(epsilon)?, unit_at(-epsilon)?);
    if !plus.device().is_cpu() {
        let difference = (plus - minus)?;
        let square = difference.sqr()?.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        let slope = (difference * (0.5 / epsilon))?;
        return Ok((slope, square.sqrt() / (2.0 * (batch.len() as f64).sqrt())));
    }
    by_float!(plus, T => {
        let (slope, square) = read(&plus, |plus: &[T]| read(&minus, |minus: &[T]| {
            let pairs = || plus.iter().zip(minus).map(|(a, b)| a.wide() - b.wide());
            let slope: Vec<T> = pairs().map(|difference| T::of(difference / (2.0 * epsilon))).collect();
            (slope, pairs().map(|difference| difference.powi(2)).sum::<f64>())
        }))??;
        let slope = Tensor::from_vec(slope, plus.shape(), plus.device())?;
        Ok((slope, square.sqrt() / (2.0 * (batch.len() as f64).sqrt())))
    })
}

/// Central differences whose step follows the network: keeps a moving average of ε·‖v‖, steadier than ε.
#[derive(Debug, Clone, PartialEq)]
pub struct CentralStep {
    /// ε·‖v‖.
    product: [f64; 1],
}

impl Default for CentralStep {
    fn default() -> Self {
        Self { product: [1e-2] }
    }
}

impl CentralStep {
    /// u̇, (n, d), with a step that moves the unit features by about 1 %.
    ///
    /// # Errors
    /// If sizes do not fit.
    pub fn unit_dot(
        &mut self,
        step: &mut Step,
        batch: &ImageBatch,
        norm: Norm,
        direction: &Tensor,
    ) -> Result<Tensor, TrainingError> {
        let of_backbone = direction.narrow(0, 0, step.model.backbone_len())?;
        let length = of_backbone.to_dtype(DType::F64)?.sqr()?.sum_all()?.sqrt()?.to_scalar::<f64>()?;
        if length == 0.0 {
            let shape = (batch.len(), step.model.head.feature_dim);
            return Ok(Tensor::zeros(shape, direction.dtype(), direction.device())?);
        }
        let [known] = &mut self.product;
        let mut product = *known;
        for correction in 0..=MAX_CORRECTIONS {
            let (slope, change) = central_difference(step, batch, norm, direction, product / length)?;
            let better = product * (BEST_CHANGE / change.max(1e-12)).clamp(1e-3, 1e3);
            if GOOD_CHANGE.contains(&change) || correction == MAX_CORRECTIONS {
                *known = 0.9 * product + 0.1 * better;
                return Ok(slope);
            }
            product = better;
        }
        unreachable!("the last correction returns")
    }

    /// ε·‖v‖, for a checkpoint.
    pub fn state(&mut self) -> &mut [f64] {
        &mut self.product
    }
}
