//! Reading a hand-off file: mapped, every size compared with the file's length first.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata};
use serde_json::Value;

use crate::convert::{self, Changed};
use crate::hash::hash_bytes;
use crate::mapped::map;
use crate::tensor_writer::Element;
use crate::tensors::METADATA_KEY;
use crate::{ArtifactError, DType, FileHash, NamedTensor, TensorData};

/// An open hand-off file.
///
/// Opening checks the header: sizes against the file's length, offsets against each other, shapes against types. Nothing is
/// allocated beyond the header's own size, which is within the file. The data is checked when it is taken.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    map: Mmap,
    /// Where the data begins.
    data_start: usize,
    header: Metadata,
    names: Vec<String>,
    metadata: Value,
}

impl TensorFile {
    /// Opens and checks the header.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`], [`ArtifactError::Io`], [`ArtifactError::Damaged`].
    pub fn open(path: &Path) -> Result<Self, ArtifactError> {
        let damaged = |what: String| ArtifactError::Damaged { path: path.to_owned(), what };
        let file = File::open(path).map_err(|source| ArtifactError::io("read", path, source))?;
        let about = file.metadata().map_err(|source| ArtifactError::io("read", path, source))?;
        let length = about.len();
        if about.is_dir() {
            return Err(damaged("it is a folder".to_owned()));
        }
        if length < 8 {
            return Err(damaged(format!("it has {length} bytes, which is too short for a header")));
        }
        let map = map(&file).map_err(|source| ArtifactError::io("read", path, source))?;
        let (header_bytes, header) =
            SafeTensors::read_metadata(&map).map_err(|error| damaged(format!("{error} ({length} bytes)")))?;
        let metadata = match header.metadata().as_ref().and_then(|map| map.get(METADATA_KEY)) {
            Some(text) => {
                serde_json::from_str(text).map_err(|error| damaged(format!("its metadata is not JSON: {error}")))?
            }
            None => Value::Null,
        };
        let mut names: Vec<String> = header.tensors().keys().map(|name| name.to_string()).collect();
        names.sort();
        Ok(Self { path: path.to_owned(), data_start: header_bytes + 8, map, header, names, metadata })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stands under our metadata key; null in a file of another program.
    pub fn metadata(&self) -> &Value {
        &self.metadata
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A tensor's shape.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.header.info(name).map(|info| info.shape.as_slice())
    }

    /// A tensor's element type; None when there is no such tensor or its type is none of ours.
    pub fn dtype(&self, name: &str) -> Option<DType> {
        self.header.info(name).and_then(|info| DType::of_file(info.dtype))
    }

    /// BLAKE3 of the whole file.
    pub fn hash(&self) -> FileHash {
        hash_bytes(&self.map)
    }

    /// The name of a tensor's element type, ours or not: `F32`, `BF16`, …; empty when there is no such tensor.
    pub fn dtype_name(&self, name: &str) -> String {
        self.header.info(name).map_or_else(String::new, |info| format!("{:?}", info.dtype))
    }

    /// A tensor of f32, row-major, as it stands in the file (not checked for NaN); without a copy where the machine is
    /// little-endian and the data aligned, as our writers align it. F16, BF16 and F64 of other programs are taken where no value
    /// changes.
    ///
    /// # Errors
    /// [`ArtifactError::MissingTensor`], [`ArtifactError::WrongType`], [`ArtifactError::ValueLost`].
    pub fn f32(&self, name: &str) -> Result<Cow<'_, [f32]>, ArtifactError> {
        if let Some(values) = self.converted(name, DType::F32, convert::to_f32)? {
            return Ok(Cow::Owned(values));
        }
        let bytes = self.bytes(name, DType::F32)?;
        let decode = |chunk: &[u8]| f32::from_le_bytes(array(chunk));
        Ok(in_place(bytes).map_or_else(|| Cow::Owned(bytes.chunks_exact(4).map(decode).collect()), Cow::Borrowed))
    }

    /// A tensor of f64. Otherwise as [`TensorFile::f32`].
    ///
    /// # Errors
    /// As [`TensorFile::f32`].
    pub fn f64(&self, name: &str) -> Result<Cow<'_, [f64]>, ArtifactError> {
        let bytes = self.bytes(name, DType::F64)?;
        let decode = |chunk: &[u8]| f64::from_le_bytes(array(chunk));
        Ok(in_place(bytes).map_or_else(|| Cow::Owned(bytes.chunks_exact(8).map(decode).collect()), Cow::Borrowed))
    }

    /// A tensor of u32; integers of every other type are taken where they are in its range. Otherwise as [`TensorFile::f32`].
    ///
    /// # Errors
    /// As [`TensorFile::f32`].
    pub fn u32(&self, name: &str) -> Result<Cow<'_, [u32]>, ArtifactError> {
        if let Some(values) = self.converted(name, DType::U32, convert::to_u32)? {
            return Ok(Cow::Owned(values));
        }
        let bytes = self.bytes(name, DType::U32)?;
        let decode = |chunk: &[u8]| u32::from_le_bytes(array(chunk));
        Ok(in_place(bytes).map_or_else(|| Cow::Owned(bytes.chunks_exact(4).map(decode).collect()), Cow::Borrowed))
    }

    /// A tensor of i64. Otherwise as [`TensorFile::f32`].
    ///
    /// # Errors
    /// As [`TensorFile::f32`].
    pub fn i64(&self, name: &str) -> Result<Cow<'_, [i64]>, ArtifactError> {
        let bytes = self.bytes(name, DType::I64)?;
        let decode = |chunk: &[u8]| i64::from_le_bytes(array(chunk));
        Ok(in_place(bytes).map_or_else(|| Cow::Owned(bytes.chunks_exact(8).map(decode).collect()), Cow::Borrowed))
    }

    /// A tensor of bytes, without a copy. Otherwise as [`TensorFile::f32`].
    ///
    /// # Errors
    /// As [`TensorFile::f32`].
    pub fn u8(&self, name: &str) -> Result<&[u8], ArtifactError> {
        self.bytes(name, DType::U8)
    }

    /// An f32 tensor of the given shape (`None` = any size), every value finite.
    ///
    /// # Errors
    /// Also [`ArtifactError::WrongShape`] and [`ArtifactError::NotFinite`] with the first bad index.
    pub fn expect_f32(&self, name: &str, shape: &[Option<usize>]) -> Result<Vec<f32>, ArtifactError> {
        let values = self.f32(name)?.into_owned();
        self.check_shape(name, shape)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => Err(self.not_finite(name, index, f64::from(values[index]))),
        }
    }

    /// An f64 tensor, otherwise as [`TensorFile::expect_f32`].
    ///
    /// # Errors
    /// As [`TensorFile::expect_f32`].
    pub fn expect_f64(&self, name: &str, shape: &[Option<usize>]) -> Result<Vec<f64>, ArtifactError> {
        let values = self.f64(name)?.into_owned();
        self.check_shape(name, shape)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => Err(self.not_finite(name, index, values[index])),
        }
    }

    /// A u32 tensor of the given shape (`None` = any size).
    ///
    /// # Errors
    /// As [`TensorFile::u32`], and [`ArtifactError::WrongShape`].
    pub fn expect_u32(&self, name: &str, shape: &[Option<usize>]) -> Result<Vec<u32>, ArtifactError> {
        let values = self.u32(name)?.into_owned();
        self.check_shape(name, shape)?;
        Ok(values)
    }

    /// The values from flat index `from` on, as f64, of a tensor of any type; returns how many there were, at most
    /// `values.len()`. For looking through tensors that are too large to be copied.
    ///
    /// # Errors
    /// [`ArtifactError::MissingTensor`]; [`ArtifactError::WrongType`] for an element type that is none of ours.
    pub fn read_f64(&self, name: &str, from: usize, values: &mut [f64]) -> Result<usize, ArtifactError> {
        let (dtype, bytes) = self.raw(name)?;
        let Some((size, read)) = convert::reader(dtype) else {
            return Err(self.wrong_type(name, "a plain number"));
        };
        let bytes = &bytes[from.saturating_mul(size).min(bytes.len())..];
        let chunks = values.iter_mut().zip(bytes.chunks_exact(size));
        let count = chunks.len();
        // Not through `read` for the usual one: files are large.
        match dtype {
            Dtype::F32 => chunks.for_each(|(value, chunk)| *value = f64::from(f32::from_le_bytes(array(chunk)))),
            _ => chunks.for_each(|(value, chunk)| *value = read(chunk)),
        }
        Ok(count)
    }

    /// Every tensor with its values, by name; of types that are none of ours as the narrowest of ours that holds every value.
    ///
    /// # Errors
    /// [`ArtifactError::WrongType`] for an element type that is none of ours.
    pub fn tensors(&self) -> Result<Vec<NamedTensor>, ArtifactError> {
        let mut tensors = Vec::with_capacity(self.names.len());
        for name in &self.names {
            let data = match self.dtype(name) {
                Some(DType::F32) => TensorData::F32(self.f32(name)?.into_owned()),
                Some(DType::F64) => TensorData::F64(self.f64(name)?.into_owned()),
                Some(DType::U32) => TensorData::U32(self.u32(name)?.into_owned()),
                Some(DType::I64) => TensorData::I64(self.i64(name)?.into_owned()),
                Some(DType::U8) => TensorData::U8(self.u8(name)?.to_vec()),
                None => self.as_ours(name)?,
            };
            let shape = self.shape(name).unwrap_or_default().to_vec();
            tensors.push(NamedTensor { name: name.clone(), shape, data });
        }
        Ok(tensors)
    }

    /// A tensor of another program's type.
    fn as_ours(&self, name: &str) -> Result<TensorData, ArtifactError> {
        let (dtype, bytes) = self.raw(name)?;
        if let Some(values) = convert::to_f32(dtype, bytes) {
            return values.map(TensorData::F32).map_err(|changed| self.value_lost(name, DType::F32, changed));
        }
        match convert::to_i64(dtype, bytes) {
            Some(values) => values.map(TensorData::I64).map_err(|changed| self.value_lost(name, DType::I64, changed)),
            None => Err(self.wrong_type(name, "a plain number")),
        }
    }

    /// The values of a tensor that is not `wanted` but can be; `None` where it is, or cannot.
    fn converted<T>(
        &self,
        name: &str,
        wanted: DType,
        convert: impl Fn(Dtype, &[u8]) -> Option<Result<Vec<T>, Changed>>,
    ) -> Result<Option<Vec<T>>, ArtifactError> {
        if self.dtype(name) == Some(wanted) {
            return Ok(None);
        }
        let (dtype, bytes) = self.raw(name)?;
        convert(dtype, bytes).transpose().map_err(|changed| self.value_lost(name, wanted, changed))
    }

    fn bytes(&self, name: &str, dtype: DType) -> Result<&[u8], ArtifactError> {
        let (found, bytes) = self.raw(name)?;
        if DType::of_file(found) != Some(dtype) {
            return Err(self.wrong_type(name, dtype.name()));
        }
        Ok(bytes)
    }

    /// A tensor's type and bytes.
    fn raw(&self, name: &str) -> Result<(Dtype, &[u8]), ArtifactError> {
        let Some(info) = self.header.info(name) else {
            return Err(ArtifactError::MissingTensor {
                path: self.path.clone(),
                name: name.to_owned(),
                found: self.names.clone(),
            });
        };
        let (start, end) = info.data_offsets;
        let damaged = || ArtifactError::Damaged {
            path: self.path.clone(),
            what: format!("tensor `{name}` lies outside the file"),
        };
        // The header's check has promised this already; a promise of another crate is worth one comparison.
        let bytes = self.map.get(self.data_start + start..self.data_start + end).ok_or_else(damaged)?;
        Ok((info.dtype, bytes))
    }

    fn value_lost(&self, name: &str, expected: DType, changed: Changed) -> ArtifactError {
        let Changed { index, value, is_too_large } = changed;
        let found = format!("is {} and holds {value} at flat index {index}", self.dtype_name(name));
        let (path, expected) = (self.path.clone(), expected.name());
        ArtifactError::ValueLost { path, name: name.into(), found: found.into(), expected, is_too_large }
    }

    fn wrong_type(&self, name: &str, expected: &'static str) -> ArtifactError {
        let found = self.dtype_name(name);
        ArtifactError::WrongType { path: self.path.clone(), name: name.to_owned(), found, expected }
    }

    fn check_shape(&self, name: &str, expected: &[Option<usize>]) -> Result<(), ArtifactError> {
        let found = self.shape(name).unwrap_or_default();
        let fits = found.len() == expected.len()
            && found.iter().zip(expected).all(|(found, expected)| expected.is_none_or(|expected| expected == *found));
        if fits {
            return Ok(());
        }
        let sizes: Vec<String> =
            expected.iter().map(|size| size.map_or_else(|| "any".to_owned(), |size| size.to_string())).collect();
        Err(ArtifactError::WrongShape {
            path: self.path.clone(),
            name: name.to_owned(),
            found: found.to_vec(),
            expected: match expected {
                [None] => "one dimension".to_owned(),
                _ => format!("[{}]", sizes.join(", ")),
            },
        })
    }

    fn not_finite(&self, name: &str, index: usize, value: f64) -> ArtifactError {
        ArtifactError::NotFinite { path: self.path.clone(), name: name.to_owned(), index, value }
    }
}

/// The values as they lie in the map, where they lie as the machine has them.
#[allow(unsafe_code)]
fn in_place<T: Element>(bytes: &[u8]) -> Option<&[T]> {
    if cfg!(target_endian = "big") {
        return None;
    }
    // SAFETY: `Element` is implemented in this crate alone, for numbers, of which every bit pattern is one.
    let (before, values, after) = unsafe { bytes.align_to::<T>() };
    (before.is_empty() && after.is_empty()).then_some(values)
}

fn array<const N: usize>(chunk: &[u8]) -> [u8; N] {
    chunk.try_into().expect("chunks_exact gives chunks of exactly this size")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write_tensors;
    use serde_json::json;

    fn sample(path: &Path) {
        let tensors = [
            NamedTensor { name: "m".into(), shape: vec![2, 2], data: TensorData::F32(vec![1.0, 2.0, 3.0, 4.0]) },
            NamedTensor { name: "bad".into(), shape: vec![2], data: TensorData::F32(vec![0.0, f32::INFINITY]) },
            NamedTensor { name: "u".into(), shape: vec![0], data: TensorData::U32(vec![]) },
        ];
        write_tensors(path, &tensors, &json!({"kind": "sample"})).expect("writable");
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("x.safetensors");
        sample(&path);
        let file = TensorFile::open(&path).expect("sound");
        assert_eq!(file.metadata()["kind"], "sample");
        assert_eq!(file.names(), ["bad", "m", "u"]);
        assert_eq!(file.expect_f32("m", &[Some(2), None]).expect("fits"), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(file.expect_u32("u", &[None]).expect("fits"), Vec::<u32>::new());
        assert_eq!(file.hash(), crate::hash_file(&path).expect("readable"));
    }

    #[test]
    fn values_lie_in_the_map_and_are_looked_through_in_pieces() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("x.safetensors");
        sample(&path);
        let file = TensorFile::open(&path).expect("sound");
        assert!(cfg!(target_endian = "big") || matches!(file.f32("m"), Ok(Cow::Borrowed(&[1.0, 2.0, 3.0, 4.0]))));
        let mut three = [0.0; 3];
        assert_eq!(file.read_f64("m", 0, &mut three).expect("there"), 3);
        assert_eq!(three, [1.0, 2.0, 3.0]);
        assert_eq!(file.read_f64("m", 3, &mut three).expect("there"), 1);
        assert_eq!(three[0], 4.0);
        assert_eq!(file.read_f64("m", usize::MAX, &mut three).expect("there"), 0);
        assert!(matches!(file.read_f64("none", 0, &mut three), Err(ArtifactError::MissingTensor { .. })));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("x.safetensors");
        sample(&path);
        let file = TensorFile::open(&path).expect("sound");
        assert!(matches!(file.expect_f32("bad", &[None]), Err(ArtifactError::NotFinite { index: 1, .. })));
        assert!(matches!(file.expect_f32("m", &[Some(3), None]), Err(ArtifactError::WrongShape { .. })));
        assert!(matches!(file.expect_f32("m", &[None]), Err(ArtifactError::WrongShape { .. })));
        assert!(matches!(file.u32("m"), Err(ArtifactError::WrongType { .. })));
        let error = file.f32("none").expect_err("absent").to_string();
        assert!(error.contains("`none`") && error.contains("`bad`, `m`, `u`"), "{error}");
    }
}
