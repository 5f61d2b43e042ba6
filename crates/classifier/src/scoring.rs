//! A finished classifier: from dumped features to logits, and to `head.safetensors`.

use std::path::Path;

use longtail_artifact::{FileHash, NamedTensor, TensorData, write_tensors};
use longtail_ops::gemm;
use longtail_recipe::NcmNormalize;
use longtail_training::HeadWeights;
use serde_json::{Map, Value, json};

use crate::ClassifierError;
use crate::generate::{FeatureTransform, normalize_rows};

/// Class means by whose distance features are told apart.
#[derive(Debug, Clone, PartialEq)]
pub struct NearestMean {
    /// `(K, d)`.
    pub means: Vec<f32>,
    /// `(d,)`: subtracted before the norm (zeros unless `cl2n`).
    pub center: Vec<f32>,
    /// What a feature goes through.
    pub normalize: NcmNormalize,
}

impl NearestMean {
    /// Features in the space of the means: minus the centre, unit norm, as `normalize` says.
    pub fn prepare(&self, features: &[f32]) -> Vec<f32> {
        let dim = self.center.len();
        let mut out = features.to_vec();
        if self.normalize == NcmNormalize::Cl2n {
            for row in out.chunks_exact_mut(dim) {
                row.iter_mut().zip(&self.center).for_each(|(value, center)| *value -= center);
            }
        }
        if self.normalize != NcmNormalize::None {
            normalize_rows(&mut out, dim);
        }
        out
    }

    /// `−‖x − m_k‖²` for every row and class, `(N, K)`.
    pub fn logits(&self, features: &[f32]) -> Vec<f32> {
        let dim = self.center.len();
        let (rows, classes) = (features.len() / dim, self.means.len() / dim);
        let prepared = self.prepare(features);
        let squares = |values: &[f32]| -> Vec<f32> {
            values.chunks_exact(dim).map(|row| row.iter().map(|value| value * value).sum()).collect()
        };
        let (row_squares, mean_squares) = (squares(&prepared), squares(&self.means));
        let mut logits = vec![0f32; rows * classes];
        gemm(rows, classes, dim, 2.0, &prepared, (dim, 1), &self.means, (1, dim), 0.0, &mut logits, (classes, 1));
        for (row, square) in logits.chunks_exact_mut(classes).zip(row_squares) {
            row.iter_mut().zip(&mean_squares).for_each(|(logit, mean)| *logit -= square + mean);
        }
        logits
    }
}

/// A classifier that is ready to be scored.
#[derive(Debug, Clone, PartialEq)]
pub enum ScoringHead {
    /// A linear, cosine or scaled-linear head on transformed features.
    Trained {
        /// Its weights.
        head: HeadWeights,
        /// What features go through before it.
        transform: FeatureTransform,
    },
    /// Nearest class mean.
    NearestMean(NearestMean),
}

impl ScoringHead {
    /// Logits `(N, K)` of dumped features `(N, d)`.
    ///
    /// # Errors
    /// [`ClassifierError::NegativeFeature`] when Tukey's power meets one; sizes that do not fit.
    pub fn logits(&self, features: &[f32]) -> Result<Vec<f32>, ClassifierError> {
        match self {
            Self::Trained { head, transform } => {
                let mut features = features.to_vec();
                transform.apply(&mut features, head.shape.feature_dim)?;
                Ok(head.logits(&features)?)
            }
            Self::NearestMean(means) => Ok(means.logits(features)),
        }
    }

    /// Writes `head.safetensors`; `chosen` joins the metadata, and `given` where there is something.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(
        &self,
        path: &Path,
        chosen: &Map<String, Value>,
        given: &Map<String, Value>,
    ) -> Result<FileHash, ClassifierError> {
        let mut extra = json!({ "chosen": chosen });
        if !given.is_empty() {
            extra["given"] = json!(given);
        }
        match self {
            Self::Trained { head, transform } => {
                extra["features"] = transform_words(transform);
                Ok(head.save(path, &extra)?)
            }
            Self::NearestMean(NearestMean { means, center, normalize }) => {
                let dim = center.len();
                extra["kind"] = json!("nearest_mean");
                extra["normalize"] = json!(normalize);
                let tensor = |name: &str, shape: Vec<usize>, values: &[f32]| NamedTensor {
                    name: name.to_owned(),
                    shape,
                    data: TensorData::F32(values.to_vec()),
                };
                let tensors =
                    [tensor("center", vec![dim], center), tensor("means", vec![means.len() / dim, dim], means)];
                Ok(write_tensors(path, &tensors, &extra)?)
            }
        }
    }
}

/// How a feature must be prepared for this head, for people who read the file.
fn transform_words(transform: &FeatureTransform) -> Value {
    json!({ "l2": transform.l2, "tukey": transform.tukey, "tukey_renorm": transform.tukey_keep_norm })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_mean_by_hand() {
        let head = NearestMean { means: vec![1.0, 0.0, 0.0, 1.0], center: vec![0.0; 2], normalize: NcmNormalize::L2 };
        // (3, 4) becomes (0.6, 0.8): distances² 0.16 + 0.64 and 0.36 + 0.04
        let logits = ScoringHead::NearestMean(head).logits(&[3.0, 4.0]).expect("fits");
        assert!((logits[0] + 0.8).abs() < 1e-6 && (logits[1] + 0.4).abs() < 1e-6, "{logits:?}");
    }

    #[test]
    fn features_are_transformed_before_a_trained_head() {
        let head = HeadWeights::linear(&[1.0, 0.0, 0.0, 1.0], &[0.0, 0.5]).expect("2·2");
        let transform = FeatureTransform { l2: true, tukey: 1.0, tukey_keep_norm: true };
        let logits = ScoringHead::Trained { head, transform }.logits(&[3.0, 4.0]).expect("fits");
        assert!((logits[0] - 0.6).abs() < 1e-6 && (logits[1] - 1.3).abs() < 1e-6, "{logits:?}");
    }
}
