//! `joint`: stage 1's own head, as it is.

use longtail_metrics::{accuracy, argmax_rows};
use serde_json::Map;

use super::base::{Context, Fitted, Method};
use crate::ClassifierError;
use crate::data::{FeatureSet, FitData};
use crate::generate::FeatureTransform;
use crate::scoring::ScoringHead;

/// Stage 1's head, the control of every other method.
#[derive(Debug, Clone, Copy)]
pub struct Joint;

impl Method for Joint {
    fn name(&self) -> &'static str {
        "joint"
    }

    fn fit(&self, data: &FitData, _context: &mut Context<'_>) -> Result<Fitted, ClassifierError> {
        let head = ScoringHead::Trained { head: data.head.clone(), transform: FeatureTransform::IDENTITY };
        let val = val_accuracy(&head, &data.val, data.num_classes())?;
        Ok(Fitted::new(head, Map::new(), val))
    }
}

/// Top-1 accuracy of a classifier on a set, none when it is empty.
pub(super) fn val_accuracy(
    head: &ScoringHead,
    set: &FeatureSet,
    num_classes: usize,
) -> Result<Option<f64>, ClassifierError> {
    let predicted = argmax_rows(&head.logits(&set.features)?, num_classes);
    Ok(accuracy(&predicted, &set.labels)?)
}
