//! A training loop on the library: a ResNet-8 on Fashion-MNIST, 100 images of the largest class to one of the smallest.
//! A minute on 2 cores: `cargo run --release -p longtail-training --example train`
use std::sync::Arc;

use longtail_backbone::{Architecture::CifarResNet, ImageShape};
use longtail_datasets::{EvalLoader, Loader, LoaderOptions, Split, Transform, load_for};
use longtail_recipe::{Augmentation, Sampler, read_str};
use longtail_training::step::{MicroBatch, Seen};
use longtail_training::{loss::balanced_softmax, *};

const RECIPE: &str = "
data: {dataset: fashion_mnist, imbalance_factor: 100, meta_source: none, shot_groups: {many_above: 1000, few_below: 200}}
representations: {ce: {method: {ce: {}}}}
classifiers: {joint: }";
const EPOCHS: usize = 5;

fn main() -> anyhow::Result<()> {
    let recipe = read_str(RECIPE, "train.rs", &[])?;
    let (data, seed) = (&recipe.data, 0);
    let source = load_for(data, None)?;
    let split = Split::draw(data, &source)?; // which images are for what, and how many each class has
    let (train, test) = (Arc::new(source.train), Arc::new(source.test));
    let augment = Transform::train(Augmentation::Basic, data, train.shape())?;
    let plain = Transform::eval(data, test.shape())?;
    let (sampler, total_epochs) = (Sampler::InstanceBalanced, EPOCHS);
    let options =
        LoaderOptions { sampler, batch_size: 64, drop_last: false, total_epochs, seed, purpose: "train", prefetch: 2 };
    let loader = Loader::new(train, split.train, augment, options)?;
    let test = EvalLoader::new(test, split.test, plain, 256, 2)?;

    let image = ImageShape { height: 28, width: 28, channels: 1 };
    let model = Model::new(&CifarResNet { depth: 8 }, image, HeadForm::Linear, 10, seed, candle_core::DType::F32)?;
    let settings = SgdSettings { momentum: 0.9, nesterov: false, weight_decay: 5e-4 };
    let optimizer = Sgd::new(settings, &model.weights, None)?;
    let mut step = Step::new(model, optimizer, MicroBatch::WHOLE);
    let loss = balanced_softmax(&split.class_counts)?;
    let schedule = Schedule::new(Decay::Cosine, 0.1, EPOCHS, 0);

    for epoch in 0..EPOCHS {
        let mut meter = EpochMeter::default();
        for (index, batch) in loader.epoch(epoch).enumerate() {
            let batch = batch?;
            let batch = ImageBatch::new(Feed::Train, step.model.images(batch.images)?, batch.labels);
            let at = StepAt::new(&schedule, epoch, index, loader.batches_per_epoch());
            let terms = |seen: &Seen<'_>| Ok(vec![loss.term("loss", seen, &at)?]);
            let gradient = step.gradient(At::Weights, &batch, Norm::Batch, &terms)?;
            step.descend(at.lr, &gradient)?;
            meter.add("loss", "nats", gradient.losses.total()?.to_scalar()?, batch.len() as f64);
        }
        println!("epoch {}: loss {:.3}", epoch + 1, meter.mean("loss").unwrap_or(f64::NAN));
    }

    let (mut predicted, mut labels) = (Vec::new(), Vec::new());
    for batch in test.iter() {
        let batch = batch?;
        let images = step.model.images(batch.images)?;
        predicted.extend(longtail_metrics::argmax_rows(&step.model.logits(&images)?, 10));
        labels.extend(batch.labels);
    }
    let accuracy = longtail_metrics::evaluate(&predicted, &labels, &split.class_counts, data.shot_groups)?;
    for (group, accuracy) in accuracy.groups() {
        println!("test accuracy, {group}: {:.1} %", 100.0 * accuracy.unwrap_or(f64::NAN));
    }
    Ok(())
}
