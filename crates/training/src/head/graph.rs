//! A head as part of a candle graph.

use candle_core::backprop::GradStore;
use candle_core::{D, Tensor, Var};

use super::{HeadForm, HeadShape};
use crate::TrainingError;

/// Smallest norm that a row is divided by.
const MIN_NORM: f64 = 1e-12;

/// A head whose tensors lie in a candle graph.
#[derive(Debug, Clone)]
pub struct Head {
    form: HeadForm,
    /// In the order of the flat vector.
    blocks: Vec<Tensor>,
}

impl Head {
    /// Variables that copy the flat vector `values` of a head of this shape.
    ///
    /// # Errors
    /// If the vector's size is not the shape's.
    pub fn variables(shape: &HeadShape, values: &Tensor) -> Result<Self, TrainingError> {
        Self::of(shape, values, |_, block| Ok(Var::from_tensor(&block)?.into_inner()))
    }

    /// Constants that see the flat vector `values` of a head of this shape.
    ///
    /// # Errors
    /// If the vector's size is not the shape's.
    pub fn constants(shape: &HeadShape, values: &Tensor) -> Result<Self, TrainingError> {
        Self::of(shape, values, |_, block| Ok(block))
    }

    /// Each tensor as `made` makes it of its name and its part of the flat vector.
    pub(super) fn of(
        shape: &HeadShape,
        values: &Tensor,
        made: impl Fn(&'static str, Tensor) -> Result<Tensor, TrainingError>,
    ) -> Result<Self, TrainingError> {
        TrainingError::check_size("head", values.elem_count(), shape.len())?;
        let (classes, dim) = (shape.num_classes, shape.feature_dim);
        let (mut start, mut blocks) = (0, Vec::new());
        for block in shape.blocks() {
            let len = block.len(classes, dim);
            blocks.push(made(block.name, values.narrow(0, start, len)?.reshape(block.shape(classes, dim))?)?);
            start += len;
        }
        Ok(Self { form: shape.form, blocks })
    }

    /// The logits of a batch.
    ///
    /// # Shapes
    /// - `features`: `(N, d)` of the head's type  - returns `(N, K)`
    /// # Errors
    /// If shapes or types do not fit.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor, TrainingError> {
        self.form.form().logits(&self.blocks, features)
    }

    /// Its tensors, in the order of the flat vector.
    pub fn blocks(&self) -> &[Tensor] {
        &self.blocks
    }

    /// The gradient as one flat vector in the order of the weights; zeros for a variable that the loss did not meet.
    ///
    /// # Errors
    /// Never, as the variables are floats.
    pub fn gradient(&self, store: &GradStore) -> Result<Tensor, TrainingError> {
        flat_gradient(store, &self.blocks.iter().collect::<Vec<_>>())
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

/// Rows divided by their Euclidean norm, at least 1e-12; differentiable, twice too.
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
