//! Batches in parts: weighted losses, running statistics, memory as it is stated before training, and many classes. Gradients against
//! brute force: `meta_gradient.rs`.

mod common;

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use common::{BATCH, CHANNELS, LR, META_BATCH, SIDE, bench_in_parts, settings, values};
use longtail_backbone::{Architecture, ImageShape};
use longtail_recipe::{Ema, read_str};
use longtail_representation::method::{Ce, MetaBatches, Method, build};
use longtail_representation::{Memory, RepresentationError};
use longtail_training::loss::class_balanced;
use longtail_training::prototype::Contrast;
use longtail_training::step::MicroBatch;
use longtail_training::{
    At, ClassificationLoss, CrossEntropy, EpochMeter, Feed, HeadForm, ImageBatch, Log, Model, Norm, Sgd, SgdSettings,
    Step, StepAt, state_bytes,
};

fn relative(found: &[f64], expected: &[f64]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    assert_eq!(found.len(), expected.len());
    let difference = square(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    (difference / square(&mut expected.iter().copied())).sqrt()
}

#[test]
fn on_running_statistics_the_parts_sum_to_the_whole_gradient() {
    for weighted in [false, true] {
        let loss: CrossEntropy = match weighted {
            true => class_balanced(&[50, 20, 10, 5, 2], 0.99).expect("counts are positive"),
            false => CrossEntropy::default(),
        };
        let run = |most: usize| {
            let mut bench =
                bench_in_parts(settings(true, 180.0), HeadForm::Linear, false, MicroBatch::new(most, BATCH));
            let (empirical, seen) = (bench.empirical(), bench.seen());
            let contrast = Contrast { prototypes: &empirical, seen: &seen, lambda: 0.8, tau: 0.3 };
            let gradient = bench.step.gradient(At::Weights, &bench.train, Norm::Running, &|seen| {
                let mut terms = vec![loss.term("train/ce", seen, &common::AT)?];
                terms.extend(contrast.term("train/pc", seen)?);
                Ok(terms)
            });
            let gradient = gradient.expect("sizes fit");
            let total = gradient.losses.total().expect("two terms").to_scalar::<f64>().expect("a scalar");
            (total, values(gradient.weights.tensor()), values(&gradient.features))
        };
        let whole = run(0);
        for most in [2, 3, 4, 5] {
            let parts = run(most);
            assert!(relative(&parts.1, &whole.1) < 1e-13, "{most}: {:e}", relative(&parts.1, &whole.1));
            assert!(relative(&parts.2, &whole.2) < 1e-13, "{most}: features");
            assert!((parts.0 - whole.0).abs() < 1e-13, "{most}: losses");
        }
        assert!(run(6) == whole && run(60) == whole, "one part is the whole, to the bit");
    }
}

#[test]
fn running_statistics_move_once_a_part_and_never_again() {
    let of = |most| bench_in_parts(settings(true, 180.0), HeadForm::Linear, false, MicroBatch::new(most, BATCH));
    let (mut by_step, mut expected) = (of(3), of(0));
    let (at, mut meter) =
        (StepAt { epoch: 0, step: 0, epoch_fraction: 0.0, lr: LR, relative_lr: 1.0 }, EpochMeter::default());
    // A first step fills the method's own prototypes, so that the second is bi-level.
    for number in 0..2 {
        let at = StepAt { step: number, ..at };
        let common::Bench { step, train, mpcl, .. } = &mut by_step;
        let before = step.model.weights.copy().expect("memory");
        mpcl.step(step, train, &at, &mut Log::new(&mut meter, at)).expect("sizes fit");
        expected.step.model.weights = before;
        for part in [0..3, 3..6] {
            let images = expected.train.images.narrow(0, part.start, part.len()).expect("there");
            let part = ImageBatch::new(Feed::Train, images, expected.train.labels[part].to_vec());
            expected.step.features(At::Weights, &part, Norm::Batch).expect("sizes fit");
        }
        assert!(values(&expected.step.model.running) == values(&by_step.step.model.running), "step {number}");
    }
    assert!(meter.mean("meta/loss_after").is_some(), "the second step is bi-level");
}

fn recipe(method: &str, rest: &str) -> longtail_recipe::Recipe {
    let text = format!(
        "
data: {{dataset: fashion_mnist, imbalance_factor: 5}}
representations: {{r: {{method: {{{method}}}, backbone: {{cifar_resnet: 14}}, batch_size: 16, {rest}}}}}
classifiers: {{joint: {{joint: {{}}}}}}
"
    );
    read_str(&text, "memory", &[]).expect("the recipe is valid")
}

struct Same(ImageBatch);

impl MetaBatches for Same {
    fn batch(&self, _: u64) -> Result<ImageBatch, RepresentationError> {
        Ok(ImageBatch::new(Feed::Side, self.0.images.clone(), self.0.labels.clone()))
    }
}

/// Runs two steps (the second bi-level with `mpcl`) and compares what is held with what was said.
fn held_and_stated(method: &str, rest: &str) -> (usize, Memory) {
    let recipe = recipe(method, rest);
    let part = recipe.representation("r").expect("there");
    let image = ImageShape { height: 32, width: 32, channels: 1 };
    let architecture = Architecture::CifarResNet { depth: 14 };
    let dtype = DType::F32;
    let mut model = Model::new(&architecture, image, HeadForm::Linear, 10, 0, dtype).expect("14 is 6·2 + 2");
    model.network.set_checkpointing(part.activation_checkpointing);
    let stated = Memory::of(part, &model, 0);
    let pixels: Vec<f32> = (0..16 * image.len()).map(|i| (i % 251) as f32 / 251.0 - 0.5).collect();
    let pixels = Tensor::from_vec(pixels, (16, 32, 32, 1), &Device::Cpu).expect("16 images");
    let batch = ImageBatch::new(Feed::Train, pixels, (0..16).map(|i| i % 10).collect());
    let meta = Some(Box::new(Same(batch.clone())) as Box<dyn MetaBatches>);
    let mut method = build(part, 64, &[10; 10], meta, 0, dtype).expect("known");
    let sgd = SgdSettings { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let optimizer = Sgd::new(sgd, &model.weights, None).expect("memory");
    let mut step = Step::new(model, optimizer, MicroBatch::new(part.micro_batch, part.batch_size));
    let mut meter = EpochMeter::default();
    for number in 0..2 {
        let at = StepAt { epoch: 1, step: number, epoch_fraction: 0.0, lr: 0.01, relative_lr: 1.0 };
        method.step(&mut step, &batch, &at, &mut Log::new(&mut meter, at)).expect("sizes fit");
    }
    // Validation has at most as many images at once.
    let images = batch.images.narrow(0, 0, stated.images).expect("there");
    step.model.infer(&images).expect("sizes fit");
    assert_eq!(meter.mean("meta/loss_after").is_some(), part.epochs == 2, "bi-level where it should be");
    (step.bytes() + state_bytes(&method.state()), stated)
}

#[test]
fn what_is_stated_before_training_is_what_the_engine_holds() {
    let mpcl = "mpcl: {t_th_frac: 0.5}";
    let cases = [
        ("ce: {}", "epochs: 3"),
        ("ce: {}", "epochs: 3, micro_batch: 4"),
        (mpcl, "epochs: 2, warmup_epochs: 0"),
        (mpcl, "epochs: 2, warmup_epochs: 0, activation_checkpointing: true"),
        (mpcl, "epochs: 2, warmup_epochs: 0, micro_batch: 4"),
        (mpcl, "epochs: 2, warmup_epochs: 0, micro_batch: 4, activation_checkpointing: true"),
        ("mpcl: {t_th_frac: 0.5, meta_bn: running}", "epochs: 2, warmup_epochs: 0"),
    ];
    let mut totals = Vec::new();
    for (method, rest) in cases {
        let (held, stated) = held_and_stated(method, rest);
        let engine = stated.weights + stated.gradients + stated.tapes + stated.passes;
        println!("{method} {rest}: held {held}, stated {engine}, {}", stated.line());
        // All but the convolutions' workspace is exact; that is an upper bound but for the tallies of batch norms (2 %).
        let most = (engine + stated.prototypes) * 102 / 100;
        assert!(held <= most, "{method} {rest}: {held} held, {engine} stated");
        assert!(engine < held + held / 2, "{method} {rest}: {held} held, {engine} stated");
        totals.push((held, stated.tapes));
    }
    // Two tapes of 16 become one of 4; with activations worked out again still less.
    let [_, _, whole, cut, parts, both, running] = totals[..] else { panic!("seven cases") };
    assert!(parts.1 * 7 < whole.1 && cut.1 * 2 < whole.1 && both.1 * 2 < parts.1 && running.1 * 2 == whole.1 * 3);
    assert!(parts.0 < whole.0 / 2 && cut.0 < whole.0 && both.0 < parts.0);
}

#[test]
fn a_machine_that_is_too_small_is_told_before_training() {
    let recipe = recipe("ce: {}", "micro_batch: 4");
    let (_, stated) = held_and_stated("ce: {}", "epochs: 3, micro_batch: 4");
    let part = recipe.representation("r").expect("there");
    assert_eq!(stated.warning(part, stated.total()), None);
    let warning = stated.warning(part, stated.total() - 1).expect("too small");
    assert!(warning.contains("`micro_batch: 2`") && warning.contains("activation_checkpointing"), "{warning}");
}

/// 8142 classes: a batch touches the prototypes of its own classes alone.
#[test]
fn a_batch_moves_only_its_own_classes() {
    let (classes, dim) = (8142, 64);
    let image = ImageShape { height: SIDE, width: SIDE, channels: CHANNELS };
    let (architecture, dtype) = (Architecture::CifarResNet { depth: 8 }, DType::F64);
    let model = Model::new(&architecture, image, HeadForm::Linear, classes, 0, dtype).expect("8 is 6·1 + 2");
    let recipe = recipe("ce: {}", "epochs: 3");
    let longtail_recipe::RepresentationMethod::Ce(settings) = &recipe.representation("r").expect("there").method else {
        panic!("ce")
    };
    let ema: &Ema = &settings.ema;
    let loss = Arc::new(CrossEntropy::default());
    let mut method = Ce::new(ema, dim, loss, &vec![3; classes], dtype).expect("memory");
    let sgd = SgdSettings { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let optimizer = Sgd::new(sgd, &model.weights, None).expect("memory");
    let mut step = Step::new(model, optimizer, MicroBatch::new(3, META_BATCH));
    let mut batch = common::images(Feed::Train, 3, META_BATCH);
    batch.labels = vec![7, 8141, 7, 0, 4000];
    let at = StepAt { epoch: 0, step: 0, epoch_fraction: 0.0, lr: 0.01, relative_lr: 1.0 };
    method.step(&mut step, &batch, &at, &mut Log::new(&mut EpochMeter::default(), at)).expect("sizes fit");
    let export = method.prototypes().expect("no network");
    let empirical = values(&export.empirical);
    let moved: Vec<usize> =
        (0..classes).filter(|k| empirical[k * dim..(k + 1) * dim].iter().any(|v| *v != 0.0)).collect();
    assert_eq!(moved, [0, 7, 4000, 8141]);
    assert_eq!(export.seen.iter().sum::<u32>(), 4);
}
