//! What a head is on the host: its form, its sizes and one flat vector of weights.

use candle_core::{Device, Tensor};
use longtail_ops::ChaCha8Rng;

use super::form::Block;
use super::{Head, HeadForm};
use crate::{Scalar, TrainingError};

/// A head's form and sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadShape {
    /// How logits are made.
    pub form: HeadForm,
    /// Number of classes K, at least 1.
    pub num_classes: usize,
    /// Feature dimension d, at least 1.
    pub feature_dim: usize,
}

impl HeadShape {
    /// Its tensors, in the order of the flat vector.
    pub fn blocks(&self) -> &'static [Block] {
        self.form.form().blocks()
    }

    /// The number of weights in the flat vector.
    pub fn len(&self) -> usize {
        self.blocks().iter().map(|block| block.len(self.num_classes, self.feature_dim)).sum()
    }

    /// Whether it has no weights.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The size of the weight matrix, K·d; it comes first in the flat vector.
    pub fn weight_len(&self) -> usize {
        self.num_classes * self.feature_dim
    }

    /// Fresh weights, drawn in flat order ([`Fresh`](super::Fresh)).
    pub fn init<T: Scalar>(&self, rng: &mut ChaCha8Rng) -> Vec<T> {
        self.blocks().iter().flat_map(|block| block.draw::<T>(rng, self.num_classes, self.feature_dim)).collect()
    }

    /// Where a tensor stands in the flat vector, if the form has it.
    pub(super) fn range(&self, name: &str) -> Option<std::ops::Range<usize>> {
        let mut start = 0;
        for block in self.blocks() {
            let len = block.len(self.num_classes, self.feature_dim);
            if block.name == name {
                return Some(start..start + len);
            }
            start += len;
        }
        None
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

    /// Describes a linear head.
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

    /// The tensor of that name, if the form has it: `weight` (K, d), `bias` (K), `scale` (K).
    pub fn block(&self, name: &str) -> Option<&[f32]> {
        self.shape.range(name).map(|range| &self.values[range])
    }

    /// The rows, (K, d).
    pub fn weight(&self) -> &[f32] {
        &self.values[..self.shape.weight_len()]
    }

    /// The bias, (K), of a linear or scaled-linear head.
    pub fn bias(&self) -> Option<&[f32]> {
        self.block("bias")
    }

    /// Logits (n, K) of features (n, d).
    ///
    /// # Errors
    /// If the size of `features` is no multiple of d.
    pub fn logits(&self, features: &[f32]) -> Result<Vec<f32>, TrainingError> {
        let dim = self.shape.feature_dim;
        let rows = features.len() / dim.max(1);
        TrainingError::check_size("features", features.len(), rows * dim)?;
        if rows == 0 {
            return Ok(Vec::new());
        }
        let head = Head::constants(&self.shape, &Tensor::from_slice(&self.values, self.values.len(), &Device::Cpu)?)?;
        f32::values(&head.logits(&Tensor::from_slice(features, (rows, dim), &Device::Cpu)?)?)
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
    fn rows_of_a_normed_head_start_with_norm_1() {
        let shape = HeadShape { form: HeadForm::NormedLinear, num_classes: 3, feature_dim: 4 };
        let values: Vec<f64> = shape.init(&mut stream(0, "head", 0, 0));
        for row in values.chunks_exact(4) {
            assert!((row.iter().map(|value| value * value).sum::<f64>() - 1.0).abs() < 1e-12, "{row:?}");
        }
    }

    #[test]
    fn parts_are_found_in_the_flat_vector() {
        let head = HeadWeights::linear(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0]).expect("2·2 and 2");
        assert_eq!((head.weight(), head.bias()), (&[1.0, 2.0, 3.0, 4.0][..], Some(&[5.0, 6.0][..])));
        assert!(HeadWeights::linear(&[1.0, 2.0, 3.0], &[5.0, 6.0]).is_err());
        assert_eq!(HeadWeights::cosine(vec![1.0, 0.0], 2, 16.0).expect("2·1").bias(), None);
    }

    #[test]
    fn logits_of_no_rows_are_none() {
        let head = HeadWeights::linear(&[1.0, 2.0], &[0.5]).expect("1·2 and 1");
        assert_eq!(head.logits(&[]).expect("no rows"), Vec::<f32>::new());
        assert_eq!(head.logits(&[1.0, 1.0]).expect("one row"), [3.5]);
        assert!(head.logits(&[1.0]).is_err());
    }
}
