//! A stage's output may move only together with its code version.
//!
//! `golden/tiny.json` holds, for every stage of the tiny recipe, a summary of its output in few digits and the code version
//! that made it. Bits differ between CPU models, so the summaries are compared with a tolerance. After a wanted change: raise the
//! constant in `crates/artifact/src/code_versions.rs`, then run `LONGTAIL_BLESS=1 cargo xtask test -- -p longtail-tests --test golden`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use longtail_artifact::{TensorFile, code_versions};
use longtail_tests::{Kills, TinyRun, artifacts, root, run_all};
use serde_json::{Value, json};

/// Rounding differs between SIMD paths, and a few steps of training amplify it; a change of the method moves more than this.
const RELATIVE_TOLERANCE: f64 = 0.02;
/// Around zero.
const ABSOLUTE_TOLERANCE: f64 = 2e-3;
/// Images of the test set whose prediction may tip over, as a fraction.
const ACCURACY_TOLERANCE: f64 = 0.02;

fn versions() -> BTreeMap<&'static str, u32> {
    BTreeMap::from([
        ("representation", code_versions::REPRESENTATION),
        ("features", code_versions::FEATURES),
        ("classifier", code_versions::CLASSIFIER),
    ])
}

fn golden_file() -> PathBuf {
    root().join("tests/golden/tiny.json")
}

/// Mean and root mean square of every f32 tensor, and the accuracy where there are predictions.
fn summary(file: &Path) -> BTreeMap<String, f64> {
    let opened = TensorFile::open(file).expect("a finished file is sound");
    let mut numbers = BTreeMap::new();
    let names: Vec<String> = opened.names().to_vec();
    for name in &names {
        if let Ok(values) = opened.f32(name) {
            let count = values.len().max(1) as f64;
            let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
            let squares: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
            numbers.insert(format!("{name} mean"), sum / count);
            numbers.insert(format!("{name} rms"), (squares / count).sqrt());
        }
    }
    if let (Ok(predicted), Ok(labels)) = (opened.u32("predicted"), opened.u32("labels")) {
        let hits = predicted.iter().zip(labels.iter()).filter(|(predicted, label)| predicted == label).count();
        numbers.insert("accuracy".to_owned(), hits as f64 / labels.len().max(1) as f64);
    }
    numbers
}

/// Every output of a run, by file.
fn summaries(run: &TinyRun) -> BTreeMap<String, BTreeMap<String, f64>> {
    artifacts(&run.dir)
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "safetensors"))
        .map(|file| (file.to_string_lossy().into_owned(), summary(&run.dir.join(&file))))
        .collect()
}

fn rounded(value: f64) -> f64 {
    format!("{value:.4e}").parse().expect("a printed number is a number")
}

fn bless(found: &BTreeMap<String, BTreeMap<String, f64>>) {
    let rounded: BTreeMap<&String, BTreeMap<&String, f64>> = found
        .iter()
        .map(|(file, numbers)| (file, numbers.iter().map(|(name, value)| (name, rounded(*value))).collect()))
        .collect();
    let text = serde_json::to_string_pretty(&json!({"code_versions": versions(), "outputs": rounded})).expect("JSON");
    std::fs::create_dir_all(golden_file().parent().expect("a folder")).expect("writable");
    std::fs::write(golden_file(), text + "\n").expect("writable");
}

fn tolerance(name: &str, expected: f64) -> f64 {
    if name == "accuracy" { ACCURACY_TOLERANCE } else { ABSOLUTE_TOLERANCE + RELATIVE_TOLERANCE * expected.abs() }
}

#[test]
fn outputs_move_only_with_their_code_version() {
    let run = TinyRun::new(&[]);
    run_all(&run, 2, &mut Kills::default());
    let found = summaries(&run);
    if std::env::var_os("LONGTAIL_BLESS").is_some() {
        bless(&found);
        return;
    }
    let text = std::fs::read_to_string(golden_file()).expect("tests/golden/tiny.json is there");
    let golden: Value = serde_json::from_str(&text).expect("JSON");
    for (stage, version) in versions() {
        let recorded = golden["code_versions"][stage].as_u64();
        assert_eq!(
            recorded,
            Some(u64::from(version)),
            "`{stage}` has a new code version: bless the golden file (see its test)"
        );
    }
    let expected = golden["outputs"].as_object().expect("outputs");
    let files: Vec<&String> = found.keys().collect();
    assert_eq!(files, expected.keys().collect::<Vec<_>>(), "the stages write other files than before");
    for (file, numbers) in &found {
        let recorded = expected[file].as_object().expect("numbers");
        assert_eq!(numbers.len(), recorded.len(), "{file} holds other tensors than before");
        for (name, value) in numbers {
            let before = recorded.get(name).and_then(Value::as_f64).unwrap_or_else(|| panic!("{file} had no `{name}`"));
            assert!(
                (value - before).abs() <= tolerance(name, before),
                "{file}: {name} was {before}, is {value}: the output of a stage moved while its code version did not. If that is \
                 wanted, raise its number in crates/artifact/src/code_versions.rs, then bless the golden file (see its test)"
            );
        }
    }
}
