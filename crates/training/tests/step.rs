//! A step's passes in f64: gradients and directions against central differences, the virtual step against the real one, and what is
//! run once.

use candle_core::{DType, Device, Tensor};
use longtail_backbone::{Architecture, ImageShape};
use longtail_ops::{normal, stream};
use longtail_recipe::VirtualStep;
use longtail_training::step::{Losses, MicroBatch, Seen, Term};
use longtail_training::{
    At, ClassificationLoss, CrossEntropy, Feed, HeadForm, ImageBatch, Model, Norm, Scalar, Sgd, SgdSettings, Step,
    StepAt, TrainingError,
};

const CLASSES: usize = 4;
const START: StepAt = StepAt { epoch: 0, step: 0, epoch_fraction: 0.0, lr: 0.1, relative_lr: 1.0 };
const IMAGE: ImageShape = ImageShape { height: 6, width: 5, channels: 2 };

fn normals(seed: u64, len: usize) -> Vec<f64> {
    let mut rng = stream(seed, "test/step", 0, 0);
    (0..len).map(|_| normal(&mut rng)).collect()
}

fn vector(values: &[f64]) -> Tensor {
    f64::constant(values, &[values.len()]).expect("a vector")
}

fn values(tensor: &Tensor) -> Vec<f64> {
    f64::values(tensor).expect("f64")
}

fn step(form: HeadForm, nesterov: bool, most: usize) -> Step {
    let architecture = Architecture::CifarResNet { depth: 8 };
    let model = Model::new(&architecture, IMAGE, form, CLASSES, 3, DType::F64).expect("8 is 6·1 + 2");
    let sgd = SgdSettings { momentum: 0.9, nesterov, weight_decay: 1e-2 };
    let optimizer = Sgd::new(sgd, &model.weights, None).expect("memory");
    Step::new(model, optimizer, MicroBatch::new(most, 5))
}

fn batch(feed: Feed, seed: u64) -> ImageBatch {
    let pixels = normals(seed, 5 * IMAGE.len());
    let shape = (5, IMAGE.height, IMAGE.width, IMAGE.channels);
    ImageBatch::new(feed, Tensor::from_vec(pixels, shape, &Device::Cpu).expect("5 images"), vec![0, 3, 1, 1, 2])
}

/// Cross-entropy, and half the mean square of the features with weight 0.7: two consumers of one tensor.
fn loss(seen: &Seen<'_>) -> Result<Vec<Term>, TrainingError> {
    let squares = (seen.features.sqr()?.mean_all()? * 0.5)?;
    let classification = CrossEntropy::default().term("ce", seen, &START)?;
    Ok(vec![classification, Term { name: "squares", value: squares, share: seen.share(), weight: 0.7 }])
}

fn total(losses: &Losses) -> f64 {
    losses.total().expect("two terms").to_scalar::<f64>().expect("a scalar")
}

#[test]
fn the_gradient_is_the_difference_of_losses_whole_and_in_parts_at_the_weights_and_elsewhere() {
    for (form, most) in [(HeadForm::Linear, 0), (HeadForm::Cosine { scale: 4.0 }, 2)] {
        let (mut step, batch) = (step(form, false, most), batch(Feed::Side, 1));
        let len = step.model.weights.elem_count();
        let elsewhere: Vec<f64> =
            values(&step.model.weights).iter().zip(normals(7, len)).map(|(w, v)| w + 0.02 * v).collect();
        let elsewhere = vector(&elsewhere);
        for at in [At::Weights, At::Moved(&elsewhere)] {
            let gradient = step.gradient(at, &batch, Norm::Batch, &loss).expect("sizes fit");
            let alone = step.losses(at, &batch, Norm::Batch, &loss).expect("sizes fit");
            assert_eq!(total(&gradient.losses), total(&alone));
            let origin = match at {
                At::Weights => values(&step.model.weights),
                At::Moved(weights) => values(weights),
            };
            for seed in 20..26 {
                // Of length about 1, so that hardly a ReLU turns within the difference.
                let direction: Vec<f64> = normals(seed, len).iter().map(|v| v / (len as f64).sqrt()).collect();
                let mut at = |size: f64| {
                    let there: Vec<f64> = origin.iter().zip(&direction).map(|(w, v)| w + size * v).collect();
                    total(&step.losses(At::Moved(&vector(&there)), &batch, Norm::Batch, &loss).expect("sizes fit"))
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                let exact: f64 = values(gradient.weights.tensor()).iter().zip(&direction).map(|(g, v)| g * v).sum();
                assert!((exact - difference).abs() < 1e-5 * exact.abs().max(0.01), "{form:?}: {exact}, {difference}");
            }
        }
    }
}

#[test]
fn features_move_along_a_direction_as_their_difference() {
    for most in [0, 3] {
        let (mut step, batch) = (step(HeadForm::Linear, false, most), batch(Feed::Train, 1));
        let direction = vector(&normals(5, step.model.weights.elem_count()));
        let along = values(&step.along(&batch, Norm::Batch, &direction).expect("sizes fit"));
        let mut at = |epsilon: f64| {
            let moved = step.moved(epsilon, &direction).expect("sizes fit");
            values(&step.features(At::Moved(moved.tensor()), &batch, Norm::Batch).expect("sizes fit"))
        };
        let (plus, minus) = (at(1e-6), at(-1e-6));
        let size = along.iter().fold(0f64, |most, v| most.max(v.abs()));
        for (exact, (plus, minus)) in along.iter().zip(plus.iter().zip(&minus)) {
            assert!((exact - (plus - minus) / 2e-6).abs() < 1e-5 * size, "{most}: {exact}");
        }
    }
}

#[test]
fn the_virtual_step_leads_where_the_step_goes_and_leaves_all_in_its_place() {
    for (kind, nesterov) in [(VirtualStep::Momentum, false), (VirtualStep::Nesterov, true)] {
        let (mut step, batch) = (step(HeadForm::Linear, nesterov, 0), batch(Feed::Train, 1));
        for _ in 0..2 {
            let gradient = step.gradient(At::Weights, &batch, Norm::Batch, &loss).expect("sizes fit");
            let before = (values(&step.model.weights), values(step.optimizer().buffer()));
            let ahead = step.ahead(kind, 0.1, &gradient).expect("sizes fit");
            assert!(before == (values(&step.model.weights), values(step.optimizer().buffer())));
            step.descend(0.1, &gradient).expect("sizes fit");
            for (there, here) in values(ahead.weights.tensor()).iter().zip(values(&step.model.weights)) {
                assert!((there - here).abs() < 1e-14);
            }
        }
    }
}

#[test]
fn running_statistics_follow_a_training_batch_once_and_no_other() {
    for most in [0, 2] {
        let mut step = step(HeadForm::Linear, false, most);
        let fresh = values(&step.model.running);
        let (train, side) = (batch(Feed::Train, 1), batch(Feed::Side, 2));
        let moved = vector(&values(&step.model.weights));
        step.features(At::Weights, &side, Norm::Batch).expect("sizes fit");
        step.features(At::Weights, &train, Norm::Running).expect("sizes fit");
        step.features(At::Moved(&moved), &train, Norm::Batch).expect("sizes fit");
        assert!(values(&step.model.running) == fresh, "{most}");

        let gradient = step.gradient(At::Weights, &train, Norm::Batch, &loss).expect("sizes fit");
        let once = values(&step.model.running);
        assert!(once != fresh);
        step.gradient(At::Weights, &train.clone(), Norm::Batch, &loss).expect("sizes fit");
        step.along(&train, Norm::Batch, gradient.weights.tensor()).expect("sizes fit");
        assert!(values(&step.model.running) == once, "{most}: the same batch at the same weights");
        step.descend(0.1, &gradient).expect("sizes fit");
        step.features(At::Weights, &train, Norm::Batch).expect("sizes fit");
        assert!(values(&step.model.running) != once, "{most}: the weights have moved");
    }
}

/// Passes over other batches and weights in between leave no trace in a pass that is asked for again.
#[test]
fn a_pass_that_is_still_on_its_tape_gives_the_bits_of_a_new_one() {
    let (train, side) = (batch(Feed::Train, 1), batch(Feed::Side, 2));
    let again = {
        let mut step = step(HeadForm::Linear, false, 0);
        step.features(At::Weights, &train, Norm::Batch).expect("sizes fit");
        step.gradient(At::Weights, &side, Norm::Batch, &loss).expect("sizes fit");
        step.features(At::Weights, &train, Norm::Running).expect("sizes fit");
        let gradient = step.gradient(At::Weights, &train, Norm::Batch, &loss).expect("sizes fit");
        (values(gradient.weights.tensor()), values(&gradient.features))
    };
    let mut step = step(HeadForm::Linear, false, 0);
    let gradient = step.gradient(At::Weights, &train, Norm::Batch, &loss).expect("sizes fit");
    assert!(again == (values(gradient.weights.tensor()), values(&gradient.features)));

    // Weights that others put in place are other weights.
    let zeros = step.model.weights.zeros_like().expect("memory");
    for (name, state) in step.state() {
        if let ("weights", longtail_training::State::Weights(weights, _)) = (name, state) {
            *weights = zeros.clone();
        }
    }
    let features = step.features(At::Weights, &train, Norm::Batch).expect("sizes fit");
    assert!(values(&features).iter().all(|value| *value == 0.0));
}
