//! Opens a run's features, head and prototypes, and checks that they are whole and belong together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use longtail_artifact::{RunLayout, TensorFile, counted, hash_file};
use longtail_training::HeadWeights;
use serde_json::Value;

use crate::ClassifierError;
use crate::data::{FeatureSet, FitData, PrototypeSet, Views};
use crate::generate::ClassStore;
use crate::method::base::Fitted;

/// Everything that stage 3 reads for one variant: what fitting may see, and the test set under seal.
pub struct Inputs {
    /// For fitting.
    pub data: FitData,
    /// For scoring, once fitting is over.
    pub test: SealedTest,
}

/// The test features, closed until a classifier is fitted.
///
/// There is no way to read a test feature without a [`Fitted`], and only a method makes one. (The file's hash is part of
/// the stage's key; that says nothing about its contents.)
///
/// ```compile_fail
/// use longtail_classifier::method::base::Fitted;
/// fn forge(head: longtail_classifier::ScoringHead) -> Fitted {
///     Fitted { head, chosen: Default::default(), val_accuracy: None }
/// }
/// ```
#[derive(Debug)]
pub struct SealedTest {
    path: PathBuf,
    expected: Expected,
}

/// What every feature file of a variant must agree on.
#[derive(Debug, Clone)]
struct Expected {
    from: PathBuf,
    dim: usize,
    class_counts: Vec<u32>,
    backbone: Option<String>,
}

impl SealedTest {
    /// Opens the test features to score a fitted classifier.
    ///
    /// # Errors
    /// As for every other feature file; also when it holds no image.
    pub fn open(self, _proof: &Fitted) -> Result<FeatureSet, ClassifierError> {
        let set = read_features(&self.path, Some(&self.expected))?.0;
        if set.labels.is_empty() {
            return Err(ClassifierError::NoData { method: "classifier", what: "test features", path: self.path });
        }
        Ok(set)
    }
}

impl Inputs {
    /// Reads and checks everything but the test features of `variant`; `views` augmented views are checked one by one.
    ///
    /// # Errors
    /// A missing, damaged or misshapen file, a value that is not finite, a class without images, files that were not made from
    /// one backbone, sizes that do not fit.
    pub fn load(layout: &RunLayout, variant: &str, views: usize) -> Result<Self, ClassifierError> {
        let features = layout.features(variant);
        let representation = layout.representation(variant);
        let (train, mut expected) = read_features(&features.join("train.safetensors"), None)?;
        let backbone = representation.join("backbone.safetensors");
        if let Some(found) = &expected.backbone
            && backbone.exists()
        {
            let now = hash_file(&backbone)?;
            if *found != now {
                return Err(ClassifierError::Provenance {
                    path: expected.from,
                    what: "backbone",
                    found: short(found),
                    expected: short(&now),
                });
            }
        }
        let num_classes = expected.class_counts.len();
        expected.dim = train.dim;
        let meta = read_features(&features.join("meta.safetensors"), Some(&expected))?.0;
        let val = read_features(&features.join("val.safetensors"), Some(&expected))?.0;
        let head = read_head(&representation.join("head.safetensors"), &expected)?;
        let prototypes = read_prototypes(&representation.join("prototypes.safetensors"), &expected)?;
        let store = ClassStore::from_vec(train.features, &train.labels, num_classes, train.dim)
            .map_err(|error| error.of_file(&train.path))?;
        let view_path = move |view: usize| features.join(format!("train-view-{view}.safetensors"));
        let test = SealedTest { path: layout.features(variant).join("test.safetensors"), expected: expected.clone() };
        if !test.path.exists() {
            // Opening it would be too early; that it is not there is worth knowing before training.
            TensorFile::open(&test.path)?;
        }
        let class_counts = expected.class_counts.clone();
        let labels = train.labels;
        let load = move |view: usize| {
            let path = view_path(view + 1);
            let set = read_features(&path, Some(&expected))?.0;
            if set.labels != labels {
                return Err(ClassifierError::Mismatch {
                    path,
                    what: "labels",
                    found: format!("of {} in another order", counted(set.labels.len(), "image")),
                    other: expected.from.clone(),
                    expected: format!("those of {}", counted(labels.len(), "image")),
                });
            }
            ClassStore::from_vec(set.features, &set.labels, num_classes, set.dim)
        };
        for view in 0..views {
            load(view)?;
        }
        let data = FitData {
            train: store,
            views: Views::new(views, Arc::new(load)),
            meta,
            val,
            class_counts,
            head,
            prototypes,
        };
        Ok(Self { data, test })
    }
}

/// Reads a feature file; `expected` is what the training features say, none while reading those.
fn read_features(path: &Path, expected: Option<&Expected>) -> Result<(FeatureSet, Expected), ClassifierError> {
    let file = TensorFile::open(path)?;
    let features = file.expect_f32("features", &[None, None])?;
    let (rows, dim) = match file.shape("features") {
        Some(&[rows, dim]) => (rows, dim),
        _ => (0, 0),
    };
    let labels = file.expect_u32("labels", &[Some(rows)])?;
    let class_counts = file.expect_u32("class_counts", &[None])?;
    let own = Expected { from: path.to_path_buf(), dim, backbone: backbone_hash(file.metadata()), class_counts };
    let mismatch = |what, found: String, expected: &Expected, says: String| {
        Err(ClassifierError::Mismatch {
            path: path.to_path_buf(),
            what,
            found,
            other: expected.from.clone(),
            expected: says,
        })
    };
    let num_classes = own.class_counts.len();
    if let Some(expected) = expected {
        if dim != expected.dim {
            return mismatch("feature dimension", dim.to_string(), expected, expected.dim.to_string());
        }
        if own.class_counts != expected.class_counts {
            let words = |counts: &[u32]| {
                let images = counts.iter().map(|&c| u64::from(c)).sum::<u64>();
                format!("of {} and {}", counted(counts.len(), "class"), counted(images, "image"))
            };
            return mismatch("class counts", words(&own.class_counts), expected, words(&expected.class_counts));
        }
        if let (Some(found), Some(now)) = (&own.backbone, &expected.backbone)
            && found != now
        {
            return Err(ClassifierError::Provenance {
                path: path.to_path_buf(),
                what: "backbone",
                found: short(found),
                expected: short(now),
            });
        }
    }
    if let Some(row) = labels.iter().position(|&label| label as usize >= num_classes) {
        return Err(ClassifierError::Label { row, label: labels[row], num_classes }.of_file(path));
    }
    if expected.is_none() {
        check_counts(path, &labels, &own.class_counts)?;
    }
    Ok((FeatureSet { path: path.to_path_buf(), features, labels, dim }, own))
}

/// Every class has an image, and as many as the file says.
fn check_counts(path: &Path, labels: &[u32], class_counts: &[u32]) -> Result<(), ClassifierError> {
    let mut found = vec![0u32; class_counts.len()];
    labels.iter().for_each(|&label| found[label as usize] += 1);
    for (class, (&found, &said)) in found.iter().zip(class_counts).enumerate() {
        if found == 0 {
            return Err(ClassifierError::EmptyClass { class, num_classes: class_counts.len() }.of_file(path));
        }
        if found != said {
            return Err(ClassifierError::Counts { path: path.to_path_buf(), class, said, found });
        }
    }
    Ok(())
}

fn read_head(path: &Path, expected: &Expected) -> Result<HeadWeights, ClassifierError> {
    let head = HeadWeights::load(path)?;
    check_size(path, "feature dimension", head.shape.feature_dim, expected, expected.dim)?;
    check_size(path, "classes", head.shape.num_classes, expected, expected.class_counts.len())?;
    Ok(head)
}

fn read_prototypes(path: &Path, expected: &Expected) -> Result<PrototypeSet, ClassifierError> {
    let file = TensorFile::open(path)?;
    if let Some(&[classes, dim]) = file.shape("meta") {
        check_size(path, "prototype dimension", dim, expected, expected.dim)?;
        check_size(path, "prototypes", classes, expected, expected.class_counts.len())?;
    }
    let (classes, dim) = (expected.class_counts.len(), expected.dim);
    Ok(PrototypeSet {
        empirical: file.expect_f32("empirical", &[Some(classes), Some(dim)])?,
        meta: file.expect_f32("meta", &[Some(classes), Some(dim)])?,
        seen: file.expect_u32("seen", &[Some(classes)])?,
    })
}

fn check_size(
    path: &Path,
    what: &'static str,
    found: usize,
    expected: &Expected,
    should_be: usize,
) -> Result<(), ClassifierError> {
    if found == should_be {
        return Ok(());
    }
    Err(ClassifierError::Mismatch {
        path: path.to_path_buf(),
        what,
        found: found.to_string(),
        other: expected.from.clone(),
        expected: should_be.to_string(),
    })
}

/// The hash of the backbone that made a dump, where its metadata says so.
fn backbone_hash(metadata: &Value) -> Option<String> {
    let backbone = metadata.get("backbone_hash").or_else(|| metadata.get("backbone"))?;
    backbone.as_str().map(str::to_owned)
}

fn short(hash: &str) -> String {
    let end = hash.char_indices().nth(12).map_or(hash.len(), |(at, _)| at);
    if end < hash.len() { format!("{}…", &hash[..end]) } else { hash.to_owned() }
}
