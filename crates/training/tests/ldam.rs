//! LDAM and its head against the authors' own code (`golden/ldam/expected.json` names it), in f64.

use candle_core::{Device, Tensor, Var};
use longtail_recipe::{LdamRecipe, Stage1Loss};
use longtail_training::loss::{Ldam, effective_number_weights};
use longtail_training::{ClassificationLoss, Head, HeadForm, HeadShape, StepAt};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Golden {
    margins: Vec<Margins>,
    cases: Vec<Value>,
}

#[derive(Deserialize)]
struct Margins {
    name: String,
    counts: Vec<u32>,
    max_m: f64,
    margins: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/ldam/expected.json")).expect("the golden file is valid")
}

/// `extra`: LDAM's settings; `head` as a recipe has it.
fn ldam(head: &str, extra: &str) -> LdamRecipe {
    let yaml = format!(
        "
data: {{dataset: cifar100}}
representations: {{r: {{method: {{ce: {{}}}}, epochs: 200, head: {head}, loss: {{ldam: {{{extra}}}}}}}}}
classifiers: {{joint: {{joint: {{}}}}}}
"
    );
    let recipe = longtail_recipe::read_str(&yaml, "ldam", &[]).expect("the recipe is valid");
    match &recipe.representation("r").expect("it is there").loss {
        Stage1Loss::Ldam(ldam) => ldam.clone(),
        other => panic!("{other:?}"),
    }
}

fn at(epoch: usize) -> StepAt {
    StepAt { epoch, step: 0, epoch_fraction: 0.0, lr: 0.1, relative_lr: 1.0 }
}

fn f64s(case: &Value, name: &str) -> Vec<f64> {
    case[name].as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number")).collect()
}

fn u32s(case: &Value, name: &str) -> Vec<u32> {
    case[name].as_array().expect("a list").iter().map(|value| value.as_u64().expect("a count") as u32).collect()
}

fn size(case: &Value, name: &str) -> usize {
    case[name].as_u64().expect("a size") as usize
}

/// The file's rule: `|ours − expected| ≤ tolerance · max(1, |expected|)`.
fn assert_close(name: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= 1e-10 * expected.abs().max(1.0),
            "{name} [{index}]: {found} is not {expected}"
        );
    }
}

fn matrix(values: &[f64], rows: usize) -> Var {
    Var::from_slice(values, (rows, values.len() / rows), &Device::Cpu).expect("a matrix")
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().expect("a view").to_vec1().expect("f64")
}

#[test]
fn margins_are_the_authors() {
    for Margins { name, counts, max_m, margins } in golden().margins {
        let loss = Ldam::new(&ldam("normed_linear", &format!("max_margin: {max_m}")), 0.0, &counts).expect("positive");
        assert_close(&name, loss.margins(), &margins);
    }
    let error = Ldam::new(&ldam("linear", ""), 0.0, &[3, 0]).expect_err("no image").to_string();
    assert!(error.contains("class 1 has no training image"), "{error}");
}

#[test]
fn values_and_gradients_are_the_authors_before_drw_and_after() {
    let mut seen = 0;
    for case in golden().cases {
        let (name, kind) = (case["name"].as_str().expect("a name"), case["kind"].as_str().expect("a kind"));
        let head = match kind {
            "loss" => "normed_linear",
            "survey" => "linear",
            _ => continue,
        };
        let counts = u32s(&case, "counts");
        let settings = format!("max_margin: {}, scale: {}, drw: {{}}", case["max_m"], case["s"]);
        let loss = Ldam::new(&ldam(head, &settings), 0.0, &counts).expect("positive");
        let weighted = !case["class_weights"].is_null();
        if weighted {
            let weights = effective_number_weights(&counts, 0.9999).expect("positive");
            assert_close(name, &weights, &f64s(&case, "class_weights"));
        }
        // 0-based: the 161st epoch is the first with weights.
        let epoch = if weighted { 160 } else { 159 };
        let (logits, labels) = (matrix(&f64s(&case, "logits"), size(&case, "n")), u32s(&case, "labels"));
        let value = loss.forward(&logits, &labels, &at(epoch)).expect("sizes fit");
        assert_close(name, &[value.to_scalar().expect("a scalar")], &[case["loss"].as_f64().expect("a number")]);
        let store = value.backward().expect("differentiable");
        assert_close(name, &flat(store.get(&logits).expect("a gradient")), &f64s(&case, "dlogits"));
        seen += 1;
    }
    assert_eq!(seen, 10);
}

#[test]
fn the_head_and_its_gradients_are_the_authors() {
    for case in golden().cases {
        let kind = case["kind"].as_str().expect("a kind");
        if !matches!(kind, "head" | "both") {
            continue;
        }
        let (rows, classes, dim) = (size(&case, "n"), size(&case, "K"), size(&case, "d"));
        let shape = HeadShape { form: HeadForm::NormedLinear, num_classes: classes, feature_dim: dim };
        let weight = Tensor::from_vec(f64s(&case, "weight"), classes * dim, &Device::Cpu).expect("a vector");
        let head = Head::variables(&shape, &weight).expect("sizes fit");
        let features = matrix(&f64s(&case, "features"), rows);
        let logits = head.logits(&features).expect("sizes fit");
        let value = match kind {
            "head" => {
                assert_close(kind, &flat(&logits), &f64s(&case, "logits"));
                let upstream = matrix(&f64s(&case, "upstream"), rows);
                (logits * upstream.as_tensor()).expect("one shape").sum_all().expect("a sum")
            }
            _ => {
                let loss = Ldam::new(&ldam("normed_linear", "drw: {}"), 0.0, &u32s(&case, "counts")).expect("positive");
                let value = loss.forward(&logits, &u32s(&case, "labels"), &at(160)).expect("sizes fit");
                assert_close(
                    kind,
                    &[value.to_scalar().expect("a scalar")],
                    &[case["loss"].as_f64().expect("a number")],
                );
                value
            }
        };
        let store = value.backward().expect("differentiable");
        assert_close(kind, &flat(store.get(&features).expect("a gradient")), &f64s(&case, "dfeatures"));
        assert_close(kind, &flat(&head.gradient(&store).expect("floats")), &f64s(&case, "dweight"));
    }
}

#[test]
fn the_mean_over_a_batch_is_that_of_its_parts_by_their_weight() {
    let loss = Ldam::new(&ldam("normed_linear", "drw: {from_epoch: 3}"), 0.1, &[50, 9, 2]).expect("positive");
    let (logits, labels) = ([0.5, -0.1, 0.3, 0.2, 0.9, -0.4], [0, 2]);
    for epoch in [2, 3] {
        let mean = |logits: &[f64], labels: &[u32]| -> f64 {
            let value = loss.forward(&matrix(logits, labels.len()), labels, &at(epoch)).expect("sizes fit");
            value.to_scalar().expect("a scalar")
        };
        let weight = |labels: &[u32]| loss.weight_of(labels, &at(epoch));
        let parts = weight(&labels[..1]) * mean(&logits[..3], &labels[..1])
            + weight(&labels[1..]) * mean(&logits[3..], &labels[1..]);
        assert!((mean(&logits, &labels) - parts / weight(&labels)).abs() < 1e-12);
    }
}
