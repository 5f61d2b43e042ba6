//! `s·cos(z, w_k)`.

use candle_core::Tensor;
use serde_json::{Map, Value, json};

use super::form::{Block, Form, Fresh, HeadForm};
use crate::TrainingError;
use crate::op::{row_products, unit_rows};

pub(super) struct Cosine {
    pub(super) scale: f64,
}

impl Cosine {
    pub(super) fn read(metadata: &Value) -> Result<HeadForm, String> {
        match metadata.get("scale").and_then(Value::as_f64) {
            Some(scale) if scale.is_finite() && scale > 0.0 => Ok(HeadForm::Cosine { scale }),
            other => Err(format!("a cosine head needs a positive `scale`, found {other:?}")),
        }
    }
}

impl Form for Cosine {
    fn kind(&self) -> &'static str {
        "cosine"
    }

    fn blocks(&self) -> &'static [Block] {
        &[Block { name: "weight", is_matrix: true, fresh: Fresh::Uniform }]
    }

    fn numbers(&self) -> Map<String, Value> {
        Map::from_iter([("scale".to_owned(), json!(self.scale))])
    }

    fn logits(&self, blocks: &[Tensor], features: &Tensor) -> Result<Tensor, TrainingError> {
        Ok(row_products(&unit_rows(&features.contiguous()?)?, &unit_rows(&blocks[0])?, self.scale)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scalar;
    use crate::head::{Head, HeadShape};

    #[test]
    fn it_sees_directions_only() {
        let shape = HeadShape { form: HeadForm::Cosine { scale: 16.0 }, num_classes: 2, feature_dim: 2 };
        let head = Head::variables(&shape, &f64::constant(&[3.0, 0.0, 0.0, 0.5], &[4]).expect("4")).expect("2·2");
        let features = f64::constant(&[5.0, 0.0, 3.0, 4.0], &[2, 2]).expect("2·2");
        let logits = f64::values(&head.logits(&features).expect("fits")).expect("f64");
        for (actual, expected) in logits.iter().zip([16.0, 0.0, 9.6, 12.8]) {
            assert!((actual - expected).abs() < 1e-12, "{logits:?}");
        }
    }
}
