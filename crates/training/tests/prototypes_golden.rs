//! Prototypes, meta-network and L_PC against PyTorch. The script that made the file stands beside it.

use candle_core::DType;
use longtail_training::Scalar;
use longtail_training::prototype::{MetaNetwork, PrototypeBank, PrototypeSettings, prototype_loss};
use serde::Deserialize;

/// Both sides are f64; with τ = 0.07 a similarity is up to 14, so gradients carry about that factor of rounding.
const TOLERANCE: f64 = 1e-11;
const DIM: usize = 5;

#[derive(Deserialize)]
struct Golden {
    features: Vec<Vec<f64>>,
    labels: Vec<Vec<u32>>,
    momentum: f64,
    tau: f64,
    prototypes: Vec<Vec<f64>>,
    theta: Vec<f64>,
    meta_prototypes: Vec<f64>,
    loss: f64,
    features_gradient: Vec<f64>,
    prototypes_gradient: Vec<f64>,
}

fn assert_close(actual: &[f64], expected: &[f64], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert!((actual - expected).abs() < TOLERANCE, "{what} [{index}]: {actual} is not {expected}");
    }
}

#[test]
fn prototypes_meta_network_and_loss_are_torchs() {
    let golden: Golden =
        serde_json::from_str(include_str!("golden/prototypes/expected.json")).expect("the golden file is valid");
    let settings =
        PrototypeSettings { momentum: vec![golden.momentum; 4], per_sample: true, on_sphere: true, debias: false };
    let mut bank = PrototypeBank::new(settings, DIM, DType::F64).expect("memory");
    let matrix = |values: &[f64]| f64::constant(values, &[values.len() / DIM, DIM]).expect("a matrix");
    let current = |bank: &PrototypeBank| f64::values(&bank.current().expect("memory")).expect("f64");
    for ((features, labels), expected) in golden.features.iter().zip(&golden.labels).zip(&golden.prototypes) {
        bank.update(&matrix(features), labels).expect("sizes fit");
        assert_close(&current(&bank), expected, "prototypes");
    }

    let network = MetaNetwork::new(DIM, 3, true, 180.0);
    let theta = f64::constant(&golden.theta, &[golden.theta.len()]).expect("a vector");
    let moved = network.apply(&theta, &matrix(&current(&bank))).expect("sizes fit");
    let moved = f64::values(&moved).expect("f64");
    assert_close(&moved, &golden.meta_prototypes, "meta-prototypes");

    let features = f64::variable(&golden.features[0], &[6, DIM]).expect("6·5");
    let prototypes = f64::variable(&moved, &[4, DIM]).expect("4·5");
    let loss = prototype_loss(&features, &golden.labels[0], &prototypes, &bank.seen(), golden.tau)
        .expect("sizes fit")
        .expect("all classes are seen");
    assert_close(&[loss.to_scalar::<f64>().expect("a scalar")], &[golden.loss], "loss");
    let store = loss.backward().expect("differentiable");
    let gradient = |of| f64::values(store.get(of).expect("a gradient")).expect("f64");
    assert_close(&gradient(features.as_tensor()), &golden.features_gradient, "features gradient");
    assert_close(&gradient(prototypes.as_tensor()), &golden.prototypes_gradient, "prototypes gradient");
}
