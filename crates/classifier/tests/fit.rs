//! Every method on toy data: it learns, it resumes to the same bits, and it says what it lacks.

mod common;

use common::{classifier, recipe, toy_data};
use longtail_classifier::generate::ClassStore;
use longtail_classifier::method::base::{Context, Fitted, method};
use longtail_classifier::{ClassifierError, FitData, MemoryJournal, ScoringHead, Views};
use longtail_metrics::argmax_rows;
use longtail_training::Compute;
use longtail_training::{HeadWeights, StateReader};

const COUNTS: [usize; 6] = [120, 60, 30, 15, 8, 4];
const TRAINING: &str = "{epochs: 4, batch_size: 32, lr: 0.05, schedule: cosine}";

fn methods() -> Vec<(&'static str, String)> {
    vec![
        ("joint", "{joint: {}}".to_owned()),
        ("crt", format!("{{crt: {{training: {TRAINING}}}}}")),
        ("lws", format!("{{lws: {{training: {TRAINING}}}}}")),
        ("tau_norm", "{tau_norm: {}}".to_owned()),
        ("ncm", "{ncm: {}}".to_owned()),
        ("tailcalib", format!("{{tailcalib: {{training: {TRAINING}}}}}")),
        ("tailcalib_x", format!("{{tailcalib_x: {{training: {TRAINING}}}}}")),
        ("mpfa", format!("{{mpfa: {{training: {TRAINING}}}}}")),
        ("mpfa adaptive", format!("{{mpfa: {{alpha: {{adaptive: 0.2}}, training: {TRAINING}}}}}")),
        (
            "mpfa search",
            format!("{{mpfa: {{alpha: {{search: {{low: 0.1, high: 0.5, steps: 3}}}}, training: {TRAINING}}}}}"),
        ),
        ("mpfa once", format!("{{mpfa: {{regen: once, training: {TRAINING}}}}}")),
        ("mpfa literal", format!("{{mpfa: {{preset: paper_literal, training: {TRAINING}}}}}")),
    ]
}

fn fit(yaml: &str, data: &FitData, journal: &mut MemoryJournal) -> Result<Fitted, ClassifierError> {
    let recipe = classifier(yaml);
    let groups = self::recipe("{joint: {}}").data.shot_groups;
    method(&recipe).fit(data, &mut Context { seed: 11, groups, journal, compute: Compute::cpu() })
}

fn val_accuracy(fitted: &Fitted, data: &FitData) -> f64 {
    let predicted = argmax_rows(&fitted.head.logits(&data.val.features).expect("fits"), data.num_classes());
    let right = predicted.iter().zip(&data.val.labels).filter(|(a, b)| a == b).count();
    right as f64 / predicted.len() as f64
}

#[test]
fn every_method_classifies_toy_data_and_repeats_to_the_bit() {
    let data = toy_data(&COUNTS, 12);
    for (name, yaml) in methods() {
        let fitted = fit(&yaml, &data, &mut MemoryJournal::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let accuracy = val_accuracy(&fitted, &data);
        assert!(accuracy > 0.7, "{name}: {accuracy}");
        assert_eq!(fitted.val_accuracy, Some(accuracy), "{name}");
        let again = fit(&yaml, &data, &mut MemoryJournal::default()).expect("as before");
        assert_eq!(again, fitted, "{name}");
    }
}

#[test]
fn a_run_that_is_stopped_goes_on_to_the_same_bits() {
    let data = toy_data(&COUNTS, 12);
    for (name, yaml) in methods() {
        let mut straight = MemoryJournal::default();
        let want = fit(&yaml, &data, &mut straight).expect("fits");
        let epochs = straight.series("train", "loss").len();
        for stop_after in [1, 3, 4, 7].into_iter().filter(|&stop| stop < epochs) {
            let mut first = MemoryJournal { stop_after: Some(stop_after), ..MemoryJournal::default() };
            let error = fit(&yaml, &data, &mut first).expect_err("stopped");
            assert!(matches!(error, ClassifierError::Interrupted(_)), "{name}: {error}");
            let mut second = MemoryJournal::resumed_from(first.saved.take().expect("saved on stopping"));
            assert_eq!(fit(&yaml, &data, &mut second).expect("fits"), want, "{name}, stopped after {stop_after}");
            let numbers = [first.measurements, second.measurements].concat();
            assert_eq!(numbers, straight.measurements, "{name}, stopped after {stop_after}");
        }
    }
}

#[test]
fn a_run_that_is_stopped_inside_an_epoch_goes_on_to_the_same_bits() {
    let data = toy_data(&COUNTS, 12);
    for (name, yaml) in methods() {
        let mut straight = MemoryJournal::default();
        let want = fit(&yaml, &data, &mut straight).expect("fits");
        let mut inside = 0;
        for steps in [1, 3, 7, 10, 18, 40] {
            let mut first = MemoryJournal { stop_after_steps: Some(steps), ..MemoryJournal::default() };
            let Err(error) = fit(&yaml, &data, &mut first) else { break };
            assert!(matches!(error, ClassifierError::Interrupted(_)), "{name}: {error}");
            let saved = first.saved.take().expect("saved on stopping");
            let position = StateReader::new("test", saved.clone()).counters::<7>("position").expect("saved");
            inside += usize::from(position[2] > 0);
            let mut second = MemoryJournal::resumed_from(saved);
            assert_eq!(fit(&yaml, &data, &mut second).expect("fits"), want, "{name}, stopped after {steps} steps");
            let numbers = [first.measurements, second.measurements].concat();
            assert_eq!(numbers, straight.measurements, "{name}, stopped after {steps} steps");
        }
        let trains = !straight.series("train", "loss").is_empty();
        assert!(!trains || inside >= 3, "{name}: {inside} stops fell inside an epoch");
    }
}

#[test]
fn threads_change_no_bit_of_a_fitted_head() {
    let data = toy_data(&COUNTS, 12);
    for (name, yaml) in methods() {
        let fits: Vec<Fitted> = [1, 3]
            .into_iter()
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                pool.install(|| fit(&yaml, &data, &mut MemoryJournal::default()).expect("fits"))
            })
            .collect();
        assert_eq!(fits[0], fits[1], "{name}");
    }
}

#[test]
fn what_was_chosen_is_said_and_the_log_has_its_traces() {
    let data = toy_data(&COUNTS, 12);
    let find = |name: &str| methods().into_iter().find(|(n, _)| *n == name).expect("listed").1;
    let mut journal = MemoryJournal::default();
    let searched = fit(&find("mpfa search"), &data, &mut journal).expect("fits");
    let alpha = searched.chosen["alpha"].as_f64().expect("a number");
    assert!([0.1, 0.3, 0.5].iter().any(|candidate| (candidate - alpha).abs() < 1e-12), "{alpha}");
    assert_eq!(journal.series("train", "loss").len(), 12, "three trials of four epochs");
    let mut journal = MemoryJournal::default();
    let adaptive = fit(&find("mpfa adaptive"), &data, &mut journal).expect("fits");
    assert_eq!(adaptive.chosen["alpha_per_class"].as_array().map(Vec::len), Some(6));
    assert_eq!(journal.series("generate", "alpha_mean").len(), 4);
    let per_class: Vec<f64> = (0..6).map(|k| journal.series("generate", &format!("rows/class-{k}"))[0]).collect();
    assert_eq!(per_class, vec![0.0, 60.0, 90.0, 105.0, 112.0, 116.0]);
    assert!(journal.notes[0].contains("workspace"), "{:?}", journal.notes);
    let tau = fit("{tau_norm: {}}", &data, &mut MemoryJournal::default()).expect("fits");
    assert!(tau.chosen["tau"].as_f64().is_some());
}

#[test]
fn once_repeats_its_rows_and_epoch_does_not() {
    let data = toy_data(&COUNTS, 12);
    let once = methods().into_iter().find(|(n, _)| *n == "mpfa once").expect("listed").1;
    let every = methods().into_iter().find(|(n, _)| *n == "mpfa").expect("listed").1;
    let a = fit(&once, &data, &mut MemoryJournal::default()).expect("fits");
    let b = fit(&every, &data, &mut MemoryJournal::default()).expect("fits");
    assert_ne!(a.head, b.head);
}

#[test]
fn tailcalib_x_takes_the_views_in_turn() {
    let mut data = toy_data(&COUNTS, 12);
    let yaml = format!("{{tailcalib_x: {{training: {TRAINING}}}}}");
    let without = fit(&yaml, &data, &mut MemoryJournal::default()).expect("fits");
    let train = data.train.clone();
    data.views = Views::new(
        2,
        std::sync::Arc::new(move |view| {
            let shift = |rows: &mut [f32], _dim: usize| {
                rows.iter_mut().for_each(|value| *value += 0.1 * (view + 1) as f32);
                Ok(())
            };
            train.try_map(shift)
        }),
    );
    let with = fit(&yaml, &data, &mut MemoryJournal::default()).expect("fits");
    assert_ne!(with.head, without.head);
    assert_eq!(fit(&yaml, &data, &mut MemoryJournal::default()).expect("fits").head, with.head);
}

#[test]
fn each_method_says_what_it_lacks() {
    let mut data = toy_data(&COUNTS, 12);
    data.head = HeadWeights::cosine(data.train.means(), 6, 16.0).expect("sizes fit");
    for name in ["tau_norm", "lws"] {
        let yaml = methods().into_iter().find(|(n, _)| *n == name).expect("listed").1;
        let error = fit(&yaml, &data, &mut MemoryJournal::default()).expect_err("a cosine head").to_string();
        assert!(error.contains(name) && error.contains("cosine"), "{error}");
    }
    let mut data = toy_data(&COUNTS, 12);
    (data.meta.features, data.meta.labels) = (Vec::new(), Vec::new());
    let adaptive = methods().into_iter().find(|(n, _)| *n == "mpfa adaptive").expect("listed").1;
    let error = fit(&adaptive, &data, &mut MemoryJournal::default()).expect_err("no meta set").to_string();
    assert!(error.contains("meta set") && error.contains("meta.safetensors"), "{error}");
    (data.val.features, data.val.labels) = (Vec::new(), Vec::new());
    for name in ["tau_norm", "mpfa search"] {
        let yaml = methods().into_iter().find(|(n, _)| *n == name).expect("listed").1;
        let error = fit(&yaml, &data, &mut MemoryJournal::default()).expect_err("no validation").to_string();
        assert!(error.contains("validation") && error.contains("val.safetensors"), "{error}");
    }
    data.prototypes.meta[12..24].fill(0.0);
    let yaml = methods().into_iter().find(|(n, _)| *n == "mpfa").expect("listed").1;
    let error = fit(&yaml, &data, &mut MemoryJournal::default()).expect_err("class 1 unseen").to_string();
    assert!(error.contains("class 1"), "{error}");
    let mut data = toy_data(&COUNTS, 12);
    let negative = |rows: &mut [f32], _: usize| {
        rows[5] = -1.0;
        Ok(())
    };
    data.train = data.train.try_map(negative).expect("set");
    let error = fit(&yaml, &data, &mut MemoryJournal::default()).expect_err("negative").to_string();
    assert!(error.contains("row 0") && error.contains("column 5"), "{error}");
}

#[test]
fn a_set_that_is_balanced_already_needs_no_rows() {
    let data = toy_data(&[20; 6], 12);
    for name in ["mpfa", "tailcalib"] {
        let yaml = methods().into_iter().find(|(n, _)| *n == name).expect("listed").1;
        let fitted = fit(&yaml, &data, &mut MemoryJournal::default()).expect("fits");
        assert!(matches!(fitted.head, ScoringHead::Trained { .. }));
    }
    assert!(ClassStore::new(&[], &[], 0, 3).is_ok(), "no class, no row: nothing to say");
}
