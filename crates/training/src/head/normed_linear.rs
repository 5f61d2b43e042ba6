//! `cos(z, w_k)`: LDAM's head, whose loss scales the cosines itself.

use candle_core::Tensor;

use super::cosine::Cosine;
use super::form::{Block, Form, Fresh};
use crate::TrainingError;

/// A cosine head of scale 1 whose rows start with norm 1.
///
/// # Source
/// Cao et al. 2019, `NormedLinear`.
pub(super) struct NormedLinear;

impl Form for NormedLinear {
    fn kind(&self) -> &'static str {
        "normed_linear"
    }

    fn blocks(&self) -> &'static [Block] {
        &[Block { name: "weight", is_matrix: true, fresh: Fresh::UnitRows }]
    }

    fn logits(&self, blocks: &[Tensor], features: &Tensor) -> Result<Tensor, TrainingError> {
        Cosine { scale: 1.0 }.logits(blocks, features)
    }
}
