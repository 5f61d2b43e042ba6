//! `head.safetensors`: a head's tensors and the form that its metadata names.

use std::path::Path;

use longtail_artifact::{FileHash, NamedTensor, TensorData, TensorFile, write_tensors};
use serde_json::{Value, json};

use super::{HeadForm, HeadShape, HeadWeights};
use crate::TrainingError;

impl HeadWeights {
    /// The tensors `weight` (K, d), `bias` (K) and `scale` (K), as far as the form has them.
    pub fn to_tensors(&self) -> Vec<NamedTensor> {
        let HeadShape { num_classes, feature_dim, .. } = self.shape;
        let tensor = |name: &str, shape: Vec<usize>, values: &[f32]| NamedTensor {
            name: name.to_owned(),
            shape,
            data: TensorData::F32(values.to_vec()),
        };
        let mut tensors = vec![tensor("weight", vec![num_classes, feature_dim], self.weight())];
        tensors.extend(self.bias().map(|bias| tensor("bias", vec![num_classes], bias)));
        tensors.extend(self.class_scales().map(|scales| tensor("scale", vec![num_classes], scales)));
        tensors
    }

    /// `{"kind": "linear"}`, `{"kind": "cosine", "scale": 16.0}` or `{"kind": "scaled_linear"}`.
    pub fn metadata(&self) -> Value {
        match self.shape.form {
            HeadForm::Linear => json!({"kind": "linear"}),
            HeadForm::Cosine { scale } => json!({"kind": "cosine", "scale": scale}),
            HeadForm::ScaledLinear => json!({"kind": "scaled_linear"}),
        }
    }

    /// Writes the head atomically; `extra` (an object) is merged into the metadata.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path, extra: &Value) -> Result<FileHash, TrainingError> {
        let mut metadata = self.metadata();
        if let (Some(fields), Some(extra)) = (metadata.as_object_mut(), extra.as_object()) {
            fields.extend(extra.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        Ok(write_tensors(path, &self.to_tensors(), &metadata)?)
    }

    /// Reads a head and checks every tensor's shape and that it is finite.
    ///
    /// # Errors
    /// If the file is damaged, of another kind, misshapen or not finite.
    pub fn load(path: &Path) -> Result<Self, TrainingError> {
        let file = TensorFile::open(path)?;
        let problem = |problem: String| TrainingError::State { file: path.display().to_string(), problem };
        let kind = file.metadata().get("kind").and_then(Value::as_str).unwrap_or("missing");
        let form = match kind {
            "linear" => HeadForm::Linear,
            "scaled_linear" => HeadForm::ScaledLinear,
            "cosine" => match file.metadata().get("scale").and_then(Value::as_f64) {
                Some(scale) if scale.is_finite() && scale > 0.0 => HeadForm::Cosine { scale },
                other => return Err(problem(format!("a cosine head needs a positive `scale`, found {other:?}"))),
            },
            other => {
                let expected = "`linear`, `cosine` or `scaled_linear`";
                return Err(problem(format!("the head's kind is `{other}`, expected {expected}")));
            }
        };
        let mut values = file.expect_f32("weight", &[None, None])?;
        let (num_classes, feature_dim) = match file.shape("weight") {
            Some(&[num_classes, feature_dim]) if num_classes > 0 && feature_dim > 0 => (num_classes, feature_dim),
            other => return Err(problem(format!("`weight` has shape {other:?}, expected (classes, features)"))),
        };
        if !matches!(form, HeadForm::Cosine { .. }) {
            values.extend(file.expect_f32("bias", &[Some(num_classes)])?);
        }
        if form == HeadForm::ScaledLinear {
            values.extend(file.expect_f32("scale", &[Some(num_classes)])?);
        }
        Self::new(HeadShape { form, num_classes, feature_dim }, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_the_same() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("head.safetensors");
        for form in [HeadForm::Linear, HeadForm::Cosine { scale: 16.0 }, HeadForm::ScaledLinear] {
            let shape = HeadShape { form, num_classes: 2, feature_dim: 3 };
            let values = (0..shape.len()).map(|index| index as f32).collect();
            let head = HeadWeights::new(shape, values).expect("sizes fit");
            head.save(&path, &json!({"tau": 0.5})).expect("can write");
            assert_eq!(HeadWeights::load(&path).expect("can read"), head);
        }
    }

    #[test]
    fn another_kind_or_a_nan_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("head.safetensors");
        let mut head = HeadWeights::linear(&[1.0, 2.0], &[0.0]).expect("1·2");
        write_tensors(&path, &head.to_tensors(), &json!({"kind": "forest"})).expect("can write");
        let error = HeadWeights::load(&path).expect_err("unknown kind").to_string();
        assert!(error.contains("forest") && error.contains("head.safetensors"), "{error}");
        head.values[1] = f32::NAN;
        head.save(&path, &Value::Null).expect("can write");
        let error = HeadWeights::load(&path).expect_err("a NaN").to_string();
        assert!(error.contains("weight"), "{error}");
    }
}
