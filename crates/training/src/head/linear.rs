//! `z·w_k + b_k`.

use candle_core::Tensor;

use super::form::{Block, Form, Fresh};
use crate::TrainingError;
use crate::op::{add_row, row_products};

pub(super) struct Linear;

impl Form for Linear {
    fn kind(&self) -> &'static str {
        "linear"
    }

    fn blocks(&self) -> &'static [Block] {
        &[
            Block { name: "weight", is_matrix: true, fresh: Fresh::Uniform },
            Block { name: "bias", is_matrix: false, fresh: Fresh::Uniform },
        ]
    }

    fn logits(&self, blocks: &[Tensor], features: &Tensor) -> Result<Tensor, TrainingError> {
        Ok(add_row(&row_products(features, &blocks[0], 1.0)?, &blocks[1])?)
    }
}
