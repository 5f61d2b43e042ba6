//! Named tensors, and how they become a file.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

use crate::hash::hash_bytes;
use crate::{ArtifactError, FileHash, canonical_json, write_atomic};

/// The one metadata key. Several would be written in the random order of a hash map.
pub(crate) const METADATA_KEY: &str = "longtail";

/// The values of a tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    /// 32-bit floating point.
    F32(Vec<f32>),
    /// 64-bit floating point.
    F64(Vec<f64>),
    /// 32-bit unsigned: labels, indices, counts.
    U32(Vec<u32>),
    /// Bytes.
    U8(Vec<u8>),
    /// 64-bit signed.
    I64(Vec<i64>),
}

/// The element type of a tensor in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum DType {
    F32,
    F64,
    U32,
    U8,
    I64,
}

impl DType {
    /// `F32`, `U8` …: as safetensors spells it.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "F32",
            DType::F64 => "F64",
            DType::U32 => "U32",
            DType::U8 => "U8",
            DType::I64 => "I64",
        }
    }

    /// The size of one value.
    pub(crate) fn bytes(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::U32 => 4,
            DType::U8 => 1,
        }
    }

    pub(crate) fn file_dtype(self) -> Dtype {
        match self {
            DType::F32 => Dtype::F32,
            DType::F64 => Dtype::F64,
            DType::U32 => Dtype::U32,
            DType::U8 => Dtype::U8,
            DType::I64 => Dtype::I64,
        }
    }

    pub(crate) fn of_file(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(DType::F32),
            Dtype::F64 => Some(DType::F64),
            Dtype::U32 => Some(DType::U32),
            Dtype::U8 => Some(DType::U8),
            Dtype::I64 => Some(DType::I64),
            _ => None,
        }
    }
}

impl TensorData {
    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            TensorData::F32(values) => values.len(),
            TensorData::F64(values) => values.len(),
            TensorData::U32(values) => values.len(),
            TensorData::U8(values) => values.len(),
            TensorData::I64(values) => values.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            TensorData::F32(_) => DType::F32,
            TensorData::F64(_) => DType::F64,
            TensorData::U32(_) => DType::U32,
            TensorData::U8(_) => DType::U8,
            TensorData::I64(_) => DType::I64,
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            TensorData::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            TensorData::F64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            TensorData::U32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            TensorData::U8(values) => values.clone(),
            TensorData::I64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }
}

/// A tensor with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Unique in its file.
    pub name: String,
    /// Sizes; their product is the number of values (1 for no axis).
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub data: TensorData,
}

/// Writes tensors and metadata as safetensors, atomically; returns the BLAKE3 of the file.
///
/// The bytes are a function of the arguments alone: all metadata is canonical JSON under one key, and safetensors orders
/// tensors by type and name.
///
/// # Errors
/// A shape that does not fit its values, two tensors of one name, or a file that cannot be written.
pub fn write_tensors(path: &Path, tensors: &[NamedTensor], metadata: &Value) -> Result<FileHash, ArtifactError> {
    let bytes = encode(path, tensors, metadata)?;
    write_atomic(path, &bytes)?;
    Ok(hash_bytes(&bytes))
}

pub(crate) fn encode(path: &Path, tensors: &[NamedTensor], metadata: &Value) -> Result<Vec<u8>, ArtifactError> {
    let mut names = BTreeSet::new();
    let mut data = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let expected = tensor.shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        if expected != Some(tensor.data.len()) {
            let (name, shape, values) = (tensor.name.clone(), tensor.shape.clone(), tensor.data.len());
            return Err(ArtifactError::WrongLength { name, shape, values });
        }
        if !names.insert(tensor.name.as_str()) {
            return Err(ArtifactError::DuplicateTensor { name: tensor.name.clone() });
        }
        data.push(tensor.data.to_bytes());
    }
    let failed = |what: String| ArtifactError::Encode { path: path.to_owned(), what };
    let mut views = Vec::with_capacity(tensors.len());
    for (tensor, bytes) in tensors.iter().zip(&data) {
        let view = TensorView::new(tensor.data.dtype().file_dtype(), tensor.shape.clone(), bytes);
        views.push((tensor.name.as_str(), view.map_err(|error| failed(error.to_string()))?));
    }
    let header = HashMap::from([(METADATA_KEY.to_owned(), canonical_json(metadata))]);
    safetensors::serialize(views, Some(header)).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tensor(name: &str, values: Vec<f32>) -> NamedTensor {
        NamedTensor { name: name.to_owned(), shape: vec![values.len()], data: TensorData::F32(values) }
    }

    #[test]
    fn the_bytes_are_a_function_of_the_content() {
        let metadata = json!({"b": 1, "a": {"d": 2, "c": 3}});
        let tensors = [tensor("x", vec![1.0, f32::NAN]), tensor("a", vec![])];
        let first = encode(Path::new("f"), &tensors, &metadata).expect("encodes");
        for _ in 0..20 {
            assert_eq!(first, encode(Path::new("f"), &tensors, &metadata).expect("encodes"));
        }
        let turned = [tensors[1].clone(), tensors[0].clone()];
        assert_eq!(first, encode(Path::new("f"), &turned, &metadata).expect("encodes"));
    }

    #[test]
    fn shapes_and_names_are_checked() {
        let mut wrong = tensor("x", vec![1.0, 2.0]);
        wrong.shape = vec![3];
        assert!(matches!(encode(Path::new("f"), &[wrong], &Value::Null), Err(ArtifactError::WrongLength { .. })));
        let twice = [tensor("x", vec![1.0]), tensor("x", vec![2.0])];
        assert!(matches!(encode(Path::new("f"), &twice, &Value::Null), Err(ArtifactError::DuplicateTensor { .. })));
    }
}
