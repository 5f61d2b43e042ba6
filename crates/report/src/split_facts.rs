//! Which images were for what, as the split of a run says.

use std::collections::BTreeSet;

use longtail_artifact::{ArtifactError, IDENTITY, RunLayout, TensorFile};
use serde_json::Value;

use crate::error::ReportError;
use crate::escape::plain;

/// What `split.safetensors` says of the images of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SplitFacts {
    /// The data set's name.
    pub dataset: Option<String>,
    /// N_1 / N_K that the training images were drawn with; `None` where nothing was drawn.
    pub imbalance_factor: Option<f64>,
    /// What the images are known by: the same in two splits of the same images.
    pub data_hash: Option<String>,
    /// Number of training images.
    pub train: usize,
    /// Images of the meta set.
    pub meta: usize,
    /// Those of the meta set that are training images too.
    pub meta_in_train: usize,
    /// Number of validation images.
    pub val: usize,
    /// Those of them that are in the meta set too.
    pub val_in_meta: usize,
    /// Number of test images.
    pub test: usize,
    /// Images of the data set that could not be decoded and are in no part.
    pub skipped: usize,
    /// The file's BLAKE3.
    pub hash: String,
}

impl SplitFacts {
    /// Those of the run in `layout`; `None` for a run without a split, whose features another program made.
    ///
    /// # Errors
    /// A file that is damaged.
    pub fn read(layout: &RunLayout) -> Result<Option<Self>, ReportError> {
        let file = match TensorFile::open(&layout.split()) {
            Ok(file) => file,
            Err(ArtifactError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let set = |name: &str| -> Result<BTreeSet<u32>, ArtifactError> {
            Ok(file.expect_u32(name, &[None])?.into_iter().collect())
        };
        let (train, meta, val) = (set("train")?, set("meta")?, set("val")?);
        let mut skipped = 0;
        for name in ["skipped_train", "skipped_test"] {
            if file.shape(name).is_some() {
                skipped += file.expect_u32(name, &[None])?.len();
            }
        }
        let metadata = file.metadata();
        let word = |value: &Value| value.as_str().map(plain);
        Ok(Some(Self {
            dataset: word(&metadata["dataset"]),
            imbalance_factor: metadata["draw"]["imbalance_factor"].as_f64(),
            data_hash: word(&metadata[IDENTITY]),
            train: train.len(),
            meta: meta.len(),
            meta_in_train: meta.intersection(&train).count(),
            val: val.len(),
            val_in_meta: val.intersection(&meta).count(),
            test: file.expect_u32("test", &[None])?.len(),
            skipped,
            hash: file.hash(),
        }))
    }

    /// Whether the validation set is the meta set.
    pub fn val_is_meta(&self) -> bool {
        self.val > 0 && self.val_in_meta == self.val && self.val == self.meta
    }
}
