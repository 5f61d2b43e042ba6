//! `head.safetensors`: a head's tensors and the form that its metadata names.

use std::path::Path;

use longtail_artifact::{FileHash, NamedTensor, TensorData, TensorFile, write_tensors};
use serde_json::{Value, json};

use super::{Block, HeadForm, HeadShape, HeadWeights};
use crate::TrainingError;

impl HeadWeights {
    /// The tensors that the form has: `weight` (K, d), `bias` (K), `scale` (K).
    pub fn to_tensors(&self) -> Vec<NamedTensor> {
        let HeadShape { num_classes, feature_dim, .. } = self.shape;
        let tensor = |block: &Block| NamedTensor {
            name: block.name.to_owned(),
            shape: block.shape(num_classes, feature_dim),
            data: TensorData::F32(self.block(block.name).unwrap_or_default().to_vec()),
        };
        self.shape.blocks().iter().map(tensor).collect()
    }

    /// `{"kind": "linear"}`, `{"kind": "cosine", "scale": 16.0}`, ….
    pub fn metadata(&self) -> Value {
        let form = self.shape.form.form();
        let mut metadata = form.numbers();
        metadata.insert("kind".to_owned(), json!(form.kind()));
        Value::Object(metadata)
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
        let form = HeadForm::read(file.metadata()).map_err(problem)?;
        let (num_classes, feature_dim) = match file.shape("weight") {
            Some(&[num_classes, feature_dim]) if num_classes > 0 && feature_dim > 0 => (num_classes, feature_dim),
            None => (0, 0), // what is missing is named below
            other => return Err(problem(format!("`weight` has shape {other:?}, expected (classes, features)"))),
        };
        let shape = HeadShape { form, num_classes, feature_dim };
        let mut values = Vec::with_capacity(shape.len());
        for block in shape.blocks() {
            let dims: Vec<Option<usize>> = block.shape(num_classes, feature_dim).into_iter().map(Some).collect();
            values.extend(file.expect_f32(block.name, &dims)?);
        }
        Self::new(shape, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_the_same() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("head.safetensors");
        for form in [HeadForm::Linear, HeadForm::Cosine { scale: 16.0 }, HeadForm::NormedLinear, HeadForm::ScaledLinear]
        {
            assert!(HeadForm::KINDS.contains(&form.name()));
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
