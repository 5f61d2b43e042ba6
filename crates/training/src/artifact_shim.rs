#![allow(missing_docs, clippy::all)]
use std::borrow::Cow; use std::path::Path; use serde_json::Value;
#[derive(Debug, Clone, PartialEq)] pub enum TensorData { F32(Vec<f32>), F64(Vec<f64>), U32(Vec<u32>), U8(Vec<u8>), I64(Vec<i64>) }
#[derive(Debug, Clone, PartialEq)] pub struct NamedTensor { pub name: String, pub shape: Vec<usize>, pub data: TensorData }
#[derive(Debug, thiserror::Error)] #[error("x")] pub struct ArtifactError;
#[derive(Debug, Clone, PartialEq)] pub struct FileHash(pub String);
pub fn write_tensors(_: &Path, _: &[NamedTensor], _: &Value) -> Result<FileHash, ArtifactError> { Err(ArtifactError) }
pub struct TensorFile; impl TensorFile { pub fn open(_: &Path) -> Result<Self, ArtifactError> { Err(ArtifactError) } pub fn metadata(&self) -> &Value { &Value::Null }
 pub fn shape(&self, _: &str) -> Option<&[usize]> { None } pub fn f32(&self, _: &str) -> Result<Cow<'_, [f32]>, ArtifactError> { Err(ArtifactError) } pub fn expect_f32(&self, _: &str, _: &[Option<usize>]) -> Result<Vec<f32>, ArtifactError> { Err(ArtifactError) } }
