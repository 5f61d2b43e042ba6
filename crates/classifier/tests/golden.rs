//! Each method against its official formula, as NumPy or PyTorch works it out (`golden/*/make.py`).
//!
//! Tolerances: the golden numbers are f64, ours f32 sums of at most a few dozen terms.

mod common;

use std::sync::Arc;

use common::{assert_close, f32s, f64s, golden, mpfa, recipe, size, tailcalib, u32s};
use longtail_classifier::generate::tailcalib::tailcalib_model;
use longtail_classifier::generate::{ClassStore, FeatureTransform, covariance, mean, normalize_rows};
use longtail_classifier::method::mpfa::Mpfa;
use longtail_classifier::method::ncm::nearest_mean;
use longtail_classifier::method::tau_norm::tau_normalized;
use longtail_classifier::{
    Batches, ClassifierError, FeatureSet, FitData, Journal, MemoryJournal, PrototypeSet, RowSource, ScoringHead,
    TrainPlan, TrainResult, Views, from_host, train_head,
};
use longtail_recipe::{
    Alpha, BetaMode, CovCenter, CovSpace, FeatNorm, HeadTraining, MpfaRecipe, NcmNormalize, NeighborRule,
    NeighborWeights, ProtoScale,
};
use longtail_training::Compute;
use longtail_training::{HeadForm, HeadShape, HeadWeights, TrainedPart};
use serde::de::DeserializeOwned;
use serde_json::Value;

#[test]
fn tau_norm_and_joint() {
    let file = golden("tau_norm");
    let head = HeadWeights::linear(&f32s(&file["weight"]), &f32s(&file["bias"])).expect("sizes fit");
    let features = f32s(&file["features"]);
    for case in file["cases"].as_array().expect("cases") {
        let got = tau_normalized(&head, case["tau"].as_f64().expect("tau")).expect("sizes fit");
        assert_close("weight", got.weight(), &f64s(&case["weight"]), 1e-5);
        let scored = ScoringHead::Trained { head: got, transform: FeatureTransform::IDENTITY };
        assert_close("logits", &scored.logits(&features).expect("fits"), &f64s(&case["logits"]), 1e-5);
    }
    let joint = ScoringHead::Trained { head, transform: FeatureTransform::IDENTITY };
    assert_close("joint", &joint.logits(&features).expect("fits"), &f64s(&file["joint_logits"]), 1e-6);
}

#[test]
fn ncm_in_all_three_spaces() {
    let file = golden("ncm");
    let (classes, dim) = (size(&file["classes"]), size(&file["dim"]));
    let store = ClassStore::new(&f32s(&file["features"]), &u32s(&file["labels"]), classes, dim).expect("valid");
    for case in file["cases"].as_array().expect("cases") {
        let normalize: NcmNormalize = word(&case["normalize"]);
        let head = nearest_mean(&store, normalize).expect("sizes fit");
        assert_close("center", &head.center, &f64s(&case["center"]), 1e-6);
        assert_close("means", &head.means, &f64s(&case["means"]), 1e-6);
        assert_close("logits", &head.logits(&f32s(&file["test"])), &f64s(&case["logits"]), 3e-6);
    }
}

/// Gives out the golden file's batches in their order.
struct GivenBatches {
    features: Vec<f32>,
    labels: Vec<u32>,
    batch_size: usize,
    dim: usize,
}

impl RowSource for GivenBatches {
    fn rows_per_epoch(&self) -> usize {
        self.labels.len()
    }

    fn batches(
        &mut self,
        _epoch: usize,
        compute: &Compute,
        _journal: &mut dyn Journal,
    ) -> Result<Batches<'_>, ClassifierError> {
        let features = self.features.chunks(self.batch_size * self.dim).map(<[f32]>::to_vec);
        Ok(from_host(features.zip(self.labels.chunks(self.batch_size).map(<[u32]>::to_vec)), self.dim, compute))
    }
}

/// One epoch of the file's batches from `head`, by the loop that every method uses.
fn train_on(file: &Value, head: HeadWeights, part: TrainedPart) -> (TrainResult, f64) {
    let training = training(file);
    let (classes, dim) = (size(&file["classes"]), size(&file["dim"]));
    let (features, labels) = (f32s(&file["features"]), u32s(&file["labels"]));
    let empty = FeatureSet { path: "none".into(), features: Vec::new(), labels: Vec::new(), dim };
    let every_class: Vec<u32> = (0..classes as u32).collect();
    let data = FitData {
        train: ClassStore::new(&vec![1.0; classes * dim], &every_class, classes, dim).expect("valid"),
        views: Views::default(),
        meta: empty.clone(),
        val: empty,
        class_counts: vec![1; classes],
        head: head.clone(),
        prototypes: PrototypeSet { empirical: Vec::new(), meta: Vec::new(), seen: Vec::new() },
    };
    let plan = TrainPlan {
        head,
        part,
        training: &training,
        transform: FeatureTransform::IDENTITY,
        groups: groups(),
        compute: Compute::cpu(),
    };
    let mut source = GivenBatches { features, labels, batch_size: training.batch_size, dim };
    let mut journal = MemoryJournal::default();
    let result = train_head(&plan, &data, &mut source, &mut journal).expect("trains");
    let loss = journal.series("train", "loss")[0];
    (result, loss)
}

fn groups() -> longtail_recipe::ShotGroups {
    recipe("{joint: {}}").data.shot_groups
}

fn training(file: &Value) -> HeadTraining {
    let yaml = format!(
        "{{epochs: 1, batch_size: {}, lr: {}, schedule: constant, momentum: {}, weight_decay: {}}}",
        file["batch_size"], file["lr"], file["momentum"], file["weight_decay"]
    );
    mpfa(&format!("{{training: {yaml}}}")).training
}

fn mean_of(values: &Value) -> f64 {
    let values = f64s(values);
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn crt_after_a_few_steps_of_sgd() {
    let file = golden("crt");
    let head = HeadWeights::linear(&f32s(&file["weight"]), &f32s(&file["bias"])).expect("sizes fit");
    let (result, loss) = train_on(&file, head, TrainedPart::All);
    assert_close("weight", result.head.weight(), &f64s(&file["trained_weight"]), 2e-6);
    assert_close("bias", result.head.bias().expect("linear"), &f64s(&file["trained_bias"]), 2e-6);
    assert_close("loss", &[loss], &[mean_of(&file["losses"])], 1e-6);
}

#[test]
fn lws_scales_the_bias_too() {
    let file = golden("lws");
    let shape = HeadShape {
        form: HeadForm::ScaledLinear,
        num_classes: size(&file["classes"]),
        feature_dim: size(&file["dim"]),
    };
    let ones = vec![1f32; shape.num_classes];
    let values = [f32s(&file["weight"]), f32s(&file["bias"]), ones].concat();
    let head = HeadWeights::new(shape, values).expect("sizes fit");
    let (result, loss) = train_on(&file, head, TrainedPart::ClassScales);
    assert_close("scale", result.head.block("scale").expect("scales"), &f64s(&file["scale"]), 3e-6);
    assert_close("weight", result.head.weight(), &f64s(&file["weight"]), 1e-7);
    assert_close("logits", &result.head.logits(&f32s(&file["features"])).expect("fits"), &f64s(&file["logits"]), 1e-5);
    assert_close("loss", &[loss], &[mean_of(&file["losses"])], 1e-6);
}

#[test]
fn the_cosine_head_of_tailcalib_and_mpfa() {
    let file = golden("cosine_head");
    let (classes, dim) = (size(&file["classes"]), size(&file["dim"]));
    let mut weight = f32s(&file["stage1_weight"]);
    normalize_rows(&mut weight, dim);
    let head = HeadWeights::cosine(weight, classes, file["scale"].as_f64().expect("scale")).expect("sizes fit");
    let (result, loss) = train_on(&file, head, TrainedPart::All);
    assert_close("weight", result.head.weight(), &f64s(&file["trained_weight"]), 5e-6);
    assert_close("loss", &[loss], &[mean_of(&file["losses"])], 3e-6);
}

#[test]
fn tailcalib_means_covariances_and_counts() {
    let file = golden("tailcalib");
    let (classes, dim) = (size(&file["classes"]), size(&file["dim"]));
    let mut unit = f32s(&file["features"]);
    normalize_rows(&mut unit, dim);
    let labels = u32s(&file["labels"]);
    let store = ClassStore::new(&unit, &labels, classes, dim).expect("valid");
    for case in file["cases"].as_array().expect("cases") {
        let settings =
            format!("{{tukey: {}, alpha: {}, neighbors: {}}}", case["tukey"], case["alpha"], case["neighbors"]);
        let recipe = tailcalib(&settings);
        let (model, laws) = tailcalib_model(Arc::new(store.clone()), &recipe).expect("a model");
        let per_row = recipe.neighbors;
        for row in 0..store.len() {
            let found: Vec<u32> = laws.components(row).map(|c| c.class).collect();
            assert_eq!(found, u32s(&case["nearest"])[row * per_row..(row + 1) * per_row], "{settings}: row {row}");
            let at = row * dim;
            assert_close("mean", &mean(&model, &laws, row), &f64s(&case["mean"])[at..at + dim], 1e-6);
            let square = dim * dim;
            let cov = &f64s(&case["cov"])[row * square..(row + 1) * square];
            assert_close("cov", &covariance(&model, &laws, row), cov, 1e-6);
        }
        let transform = FeatureTransform { l2: true, tukey: recipe.tukey, tukey_keep_norm: false };
        let mut features = f32s(&file["features"]);
        transform.apply(&mut features, dim).expect("non-negative");
        assert_close("head features", &features, &f64s(&case["head_features"]), 1e-6);
    }
}

fn word<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

fn mpfa_recipe(settings: &Value) -> MpfaRecipe {
    let mut recipe = mpfa("{}");
    recipe.proto_scale = word::<ProtoScale>(&settings["proto_scale"]);
    recipe.proto_clamp = settings["proto_clamp"].as_bool().expect("bool");
    recipe.cov_center = word::<CovCenter>(&settings["cov_center"]);
    recipe.cov_space = word::<CovSpace>(&settings["cov_space"]);
    recipe.tukey = settings["tukey"].as_f64().expect("number");
    recipe.tukey_renorm = settings["tukey_renorm"].as_bool().expect("bool");
    recipe.feat_norm = word::<FeatNorm>(&settings["feat_norm"]);
    recipe.neighbor_rule = word::<NeighborRule>(&settings["neighbor_rule"]);
    recipe.neighbors = size(&settings["neighbors"]);
    recipe.weights = word::<NeighborWeights>(&settings["weights"]);
    recipe.beta_mode = word::<BetaMode>(&settings["beta_mode"]);
    recipe.beta = settings["beta"].as_f64().expect("number");
    recipe.alpha = Alpha::Fixed(settings["alpha"].as_f64().expect("number"));
    recipe
}

#[test]
fn mpfa_prototypes_neighbours_means_and_covariances_under_every_switch() {
    let file = golden("mpfa");
    let (classes, dim) = (size(&file["classes"]), size(&file["dim"]));
    let prototypes = f32s(&file["meta_prototypes"]);
    let empty = FeatureSet { path: "none".into(), features: Vec::new(), labels: Vec::new(), dim };
    let train = ClassStore::new(&f32s(&file["features"]), &u32s(&file["labels"]), classes, dim).expect("valid");
    let data = FitData {
        class_counts: train.counts().iter().map(|&count| count as u32).collect(),
        train,
        views: Views::default(),
        meta: empty.clone(),
        val: empty,
        head: HeadWeights::linear(&prototypes, &vec![0.0; classes]).expect("sizes fit"),
        prototypes: PrototypeSet { empirical: prototypes.clone(), meta: prototypes, seen: vec![1; classes] },
    };
    for case in file["cases"].as_array().expect("cases") {
        let settings = &case["settings"];
        let recipe = mpfa_recipe(settings);
        let (model, calibration) = Mpfa { recipe: &recipe }.model(&data).expect("a model");
        assert_close(&format!("{settings}: prototypes"), &model.means, &f64s(&case["prototypes"]), 1e-6);
        let norms: Vec<f32> = model.means.chunks(dim).map(longtail_classifier::generate::norm).collect();
        assert_close("r_k", &norms, &f64s(&case["norms"]), 1e-6);
        let alpha = settings["alpha"].as_f64().expect("number");
        let laws = calibration.laws(&vec![alpha; classes]);
        assert_close("beta", &[laws.diagonal_variance], &f64s(&Value::from(vec![case["beta_diagonal"].clone()])), 1e-7);
        assert_close("beta", &[laws.shared_variance], &f64s(&Value::from(vec![case["beta_all"].clone()])), 1e-7);
        let (rows, nearest) = (u32s(&case["rows"]), f64s(&case["nearest"]));
        let (weights, means, covs) = (f64s(&case["weights"]), f64s(&case["mean"]), f64s(&case["cov"]));
        let per_row = recipe.neighbors;
        for (index, &row) in rows.iter().enumerate() {
            let row = row as usize;
            let expected: Vec<u32> = nearest[index * per_row..(index + 1) * per_row]
                .iter()
                .filter(|&&c| c >= 0.0)
                .map(|&c| c as u32)
                .collect();
            let found: Vec<u32> = calibration.neighbors().of(row).map(|(class, _)| class).collect();
            assert_eq!(found, expected, "{settings}: neighbours of row {row}");
            let omega = calibration.weights(row);
            assert_close("weights", &omega, &weights[index * per_row..index * per_row + omega.len()], 1e-6);
            let at = index * dim;
            let what = format!("{settings}: mean of row {row}");
            assert_close(&what, &mean(&model, &laws, row), &means[at..at + dim], 1e-6);
            let what = format!("{settings}: covariance of row {row}");
            let expected = &covs[at * dim..at * dim + dim * dim];
            assert_close(&what, &covariance(&model, &laws, row), expected, 1e-6);
        }
    }
}
