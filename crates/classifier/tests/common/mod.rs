//! What the integration tests share: golden files, recipes from YAML, toy data.
#![allow(dead_code)] // each test binary uses its own part

pub mod run_folder;

use std::path::Path;

use longtail_classifier::generate::ClassStore;
use longtail_classifier::{FeatureSet, FitData, PrototypeSet, Views};
use longtail_ops::{normal, stream};
use longtail_recipe::{ClassifierRecipe, MpfaRecipe, Recipe, TailCalibRecipe};
use longtail_training::HeadWeights;
use serde_json::Value;

/// The golden file of one method.
pub fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).join("golden.json");
    let text = std::fs::read_to_string(&path).expect("the golden file is there");
    serde_json::from_str(&text).expect("the golden file is JSON")
}

pub fn f32s(value: &Value) -> Vec<f32> {
    f64s(value).into_iter().map(|v| v as f32).collect()
}

pub fn f64s(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

pub fn u32s(value: &Value) -> Vec<u32> {
    value.as_array().expect("a list").iter().map(|v| v.as_u64().expect("a count") as u32).collect()
}

pub fn size(value: &Value) -> usize {
    value.as_u64().expect("a size") as usize
}

/// Every |actual − expected| at most `tolerance`·max(1, |expected|).
pub fn assert_close<A: Copy + Into<f64>>(what: &str, actual: &[A], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}: sizes");
    for (at, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let actual: f64 = actual.into();
        let error = (actual - expected).abs() / expected.abs().max(1.0);
        assert!(error <= tolerance, "{what}[{at}]: {actual}, expected {expected}");
    }
}

/// A recipe whose only classifier is `classifier`, in YAML flow style.
pub fn recipe(classifier: &str) -> Recipe {
    let text = format!(
        "recipe: test\ndata: {{dataset: fashion_mnist}}\nrepresentations:\n  ce: {{method: {{ce: {{}}}}, backbone: {{cifar_resnet: 8}}}}\n\
         classifiers:\n  it: {classifier}\nrows:\n  - {{representation: ce, classifier: it}}\n"
    );
    longtail_recipe::read_str(&text, "test.yaml", &[]).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub fn classifier(yaml: &str) -> ClassifierRecipe {
    recipe(yaml).classifier("it").expect("named so").clone()
}

pub fn mpfa(yaml: &str) -> MpfaRecipe {
    match classifier(&format!("{{mpfa: {yaml}}}")) {
        ClassifierRecipe::Mpfa(recipe) => *recipe,
        other => panic!("{other:?}"),
    }
}

pub fn tailcalib(yaml: &str) -> TailCalibRecipe {
    match classifier(&format!("{{tailcalib: {yaml}}}")) {
        ClassifierRecipe::Tailcalib(recipe) => recipe,
        other => panic!("{other:?}"),
    }
}

/// Non-negative features around one random centre a class, like those after a ReLU.
pub fn toy_rows(counts: &[usize], dim: usize, seed: u64) -> (Vec<f32>, Vec<u32>) {
    let mut centers = Vec::new();
    let mut rng = stream(seed, "toy/centers", 0, 0);
    for _ in 0..counts.len() * dim {
        centers.push(1.5 * normal(&mut rng).abs());
    }
    let (mut features, mut labels) = (Vec::new(), Vec::new());
    for (class, &count) in counts.iter().enumerate() {
        let mut rng = stream(seed, "toy/rows", 0, class as u64);
        for _ in 0..count {
            labels.push(class as u32);
            let center = &centers[class * dim..(class + 1) * dim];
            features.extend(center.iter().map(|c| (c + 0.5 * normal(&mut rng)).abs() as f32));
        }
    }
    (features, labels)
}

/// A whole data set for fitting: `counts` training rows, five validation and meta rows a class.
pub fn toy_data(counts: &[usize], dim: usize) -> FitData {
    let classes = counts.len();
    let set = |name: &str, per_class: usize, seed: u64| {
        // the same centres for every split: only the rows' streams differ
        let (all, labels) = toy_rows(&vec![per_class + seed as usize; classes], dim, 1);
        let keep: Vec<usize> =
            (0..labels.len()).filter(|row| row % (per_class + seed as usize) >= seed as usize).collect();
        FeatureSet {
            path: name.into(),
            features: keep.iter().flat_map(|&row| all[row * dim..(row + 1) * dim].to_vec()).collect(),
            labels: keep.iter().map(|&row| labels[row]).collect(),
            dim,
        }
    };
    let (features, labels) = toy_rows(counts, dim, 1);
    let train = ClassStore::new(&features, &labels, classes, dim).expect("valid");
    let means = train.means();
    let head = HeadWeights::linear(&means, &vec![0.1; classes]).expect("K·d and K");
    FitData {
        train,
        views: Views::default(),
        meta: set("meta.safetensors", 5, 300),
        val: set("val.safetensors", 5, 400),
        class_counts: counts.iter().map(|&count| count as u32).collect(),
        head,
        prototypes: PrototypeSet { empirical: means.clone(), meta: means, seen: vec![1; classes] },
    }
}
