//! Prototypes, meta-network and L_PC against PyTorch. The script that made the file stands beside it.

use longtail_representation::meta_network::MetaNetwork;
use longtail_representation::prototype_loss::prototype_loss;
use longtail_representation::prototypes::{PrototypeSettings, Prototypes};
use longtail_training::Scalar;
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
    let mut bank = Prototypes::<f64>::new(settings, DIM);
    for ((features, labels), expected) in golden.features.iter().zip(&golden.labels).zip(&golden.prototypes) {
        bank.update(features, labels);
        assert_close(&bank.current(), expected, "prototypes");
    }

    let network = MetaNetwork::new(DIM, 3, true, 180.0);
    let moved = network.apply(&golden.theta, &bank.current()).expect("sizes fit");
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
