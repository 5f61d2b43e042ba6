//! Accuracy of the running model on validation images: eval-mode features, the head as it is. Never on test images.

use longtail_backbone::Network;
use longtail_datasets::EvalLoader;
use longtail_training::{GroupAccuracy, HeadWeights, ShotBounds, argmax_rows, evaluate};

use crate::RepresentationError;
use crate::model::Model;

/// Top-1 accuracies by shot group; every field is `None` on an empty loader.
///
/// # Errors
/// If an image cannot be read or sizes do not fit.
pub fn validate(
    model: &mut Model<f32>,
    loader: &EvalLoader,
    class_counts: &[u32],
    bounds: ShotBounds,
) -> Result<GroupAccuracy, RepresentationError> {
    let head = model.head_file()?;
    let (mut predicted, mut labels) = (Vec::new(), Vec::new());
    let backbone = model.backbone_len();
    for batch in loader.iter() {
        let batch = batch?;
        let weights = &model.weights[..backbone];
        predicted.extend(predict(&mut model.network, weights, &model.running, &head, &batch.images, batch.len)?);
        labels.extend_from_slice(&batch.labels);
    }
    Ok(evaluate(&predicted, &labels, class_counts, bounds)?)
}

fn predict(
    network: &mut Network<f32>,
    weights: &[f32],
    running: &[f32],
    head: &HeadWeights,
    images: &[f32],
    n: usize,
) -> Result<Vec<u32>, RepresentationError> {
    let mut features = vec![0.0; n * head.shape.feature_dim];
    network.infer(weights, running, images, n, &mut features)?;
    Ok(argmax_rows(&head.logits(&features)?, head.shape.num_classes))
}
