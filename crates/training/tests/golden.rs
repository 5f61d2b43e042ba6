//! Optimisers and losses against PyTorch. The scripts that made the files stand beside them.

use candle_core::Tensor;
use longtail_training::loss::{balanced_softmax, class_balanced};
use longtail_training::{Adam, AdamSettings, CrossEntropy, Scalar, Sgd, SgdSettings};
use serde::Deserialize;

/// Both sides are f64 and sum in almost the same order; JSON numbers are read to the last bit or the one beside it.
const TOLERANCE: f64 = 1e-12;

fn assert_close(actual: &[f64], expected: &[f64], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert!((actual - expected).abs() < TOLERANCE, "{what} [{index}]: {actual} is not {expected}");
    }
}

fn vector(values: &[f64]) -> Tensor {
    f64::constant(values, &[values.len()]).expect("a vector")
}

#[derive(Deserialize)]
struct Optimizers {
    start: Vec<f64>,
    gradients: Vec<Vec<f64>>,
    sgd: Vec<SgdCase>,
    adamw: Vec<AdamCase>,
}

#[derive(Deserialize)]
struct SgdCase {
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
    weights: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct AdamCase {
    eps: f64,
    weight_decay: f64,
    weights: Vec<Vec<f64>>,
}

#[test]
fn optimizers_take_torchs_steps() {
    let golden: Optimizers =
        serde_json::from_str(include_str!("golden/optimizers/expected.json")).expect("the golden file is valid");
    let lr = |step: usize| 0.1 / (1.0 + step as f64);
    for case in golden.sgd {
        let settings =
            SgdSettings { momentum: case.momentum, nesterov: case.nesterov, weight_decay: case.weight_decay };
        let weights = vector(&golden.start);
        let mut sgd = Sgd::new(settings, &weights, Some(vec![0..4, 4..4])).expect("memory");
        for (step, expected) in case.weights.iter().enumerate() {
            sgd.step(lr(step), &weights, &vector(&golden.gradients[step])).expect("sizes fit");
            assert_close(&f64::values(&weights).expect("f64"), expected, "sgd");
        }
    }
    for case in golden.adamw {
        let settings = AdamSettings { epsilon: case.eps, weight_decay: case.weight_decay, ..AdamSettings::default() };
        let weights = vector(&golden.start);
        let mut adam = Adam::new(settings, &weights).expect("memory");
        for (step, expected) in case.weights.iter().enumerate() {
            adam.step(lr(step), &weights, &vector(&golden.gradients[step])).expect("sizes fit");
            assert_close(&f64::values(&weights).expect("f64"), expected, "adamw");
        }
    }
}

#[derive(Deserialize)]
struct Losses {
    logits: Vec<f64>,
    labels: Vec<u32>,
    class_counts: Vec<u32>,
    cross_entropy: LossCase,
    smoothed: LossCase,
    balanced_softmax: LossCase,
    class_balanced: LossCase,
}

#[derive(Deserialize)]
struct LossCase {
    value: f64,
    gradient: Vec<f64>,
}

#[test]
fn losses_and_gradients_are_torchs() {
    let golden: Losses =
        serde_json::from_str(include_str!("golden/losses/expected.json")).expect("the golden file is valid");
    let counts = &golden.class_counts;
    let cases = [
        ("cross_entropy", CrossEntropy::default(), &golden.cross_entropy),
        ("smoothed", CrossEntropy::default().with_smoothing(0.1), &golden.smoothed),
        ("balanced_softmax", balanced_softmax(counts).expect("counts are positive"), &golden.balanced_softmax),
        ("class_balanced", class_balanced(counts, 0.9999).expect("counts are positive"), &golden.class_balanced),
    ];
    for (name, loss, expected) in cases {
        let mut gradient = vec![0.0; golden.logits.len()];
        let value = loss
            .value_and_gradient(&golden.logits, &golden.labels, counts.len(), Some(&mut gradient))
            .expect("sizes fit");
        assert_close(&[value], &[expected.value], name);
        assert_close(&gradient, &expected.gradient, name);
    }
}
