//! A head as part of a candle graph.

use candle_core::backprop::GradStore;
use candle_core::{D, Tensor, Var};

use super::{HeadForm, HeadShape};
use crate::TrainingError;

/// Smallest norm that a row is divided by.
const MIN_NORM: f64 = 1e-12;

/// A head whose weights are candle variables, made from a flat vector for one forward and backward.
#[derive(Debug, Clone)]
pub enum Head {
    /// `z·Wᵀ + b`.
    Linear {
        /// (K, d).
        weight: Tensor,
        /// (K).
        bias: Tensor,
    },
    /// `s·cos(z, w_k)`.
    Cosine {
        /// (K, d).
        weight: Tensor,
        /// s.
        scale: f64,
    },
    /// `(z·Wᵀ + b)·f`.
    ScaledLinear {
        /// (K, d).
        weight: Tensor,
        /// (K).
        bias: Tensor,
        /// f, (K).
        scale: Tensor,
    },
}

impl Head {
    /// Variables that copy the flat vector `values` of a head of this shape.
    ///
    /// # Errors
    /// If the vector's size is not the shape's.
    pub fn variables(shape: &HeadShape, values: &Tensor) -> Result<Self, TrainingError> {
        TrainingError::check_size("head", values.elem_count(), shape.len())?;
        let (classes, start) = (shape.num_classes, shape.weight_len());
        let weight = values.narrow(0, 0, start)?.reshape((classes, shape.feature_dim))?;
        let weight = Var::from_tensor(&weight)?.into_inner();
        let per_class = |index: usize| -> Result<Tensor, TrainingError> {
            Ok(Var::from_tensor(&values.narrow(0, start + index * classes, classes)?)?.into_inner())
        };
        Ok(match shape.form {
            HeadForm::Cosine { scale } => Self::Cosine { weight, scale },
            HeadForm::Linear => Self::Linear { weight, bias: per_class(0)? },
            HeadForm::ScaledLinear => Self::ScaledLinear { weight, bias: per_class(0)?, scale: per_class(1)? },
        })
    }

    /// The logits of a batch.
    ///
    /// # Shapes
    /// - `features`: `(N, d)` of the head's type  - returns `(N, K)`
    /// # Errors
    /// If shapes or types do not fit.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor, TrainingError> {
        Ok(match self {
            Self::Linear { weight, bias } => features.matmul(&weight.t()?)?.broadcast_add(bias)?,
            Self::Cosine { weight, scale } => {
                (normalize_rows(features)?.matmul(&normalize_rows(weight)?.t()?)? * *scale)?
            }
            Self::ScaledLinear { weight, bias, scale } => {
                features.matmul(&weight.t()?)?.broadcast_add(bias)?.broadcast_mul(scale)?
            }
        })
    }

    /// The gradient as one flat vector in the order of the weights; zeros for a variable that the loss did not meet.
    ///
    /// # Errors
    /// Never, as the variables are floats.
    pub fn gradient(&self, store: &GradStore) -> Result<Tensor, TrainingError> {
        flat_gradient(
            store,
            &match self {
                Self::Linear { weight, bias } => vec![weight, bias],
                Self::Cosine { weight, .. } => vec![weight],
                Self::ScaledLinear { weight, bias, scale } => vec![weight, bias, scale],
            },
        )
    }
}

/// The gradients of `variables` one behind the other, flat; zeros for one that the loss did not meet.
///
/// # Errors
/// If their types differ.
pub fn flat_gradient(store: &GradStore, variables: &[&Tensor]) -> Result<Tensor, TrainingError> {
    let mut parts = Vec::with_capacity(variables.len());
    for variable in variables {
        parts.push(match store.get(variable) {
            Some(gradient) => gradient.flatten_all()?,
            None => variable.zeros_like()?.flatten_all()?,
        });
    }
    Ok(Tensor::cat(&parts, 0)?)
}

/// Rows divided by their Euclidean norm, at least 1e-12; differentiable.
///
/// # Shapes
/// - `rows`: `(N, d)`
/// # Errors
/// If the tensor is no matrix of floats.
pub fn normalize_rows(rows: &Tensor) -> Result<Tensor, TrainingError> {
    let norm = (rows.sqr()?.sum_keepdim(D::Minus1)? + MIN_NORM * MIN_NORM)?.sqrt()?;
    Ok(rows.broadcast_div(&norm)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scalar;

    #[test]
    fn a_cosine_head_sees_directions_only() {
        let shape = HeadShape { form: HeadForm::Cosine { scale: 16.0 }, num_classes: 2, feature_dim: 2 };
        let head = Head::variables(&shape, &f64::constant(&[3.0, 0.0, 0.0, 0.5], &[4]).expect("4")).expect("2·2");
        let features = f64::constant(&[5.0, 0.0, 3.0, 4.0], &[2, 2]).expect("2·2");
        let logits = f64::values(&head.logits(&features).expect("fits")).expect("f64");
        for (actual, expected) in logits.iter().zip([16.0, 0.0, 9.6, 12.8]) {
            assert!((actual - expected).abs() < 1e-12, "{logits:?}");
        }
    }

    #[test]
    fn gradients_come_back_in_flat_order() {
        let shape = HeadShape { form: HeadForm::Linear, num_classes: 2, feature_dim: 1 };
        let head = Head::variables(&shape, &f64::constant(&[1.0, 2.0, 0.0, 1.0], &[4]).expect("4")).expect("2 + 2");
        let features = f64::constant(&[3.0], &[1, 1]).expect("1·1");
        let logits = head.logits(&features).expect("fits");
        assert_eq!(f64::values(&logits).expect("f64"), vec![3.0, 7.0]);
        let store = logits.sum_all().expect("a sum").backward().expect("differentiable");
        assert_eq!(f64::values(&head.gradient(&store).expect("floats")).expect("f64"), vec![3.0, 3.0, 1.0, 1.0]);
    }
}
