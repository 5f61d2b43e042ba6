//! Predictions, read and checked.

use std::path::{Path, PathBuf};

use longtail_artifact::{Manifest, RunLayout, TensorFile, hash_file};
use longtail_recipe::Recipe;
use serde_json::{Map, Value};

use crate::error::ReportError;
use crate::runs::SeedRun;

/// What one row of one seed predicted on the test set.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Index into the recipe's `rows`.
    pub row: usize,
    /// The run's seed.
    pub seed: u64,
    /// The file.
    pub path: PathBuf,
    /// `(N,)`, each below K.
    pub predicted: Vec<u32>,
    /// `(N,)`, each below K.
    pub labels: Vec<u32>,
    /// `(K,)`, training images of each class, the same in every prediction of a report.
    pub class_counts: Vec<u32>,
    /// What was chosen on validation data, by name.
    pub chosen: Map<String, Value>,
    /// Accuracy on validation data, a fraction, where there are any.
    pub val_accuracy: Option<f64>,
}

/// Where the predictions of a row of a run lie.
pub fn predictions_file(run: &Path, representation: &str, classifier: &str) -> PathBuf {
    RunLayout::new(run).classifier(representation, classifier).join("predictions.safetensors")
}

/// Every prediction there is, row by row and seed by seed. A row that was not run, or not to its end, has none.
///
/// # Errors
/// A file that is damaged, whose labels or predictions name classes that do not exist, or that was made from another
/// training set than the first.
pub fn collect(recipe: &Recipe, runs: &[SeedRun]) -> Result<Vec<Prediction>, ReportError> {
    let mut predictions: Vec<Prediction> = Vec::new();
    for (row, of) in recipe.rows.iter().enumerate() {
        for run in runs {
            let path = predictions_file(&run.dir, &of.representation, &of.classifier);
            // The manifest is written last: without it the stage has not finished.
            let folder = path.parent().unwrap_or(Path::new("."));
            let Some(manifest) = Manifest::read(folder)?.filter(|_| path.is_file()) else {
                continue;
            };
            check_hash(&manifest, &path)?;
            let prediction = read(row, run.seed, path)?;
            if let Some(first) = predictions.first() {
                same_training_set(first, &prediction)?;
            }
            predictions.push(prediction);
        }
    }
    Ok(predictions)
}

/// The file is still the one that its stage wrote: a flipped bit can look like a sound prediction.
fn check_hash(manifest: &Manifest, path: &Path) -> Result<(), ReportError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(record) = manifest.outputs.get(name.as_ref()) else {
        return Ok(());
    };
    let found = hash_file(path)?;
    if found == record.blake3 {
        return Ok(());
    }
    let what = format!("it was changed after its stage finished: blake3 {found}, the manifest says {}", record.blake3);
    Err(ReportError::Predictions { path: path.to_owned(), what })
}

fn read(row: usize, seed: u64, path: PathBuf) -> Result<Prediction, ReportError> {
    let file = TensorFile::open(&path)?;
    let refuse = |what: String| ReportError::Predictions { path: path.clone(), what };
    let predicted = file.expect_u32("predicted", &[None])?;
    let labels = file.expect_u32("labels", &[Some(predicted.len())])?;
    let class_counts = file.expect_u32("class_counts", &[None])?;
    if labels.is_empty() {
        return Err(refuse("it holds no test image".to_owned()));
    }
    for (name, classes) in [("labels", &labels), ("predicted", &predicted)] {
        if let Some(index) = classes.iter().position(|class| *class as usize >= class_counts.len()) {
            let (class, count) = (classes[index], class_counts.len());
            return Err(refuse(format!("`{name}`[{index}] is class {class}, but `class_counts` has {count} classes")));
        }
    }
    let metadata = file.metadata();
    let chosen = metadata.get("chosen").and_then(Value::as_object).cloned().unwrap_or_default();
    let val_accuracy = metadata.get("val_accuracy").and_then(Value::as_f64);
    Ok(Prediction { row, seed, path, predicted, labels, class_counts, chosen, val_accuracy })
}

fn same_training_set(first: &Prediction, other: &Prediction) -> Result<(), ReportError> {
    if first.class_counts.len() != other.class_counts.len() {
        return Err(ReportError::Predictions {
            path: other.path.clone(),
            what: format!(
                "it has {} classes, and `{}` has {}",
                other.class_counts.len(),
                first.path.display(),
                first.class_counts.len()
            ),
        });
    }
    let differs = first.class_counts.iter().zip(&other.class_counts).position(|(a, b)| a != b);
    match differs {
        None => Ok(()),
        Some(class) => Err(ReportError::OtherData {
            path: other.path.clone(),
            first: first.path.clone(),
            class,
            expected: first.class_counts[class],
            found: other.class_counts[class],
        }),
    }
}
