//! One dump: a split's images through the frozen backbone, into one file.

use std::path::Path;

use longtail_artifact::{FileHash, Interrupted, NamedTensor, TensorData, interrupted, write_tensors};
use longtail_datasets::EvalLoader;
use serde_json::{Value, json};

use crate::{FeaturesError, FrozenBackbone};

/// What is dumped.
pub struct Dump<'a> {
    /// `train`, `meta`, `val`, `test`, or `train-view-V`.
    pub name: String,
    /// The images, in the split's order.
    pub loader: EvalLoader,
    /// Whether they come from the data set's test file.
    pub from_test: bool,
    /// Training images per class, (K,).
    pub class_counts: &'a [u32],
    /// What was done to the images.
    pub transforms: Value,
}

/// Runs the images through the backbone and writes the file atomically. `progress` is told the images of each batch.
///
/// # Errors
/// Images or files that cannot be read or written, a feature that is not finite, or [`Interrupted`] (nothing is written then).
pub fn dump(
    backbone: &mut FrozenBackbone,
    dump: &Dump<'_>,
    path: &Path,
    mut progress: impl FnMut(usize),
) -> Result<FileHash, FeaturesError> {
    let dim = backbone.feature_dim();
    let count = dump.loader.len();
    let mut features = Vec::with_capacity(count * dim);
    let (mut labels, mut indices) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for batch in dump.loader.iter() {
        let batch = batch?;
        let rows = backbone.features(&batch.images, batch.len)?;
        if let Some(at) = rows.iter().position(|value| !value.is_finite()) {
            return Err(FeaturesError::NotFinite {
                split: if dump.from_test { "test" } else { "training" },
                index: batch.indices[at / dim],
                dimension: at % dim,
                value: rows[at],
            });
        }
        features.extend_from_slice(&rows);
        labels.extend_from_slice(&batch.labels);
        indices.extend_from_slice(&batch.indices);
        progress(batch.len);
        if interrupted() {
            return Err(Interrupted.into());
        }
    }
    let vector = |name: &str, values: Vec<u32>| NamedTensor {
        name: name.to_owned(),
        shape: vec![values.len()],
        data: TensorData::U32(values),
    };
    let tensors = [
        NamedTensor { name: "features".to_owned(), shape: vec![count, dim], data: TensorData::F32(features) },
        vector("labels", labels),
        vector("indices", indices),
        vector("class_counts", dump.class_counts.to_vec()),
    ];
    let metadata = json!({
        "split": dump.name,
        "images_of": if dump.from_test { "test" } else { "train" },
        "transforms": dump.transforms,
        "backbone": backbone.hash(),
        "feature_dim": dim,
        "num_classes": dump.class_counts.len(),
    });
    Ok(write_tensors(path, &tensors, &metadata)?)
}
