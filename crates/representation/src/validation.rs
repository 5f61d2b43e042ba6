//! Accuracy of the running model on validation images: eval-mode features, the head as it is. Never on test images.

use candle_core::Tensor;
use longtail_datasets::{Batch, DatasetError, EvalLoader, PlacedBatch};
use longtail_metrics::{GroupAccuracy, argmax_rows, evaluate};
use longtail_recipe::ShotGroups;
use longtail_training::{Feed, Model};

use crate::{ImageFeed, RepresentationError};

/// Top-1 accuracies by shot group; every field is `None` on an empty loader. `None` as soon as `stop` says so, between two batches: a
/// large validation set takes minutes. `feed` is of the model's device.
///
/// # Errors
/// If an image cannot be read or sizes do not fit; the device's.
pub fn validate(
    model: &mut Model,
    feed: &mut ImageFeed,
    loader: &EvalLoader,
    class_counts: &[u32],
    bounds: ShotGroups,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Option<GroupAccuracy>, RepresentationError> {
    match loader.placed_from(0).filter(|_| feed.holds_images()) {
        Some(batches) => {
            let classes = |batch: Result<PlacedBatch, DatasetError>| {
                let batch = feed.placed(Feed::Side, batch?)?;
                Ok((predict(model, &batch.images)?, batch.labels))
            };
            accuracy(batches.map(classes), class_counts, bounds, stop)
        }
        None => {
            let classes = |batch: Result<Batch, DatasetError>| {
                let Batch { images, labels, len, .. } = batch?;
                Ok((predict(model, &feed.pixels(images, len)?)?, labels))
            };
            accuracy(loader.iter().map(classes), class_counts, bounds, stop)
        }
    }
}

/// Of the predicted and the true classes of batch after batch.
fn accuracy(
    batches: impl Iterator<Item = Result<(Vec<u32>, Vec<u32>), RepresentationError>>,
    class_counts: &[u32],
    bounds: ShotGroups,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Option<GroupAccuracy>, RepresentationError> {
    let (mut predicted, mut labels) = (Vec::new(), Vec::new());
    for batch in batches {
        if stop() {
            return Ok(None);
        }
        let (classes, truth) = batch?;
        predicted.extend(classes);
        labels.extend(truth);
    }
    Ok(Some(evaluate(&predicted, &labels, class_counts, bounds)?))
}

fn predict(model: &mut Model, images: &Tensor) -> Result<Vec<u32>, RepresentationError> {
    Ok(argmax_rows(&model.logits(images)?, model.head.num_classes))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use longtail_backbone::{Architecture, ImageShape};
    use longtail_datasets::{ImageSet, Transform};
    use longtail_ops::{below, stream};
    use longtail_recipe::read_str;
    use longtail_training::{Compute, HeadForm, to_f32};

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
            let dtype = candle_core::DType::F32;
            let mut model = Model::new(&architecture, image, HeadForm::Linear, CLASSES, 0, dtype).expect("known");
            let mut of = |batch_size: usize| {
                let transform = Transform::eval(&recipe.data, images.shape()).expect("it fits");
                let all = (0..N as u32).collect();
                let loader = EvalLoader::new(Arc::clone(&images), all, transform, batch_size, 1).expect("there");
                let head = model.head_file().expect("a head");
                let mut logits = Vec::new();
                for batch in loader.iter() {
                    let batch = batch.expect("stored images");
                    let shape = (batch.len, image.height, image.width, image.channels);
                    let batch = Tensor::from_vec(batch.images, shape, &candle_core::Device::Cpu).expect("sizes fit");
                    let features = to_f32(&model.infer(&batch).expect("sizes fit")).expect("f32");
                    logits.extend(head.logits(&features).expect("sizes fit"));
                }
                let bounds = recipe.data.shot_groups;
                let counts = [200, 50, 10, 5];
                let mut feed = ImageFeed::new(&Compute::cpu(), image, None).expect("the CPU");
                let mut validate = |stop: bool| {
                    validate(&mut model, &mut feed, &loader, &counts, bounds, &mut || stop).expect("sizes fit")
                };
                let accuracy = validate(false);
                assert!(validate(true).is_none());
                let accuracy = accuracy.expect("nobody stopped it");
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
