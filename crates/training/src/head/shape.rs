//! What a head is on the host: its form, its sizes and one flat vector of weights.

use longtail_ops::ChaCha8Rng;
use longtail_ops::uniform;
use longtail_recipe::HeadKind;

use crate::{Scalar, TrainingError};

/// How logits come from a feature z and a class's row w_k.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HeadForm {
    /// `z·w_k + b_k`. Flat: weight (K, d), bias (K).
    Linear,
    /// `s·cos(z, w_k)`, no bias. Flat: weight (K, d).
    ///
    /// # Source
    /// methods.md §3.3, VMF CosNorm (s = 16).
    Cosine {
        /// s > 0.
        scale: f64,
    },
    /// `(z·w_k + b_k)·f_k`: LWS. Flat: weight (K, d), bias (K), scale f (K).
    ///
    /// # Source
    /// methods.md §3.2: the bias is scaled too.
    ScaledLinear,
}

impl From<HeadKind> for HeadForm {
    fn from(kind: HeadKind) -> Self {
        match kind {
            HeadKind::Linear => Self::Linear,
            HeadKind::Cosine(scale) => Self::Cosine { scale },
        }
    }
}

/// A head's form and sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadShape {
    /// How logits are made.
    pub form: HeadForm,
    /// K, at least 1.
    pub num_classes: usize,
    /// d, at least 1.
    pub feature_dim: usize,
}

impl HeadShape {
    /// The number of weights in the flat vector.
    pub fn len(&self) -> usize {
        let per_class = match self.form {
            HeadForm::Linear => self.feature_dim + 1,
            HeadForm::Cosine { .. } => self.feature_dim,
            HeadForm::ScaledLinear => self.feature_dim + 2,
        };
        self.num_classes * per_class
    }

    /// Whether it has no weights.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The size of the weight matrix, K·d; it comes first in the flat vector.
    pub fn weight_len(&self) -> usize {
        self.num_classes * self.feature_dim
    }

    /// Fresh weights: rows and bias uniform in ±1/√d, scales 1; drawn in flat order.
    ///
    /// # Source
    /// `torch.nn.Linear.reset_parameters` (Kaiming uniform with a = √5); methods.md §3.3 for the cosine head.
    pub fn init<T: Scalar>(&self, rng: &mut ChaCha8Rng) -> Vec<T> {
        let bound = 1.0 / (self.feature_dim as f64).sqrt();
        let drawn = match self.form {
            HeadForm::Cosine { .. } => self.weight_len(),
            HeadForm::Linear | HeadForm::ScaledLinear => self.weight_len() + self.num_classes,
        };
        let mut values: Vec<T> = (0..drawn).map(|_| T::of((2.0 * uniform(rng) - 1.0) * bound)).collect();
        values.resize(self.len(), T::ONE);
        values
    }
}

/// A head with its weights in f32: what stands in `head.safetensors`.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadWeights {
    /// Form and sizes.
    pub shape: HeadShape,
    /// The flat vector, `shape.len()` long.
    pub values: Vec<f32>,
}

impl HeadWeights {
    /// A head from its flat vector.
    ///
    /// # Errors
    /// If the vector's size is not the shape's.
    pub fn new(shape: HeadShape, values: Vec<f32>) -> Result<Self, TrainingError> {
        TrainingError::check_size("head", values.len(), shape.len())?;
        Ok(Self { shape, values })
    }

    /// A linear head.
    ///
    /// # Errors
    /// If the sizes of `weight` (K, d) and `bias` (K) do not fit each other.
    pub fn linear(weight: &[f32], bias: &[f32]) -> Result<Self, TrainingError> {
        let (num_classes, feature_dim) = (bias.len(), weight.len() / bias.len().max(1));
        let shape = HeadShape { form: HeadForm::Linear, num_classes, feature_dim };
        Self::new(shape, [weight, bias].concat())
    }

    /// A cosine head of scale s with rows `weight` (K, d).
    ///
    /// # Errors
    /// If the size of `weight` is no multiple of `num_classes`.
    pub fn cosine(weight: Vec<f32>, num_classes: usize, scale: f64) -> Result<Self, TrainingError> {
        let feature_dim = weight.len() / num_classes.max(1);
        Self::new(HeadShape { form: HeadForm::Cosine { scale }, num_classes, feature_dim }, weight)
    }

    /// The rows, (K, d).
    pub fn weight(&self) -> &[f32] {
        &self.values[..self.shape.weight_len()]
    }

    /// The bias, (K), of a linear or scaled-linear head.
    pub fn bias(&self) -> Option<&[f32]> {
        let start = self.shape.weight_len();
        match self.shape.form {
            HeadForm::Cosine { .. } => None,
            HeadForm::Linear | HeadForm::ScaledLinear => Some(&self.values[start..start + self.shape.num_classes]),
        }
    }

    /// The per-class scales, (K), of a scaled-linear head.
    pub fn class_scales(&self) -> Option<&[f32]> {
        match self.shape.form {
            HeadForm::ScaledLinear => Some(&self.values[self.shape.weight_len() + self.shape.num_classes..]),
            HeadForm::Linear | HeadForm::Cosine { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longtail_ops::stream;

    #[test]
    fn fresh_weights_lie_within_one_over_root_d() {
        let shape = HeadShape { form: HeadForm::ScaledLinear, num_classes: 3, feature_dim: 4 };
        let values: Vec<f64> = shape.init(&mut stream(0, "head", 0, 0));
        assert_eq!(values.len(), 3 * 4 + 3 + 3);
        assert!(values[..15].iter().all(|value| value.abs() <= 0.5), "{values:?}");
        assert!(values[..15].iter().any(|value| *value < 0.0), "both signs occur");
        assert_eq!(values[15..], [1.0, 1.0, 1.0]);
    }

    #[test]
    fn parts_are_found_in_the_flat_vector() {
        let head = HeadWeights::linear(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0]).expect("2·2 and 2");
        assert_eq!((head.weight(), head.bias()), (&[1.0, 2.0, 3.0, 4.0][..], Some(&[5.0, 6.0][..])));
        assert!(HeadWeights::linear(&[1.0, 2.0, 3.0], &[5.0, 6.0]).is_err());
        assert_eq!(HeadWeights::cosine(vec![1.0, 0.0], 2, 16.0).expect("2·1").bias(), None);
    }
}
