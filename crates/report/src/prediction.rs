//! Predictions of one row of one seed, read and checked.

use std::path::{Path, PathBuf};

use longtail_artifact::{Manifest, RunLayout, TensorFile, counted, hash_file};
use serde_json::{Map, Value};

use crate::error::ReportError;
use crate::origin::Origin;

/// What one row of one seed predicted on the test set.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Index into the recipe's `rows`.
    pub row: usize,
    /// The run's seed.
    pub seed: u64,
    /// Path of the file.
    pub path: PathBuf,
    /// `(N,)`, each below K.
    pub predicted: Vec<u32>,
    /// `(N,)`, each below K.
    pub labels: Vec<u32>,
    /// `(K,)`, training images of each class, the same in every prediction of a report.
    pub class_counts: Vec<u32>,
    /// Hyper-parameters that the method wrote down, by name.
    pub chosen: Map<String, Value>,
    /// Accuracy on validation data, a fraction, where there are any.
    pub val_accuracy: Option<f64>,
    /// Images that it is over; `None` where the file does not say.
    pub val_images: Option<usize>,
    /// How it came about.
    pub origin: Origin,
}

/// Where the predictions of a row of a run lie.
pub fn predictions_file(run: &Path, representation: &str, classifier: &str) -> PathBuf {
    RunLayout::new(run).classifier(representation, classifier).join("predictions.safetensors")
}

/// The predictions in `path`, of a (row, seed). `test` is the number of test images that the split has.
///
/// # Errors
/// A file that is damaged or was changed since; labels or predictions of classes that do not exist; a logit that is not
/// finite; a prediction that is not the class of the largest logit; another number of images than `test`.
pub(crate) fn read(
    (row, seed): (usize, u64),
    path: &Path,
    origin: Origin,
    test: Option<usize>,
) -> Result<Prediction, ReportError> {
    if let Some(manifest) = &origin.classifier {
        check_hash(manifest, path)?;
    }
    let file = TensorFile::open(path)?;
    let refuse = |what: String| ReportError::Predictions { path: path.to_owned(), what };
    let predicted = file.expect_u32("predicted", &[None])?;
    let labels = file.expect_u32("labels", &[Some(predicted.len())])?;
    let class_counts = file.expect_u32("class_counts", &[None])?;
    if labels.is_empty() {
        return Err(refuse("it holds no test image".to_owned()));
    }
    if let Some(test) = test.filter(|test| *test != labels.len()) {
        return Err(refuse(format!("it has {}, but the split has {test}", counted(labels.len(), "test image"))));
    }
    for (name, classes) in [("labels", &labels), ("predicted", &predicted)] {
        if let Some(index) = classes.iter().position(|class| *class as usize >= class_counts.len()) {
            let (class, count) = (classes[index], counted(class_counts.len(), "class"));
            return Err(refuse(format!("`{name}`[{index}] is class {class}, but `class_counts` has {count}")));
        }
    }
    check_logits(&file, &predicted, class_counts.len()).map_err(|what| match what {
        Ok(what) => refuse(what),
        Err(error) => error,
    })?;
    let metadata = file.metadata();
    let val_images = match file.shape("val_labels") {
        Some(_) => Some(file.expect_u32("val_labels", &[None])?.len()),
        None => None,
    };
    Ok(Prediction {
        row,
        seed,
        path: path.to_owned(),
        chosen: metadata.get("chosen").and_then(Value::as_object).cloned().unwrap_or_default(),
        val_accuracy: metadata.get("val_accuracy").and_then(Value::as_f64),
        val_images,
        predicted,
        labels,
        class_counts,
        origin,
    })
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

/// Logits, where there are any, are numbers, and predictions are the classes of the largest ones.
fn check_logits(file: &TensorFile, predicted: &[u32], classes: usize) -> Result<(), Result<String, ReportError>> {
    let Some(shape) = file.shape("logits") else { return Ok(()) };
    if shape != [predicted.len(), classes] {
        return Err(Ok(format!("`logits` has the shape {shape:?}, expected [{}, {classes}]", predicted.len())));
    }
    let logits = file.f32("logits").map_err(|error| Err(error.into()))?;
    for (image, (row, class)) in logits.chunks_exact(classes).zip(predicted).enumerate() {
        if let Some(at) = row.iter().position(|value| !value.is_finite()) {
            return Err(Ok(format!("`logits`[{image}, {at}] is {}, not a finite number", row[at])));
        }
        if let Some(larger) = row.iter().position(|value| *value > row[*class as usize]) {
            return Err(Ok(format!(
                "`predicted`[{image}] is class {class}, but the logit of class {larger} is larger"
            )));
        }
    }
    Ok(())
}

impl Prediction {
    /// Whether its numbers may stand beside those of `first`.
    ///
    /// # Errors
    /// Other classes, other training images, or other test images of a class.
    pub(crate) fn is_comparable_with(&self, first: &Self) -> Result<(), ReportError> {
        let (classes, expected) = (self.class_counts.len(), first.class_counts.len());
        if classes != expected {
            let what = format!("it has {}, but the other predictions have {expected}", counted(classes, "class"));
            return Err(ReportError::Predictions { path: self.path.clone(), what });
        }
        for (images, own, others) in
            [("training", &self.class_counts, &first.class_counts), ("test", &test_counts(self), &test_counts(first))]
        {
            if let Some(class) = own.iter().zip(others).position(|(own, other)| own != other) {
                return Err(ReportError::OtherData {
                    path: self.path.clone(),
                    first: first.path.clone(),
                    images,
                    class,
                    expected: others[class],
                    found: own[class],
                });
            }
        }
        Ok(())
    }
}

/// Test images of each class, `(K,)`.
pub(crate) fn test_counts(prediction: &Prediction) -> Vec<u32> {
    let mut counts = vec![0; prediction.class_counts.len()];
    prediction.labels.iter().for_each(|label| counts[*label as usize] += 1);
    counts
}
