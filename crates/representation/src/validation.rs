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
    let backbone = model.backbone_len();
    let classes = |images: &[f32], n: usize| {
        predict(&mut model.network, &model.weights[..backbone], &model.running, &head, images, n)
    };
    validate_with(classes, loader, class_counts, bounds)
}

/// [`validate`] with the classes of a batch of images (n, H, W, C) from elsewhere.
///
/// # Errors
/// If an image cannot be read, or those of `classes`.
pub(crate) fn validate_with(
    mut classes: impl FnMut(&[f32], usize) -> Result<Vec<u32>, RepresentationError>,
    loader: &EvalLoader,
    class_counts: &[u32],
    bounds: ShotBounds,
) -> Result<GroupAccuracy, RepresentationError> {
    let (mut predicted, mut labels) = (Vec::new(), Vec::new());
    for batch in loader.iter() {
        let batch = batch?;
        predicted.extend(classes(&batch.images, batch.len)?);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use longtail_backbone::{Architecture, ImageShape};
    use longtail_datasets::{ImageSet, Transform};
    use longtail_ops::{below, stream};
    use longtail_recipe::read_str;
    use longtail_training::HeadForm;

    use super::*;

    const N: usize = 11;
    const CLASSES: usize = 4;

    fn images(side: usize) -> Arc<ImageSet> {
        let mut rng = stream(2, "validation", 0, 0);
        Arc::new(ImageSet {
            images: (0..N * side * side * 3).map(|_| below(&mut rng, 256) as u8).collect(),
            labels: (0..N).map(|image| (image % CLASSES) as u32).collect(),
            height: side,
            width: side,
            channels: 3,
            num_classes: CLASSES,
            class_names: (0..CLASSES).map(|class| class.to_string()).collect(),
        })
    }

    /// How many images go through the network at once is a matter of memory alone.
    #[test]
    fn no_batch_size_changes_a_logit_or_an_accuracy() {
        let recipe = "
data: {dataset: cifar100}
representations: {r: {method: {ce: {}}, backbone: {cifar_resnet: 8}}}
classifiers: {joint: {joint: {}}}
";
        let recipe = read_str(recipe, "validation", &[]).expect("the recipe is valid");
        for (architecture, side) in [(Architecture::CifarResNet { depth: 8 }, 12), (Architecture::ResNeXt50, 32)] {
            let (images, image) = (images(side), ImageShape { height: side, width: side, channels: 3 });
            let mut model = Model::<f32>::new(&architecture, image, HeadForm::Linear, CLASSES, 0).expect("known");
            let mut of = |batch_size: usize| {
                let transform = Transform::eval(&recipe.data, images.shape()).expect("it fits");
                let all = (0..N as u32).collect();
                let loader = EvalLoader::new(Arc::clone(&images), all, transform, batch_size, 1).expect("there");
                let head = model.head_file().expect("a head");
                let mut logits = Vec::new();
                for batch in loader.iter() {
                    let batch = batch.expect("stored images");
                    let mut features = vec![0.0; batch.len * head.shape.feature_dim];
                    let weights = model.weights[..model.backbone_len()].to_vec();
                    model
                        .network
                        .infer(&weights, &model.running, &batch.images, batch.len, &mut features)
                        .expect("sizes fit");
                    logits.extend(head.logits(&features).expect("sizes fit"));
                }
                let bounds = ShotBounds::from(recipe.data.shot_groups);
                let accuracy = validate(&mut model, &loader, &[200, 50, 10, 5], bounds).expect("sizes fit");
                let bits: Vec<u32> = logits.iter().map(|logit: &f32| logit.to_bits()).collect();
                (bits, accuracy)
            };
            let whole = of(N);
            assert!(whole.0.iter().any(|&bits| bits != whole.0[0]) && whole.1.all.is_some());
            for batch_size in [1, 2, 3, 7, 8, 64] {
                assert!(of(batch_size) == whole, "{architecture:?}: {batch_size} at once");
            }
        }
    }
}
