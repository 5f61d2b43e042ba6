//! `(z·w_k + b_k)·f_k`: the head of LWS.

use candle_core::Tensor;

use super::form::{Block, Form, Fresh};
use super::linear::Linear;
use crate::TrainingError;
use crate::op::scale_columns;

pub(super) struct ScaledLinear;

impl Form for ScaledLinear {
    fn kind(&self) -> &'static str {
        "scaled_linear"
    }

    fn blocks(&self) -> &'static [Block] {
        &[
            Block { name: "weight", is_matrix: true, fresh: Fresh::Uniform },
            Block { name: "bias", is_matrix: false, fresh: Fresh::Uniform },
            Block { name: "scale", is_matrix: false, fresh: Fresh::Ones },
        ]
    }

    fn logits(&self, blocks: &[Tensor], features: &Tensor) -> Result<Tensor, TrainingError> {
        Ok(scale_columns(&Linear.logits(&blocks[..2], features)?, &blocks[2])?)
    }
}
