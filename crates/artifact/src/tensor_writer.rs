//! Writing a hand-off file piece by piece: memory for one piece, and a kill costs what came after the last mark.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Metadata, TensorInfo};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tensors::METADATA_KEY;
use crate::{ArtifactError, DType, FileHash, atomic, canonical_json};

/// Bytes that are gathered before the system is asked to write, and read at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// safetensors' rule: the header's length is a multiple of it, and stands in so many bytes before the header.
const ALIGNMENT: usize = 8;

/// One tensor of a file that is yet to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorPlan {
    /// Unique in its file.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// Shape of the tensor, outermost dimension first.
    pub shape: Vec<usize>,
}

/// How much of an unfinished file is safe on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Bytes from the file's beginning, header included.
    pub bytes: u64,
    /// BLAKE3 of these bytes.
    pub blake3: FileHash,
}

/// A type whose values a tensor may hold: the five of [`DType`], no others.
pub trait Element: Copy + sealed::Sealed {
    /// How a file calls it.
    const DTYPE: DType;
    /// Appends the values as they stand in a file, little-endian.
    fn encode(values: &[Self], bytes: &mut Vec<u8>);
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! element {
    ($($type:ty => $dtype:ident),*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
            fn encode(values: &[Self], bytes: &mut Vec<u8>) {
                bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
    )*};
}
element!(f32 => F32, f64 => F64, u32 => U32, u8 => U8, i64 => I64);

/// A file at work. The bytes are those that [`crate::write_tensors`] would write for the same content.
///
/// Tensors come in the order of the file: I64, F64, F32, U32, U8 (safetensors' order of types), by name within one type;
/// [`TensorWriter::order`] says it. Empty tensors need no call.
#[derive(Debug)]
pub struct TensorWriter {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    written: u64,
    pieces: Vec<Piece>,
    encoded: Vec<u8>,
    /// An unfinished file of no further use is removed when the writer is dropped.
    remove_on_drop: bool,
}

#[derive(Debug)]
struct Piece {
    name: String,
    dtype: DType,
    end: u64,
}

impl TensorWriter {
    /// Begins `path` under a temporary name beside it; what is not finished is removed.
    ///
    /// # Errors
    /// Two tensors of one name, sizes beyond 64 bits, or a file that cannot be written.
    pub fn create(path: &Path, tensors: &[TensorPlan], metadata: &Value) -> Result<Self, ArtifactError> {
        atomic::make_place(path)?;
        let mut writer = Self::begin(path, &atomic::temporary_path(path), tensors, metadata)?;
        writer.remove_on_drop = true;
        Ok(writer)
    }

    /// Begins `path` as the file `part`, in the same file system, which stays when the writer is dropped or killed.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_part(
        path: &Path,
        part: &Path,
        tensors: &[TensorPlan],
        metadata: &Value,
    ) -> Result<Self, ArtifactError> {
        atomic::make_place(path)?;
        atomic::make_place(part)?;
        Self::begin(path, part, tensors, metadata)
    }

    fn begin(path: &Path, part: &Path, tensors: &[TensorPlan], metadata: &Value) -> Result<Self, ArtifactError> {
        let (header, pieces) = layout(path, tensors, metadata)?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(part);
        let file = file.map_err(|source| ArtifactError::io("write", part, source))?;
        let mut writer = Self::over(path, part, file, pieces);
        writer.put(&header)?;
        Ok(writer)
    }

    fn over(path: &Path, part: &Path, file: File, pieces: Vec<Piece>) -> Self {
        Self {
            path: path.to_owned(),
            part: part.to_owned(),
            file: BufWriter::with_capacity(CHUNK_BYTES, file),
            hasher: blake3::Hasher::new(),
            written: 0,
            pieces,
            encoded: Vec::new(),
            remove_on_drop: false,
        }
    }

    /// Goes on with a `part` of an earlier process at the last of `marks` (ascending) up to which its bytes are what they were,
    /// and cuts off what comes after; also says which mark it was. None when no mark holds: begin anew.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn resume(
        path: &Path,
        part: &Path,
        tensors: &[TensorPlan],
        metadata: &Value,
        marks: &[Mark],
    ) -> Result<Option<(Self, usize)>, ArtifactError> {
        let failed = |source| ArtifactError::io("go on with", part, source);
        let (header, pieces) = layout(path, tensors, metadata)?;
        let file = match OpenOptions::new().read(true).write(true).open(part) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let mut writer = Self::over(path, part, file, pieces);
        let mut head = Vec::with_capacity(header.len());
        writer.file.get_ref().take(header.len() as u64).read_to_end(&mut head).map_err(failed)?;
        if head != header {
            return Ok(None);
        }
        writer.hasher.update(&head);
        let mut at = head.len() as u64;
        let mut sound: Option<(usize, blake3::Hasher)> = None;
        let mut chunk = vec![0u8; CHUNK_BYTES];
        'marks: for (number, mark) in marks.iter().enumerate() {
            if mark.bytes < at || mark.bytes > writer.end() {
                break;
            }
            while at < mark.bytes {
                let most = usize::try_from(mark.bytes - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
                let read = writer.file.get_ref().read(&mut chunk[..most]).map_err(failed)?;
                if read == 0 {
                    break 'marks;
                }
                writer.hasher.update(&chunk[..read]);
                at += read as u64;
            }
            if writer.hasher.finalize().to_hex().as_str() != mark.blake3 {
                break;
            }
            sound = Some((number, writer.hasher.clone()));
        }
        let Some((number, hasher)) = sound else { return Ok(None) };
        writer.hasher = hasher;
        writer.written = marks[number].bytes;
        writer.file.get_ref().set_len(writer.written).map_err(failed)?;
        writer.file.seek(SeekFrom::Start(writer.written)).map_err(failed)?;
        Ok(Some((writer, number)))
    }

    /// The tensors' names in the order in which they are to be appended.
    pub fn order(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().map(|piece| piece.name.as_str())
    }

    /// Appends values to the tensor `name`: as many as it has left, or fewer.
    ///
    /// # Errors
    /// A tensor whose turn it is not, another type, more values than it has left, or a file that cannot be written.
    pub fn append<T: Element>(&mut self, name: &str, values: &[T]) -> Result<(), ArtifactError> {
        if values.is_empty() {
            return Ok(());
        }
        let refuse = |what: String| Err(ArtifactError::Encode { path: self.path.clone(), what });
        let Some(piece) = self.pieces.iter().find(|piece| piece.end > self.written) else {
            return refuse(format!("tensor `{name}` comes after the end"));
        };
        if piece.name != name || piece.dtype != T::DTYPE {
            let (next, dtype) = (&piece.name, piece.dtype.name());
            return refuse(format!("got {} values of `{name}`, but `{next}` ({dtype}) was next", T::DTYPE.name()));
        }
        let left = (piece.end - self.written) / piece.dtype.bytes() as u64;
        if values.len() as u64 > left {
            return refuse(format!("got {} values for `{name}`, which has room for {left} more", values.len()));
        }
        let mut encoded = std::mem::take(&mut self.encoded);
        for values in values.chunks(CHUNK_BYTES / T::DTYPE.bytes()) {
            encoded.clear();
            T::encode(values, &mut encoded);
            self.put(&encoded)?;
        }
        self.encoded = encoded;
        Ok(())
    }

    /// Syncs all that was appended, so that [`Self::resume`] can go on from here.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn mark(&mut self) -> Result<Mark, ArtifactError> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_data());
        synced.map_err(|source| ArtifactError::io("write", &self.part, source))?;
        Ok(Mark { bytes: self.written, blake3: self.hasher.finalize().to_hex().to_string() })
    }

    /// Syncs the file and gives it its name; returns its BLAKE3.
    ///
    /// # Errors
    /// Values that are missing, or a file that cannot be written.
    pub fn finish(mut self) -> Result<FileHash, ArtifactError> {
        if let Some(piece) = self.pieces.iter().find(|piece| piece.end > self.written) {
            let what = format!("tensor `{}` is not complete", piece.name);
            return Err(ArtifactError::Encode { path: self.path.clone(), what });
        }
        let mark = self.mark()?;
        let named = self.file.get_ref().sync_all().and_then(|()| fs::rename(&self.part, &self.path));
        named.map_err(|source| ArtifactError::io("write", &self.path, source))?;
        self.remove_on_drop = false;
        atomic::sync_folder_of(&self.path);
        Ok(mark.blake3)
    }

    /// The file's length when it is complete.
    fn end(&self) -> u64 {
        self.pieces.last().map_or(u64::MAX, |piece| piece.end)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        self.file.write_all(bytes).map_err(|source| ArtifactError::io("write", &self.part, source))?;
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }
}

impl Drop for TensorWriter {
    fn drop(&mut self) {
        if self.remove_on_drop {
            // An error is on its way already; what is left here is swept away by the next writer.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// The file's beginning, and where each tensor ends.
fn layout(path: &Path, tensors: &[TensorPlan], metadata: &Value) -> Result<(Vec<u8>, Vec<Piece>), ArtifactError> {
    let failed = |what: String| ArtifactError::Encode { path: path.to_owned(), what };
    let mut names = BTreeSet::new();
    if let Some(twice) = tensors.iter().find(|tensor| !names.insert(tensor.name.as_str())) {
        return Err(ArtifactError::DuplicateTensor { name: twice.name.clone() });
    }
    let mut ordered: Vec<&TensorPlan> = tensors.iter().collect();
    ordered.sort_by(|a, b| b.dtype.file_dtype().cmp(&a.dtype.file_dtype()).then(a.name.cmp(&b.name)));
    let (mut infos, mut ends, mut offset) = (Vec::new(), Vec::new(), 0usize);
    for tensor in ordered {
        let product = |bytes: usize, size: &usize| bytes.checked_mul(*size);
        let bytes = tensor.shape.iter().try_fold(tensor.dtype.bytes(), product);
        let end = bytes.and_then(|bytes| offset.checked_add(bytes));
        let end =
            end.ok_or_else(|| failed(format!("tensor `{}` of shape {:?} is too large", tensor.name, tensor.shape)))?;
        let info =
            TensorInfo { dtype: tensor.dtype.file_dtype(), shape: tensor.shape.clone(), data_offsets: (offset, end) };
        infos.push((tensor.name.clone(), info));
        ends.push((tensor.name.clone(), tensor.dtype, end as u64));
        offset = end;
    }
    let words = HashMap::from([(METADATA_KEY.to_owned(), canonical_json(metadata))]);
    let header = Metadata::new(Some(words), infos).map_err(|error| failed(error.to_string()))?;
    let mut json = serde_json::to_vec(&header).map_err(|error| failed(error.to_string()))?;
    json.resize(json.len().next_multiple_of(ALIGNMENT), b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut json);
    let start = bytes.len() as u64;
    Ok((bytes, ends.into_iter().map(|(name, dtype, end)| Piece { name, dtype, end: start + end }).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NamedTensor, TensorData, hash_file, write_tensors};
    use serde_json::json;

    fn content() -> (Vec<NamedTensor>, Vec<TensorPlan>, Value) {
        let named = |name: &str, shape: &[usize], data| NamedTensor { name: name.into(), shape: shape.to_vec(), data };
        let tensors = vec![
            named("labels", &[4], TensorData::U32(vec![0, 1, 1, 2])),
            named("features", &[4, 3], TensorData::F32((0..12).map(|value| value as f32 * 0.5).collect())),
            named("offsets", &[2], TensorData::I64(vec![-1, 1 << 40])),
            named("bytes", &[5], TensorData::U8(vec![1, 2, 3, 4, 5])),
            named("empty", &[0, 7], TensorData::F32(vec![])),
            named("means", &[1], TensorData::F64(vec![0.25])),
        ];
        let plan = |tensor: &NamedTensor| TensorPlan {
            name: tensor.name.clone(),
            dtype: tensor.data.dtype(),
            shape: tensor.shape.clone(),
        };
        (tensors.clone(), tensors.iter().map(plan).collect(), json!({"split": "train", "α": [1, 2]}))
    }

    /// Appends `values` of every tensor from byte `from` of the data on, in pieces of one value.
    fn append_all(writer: &mut TensorWriter, tensors: &[NamedTensor], mut skip: usize) {
        let order: Vec<String> = writer.order().map(str::to_owned).collect();
        for name in order {
            let tensor = tensors.iter().find(|tensor| tensor.name == name).expect("planned");
            macro_rules! put {
                ($values:expr) => {
                    for value in $values {
                        if skip > 0 {
                            skip -= 1;
                        } else {
                            writer.append(&name, &[*value]).expect("writable");
                        }
                    }
                };
            }
            match &tensor.data {
                TensorData::F32(values) => put!(values),
                TensorData::F64(values) => put!(values),
                TensorData::U32(values) => put!(values),
                TensorData::U8(values) => put!(values),
                TensorData::I64(values) => put!(values),
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_a_file_written_at_once() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (tensors, plans, metadata) = content();
        let (at_once, streamed) = (dir.path().join("a"), dir.path().join("deep/b"));
        let hash = write_tensors(&at_once, &tensors, &metadata).expect("writable");
        let mut writer = TensorWriter::create(&streamed, &plans, &metadata).expect("writable");
        assert_eq!(writer.order().collect::<Vec<_>>(), ["offsets", "means", "empty", "features", "labels", "bytes"]);
        append_all(&mut writer, &tensors, 0);
        assert!(!streamed.exists(), "an unfinished file has no name");
        assert_eq!(writer.finish().expect("complete"), hash);
        assert_eq!(fs::read(&streamed).expect("readable"), fs::read(&at_once).expect("readable"));
        assert_eq!(fs::read_dir(dir.path().join("deep")).expect("listable").count(), 1, "and nothing beside it");
    }

    #[test]
    fn what_does_not_fit_is_refused_and_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("x");
        let plan = |name: &str, size| TensorPlan { name: name.into(), dtype: DType::F32, shape: vec![size] };
        assert!(TensorWriter::create(&path, &[plan("a", 1), plan("a", 1)], &Value::Null).is_err());
        assert!(TensorWriter::create(&path, &[plan("a", usize::MAX)], &Value::Null).is_err());
        let mut writer = TensorWriter::create(&path, &[plan("a", 2), plan("b", 1)], &Value::Null).expect("writable");
        assert!(writer.append("b", &[1.0f32]).is_err(), "not its turn");
        assert!(writer.append("a", &[1u32]).is_err(), "another type");
        assert!(writer.append("a", &[1.0f32; 3]).is_err(), "too many");
        writer.append("a", &[1.0f32; 2]).expect("fits");
        assert!(writer.finish().is_err(), "`b` is missing");
        assert_eq!(fs::read_dir(dir.path()).expect("listable").count(), 0);
    }

    #[test]
    fn a_part_goes_on_at_its_last_sound_mark_to_the_same_bytes() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (tensors, plans, metadata) = content();
        let (straight, path, part) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("b.part"));
        let hash = write_tensors(&straight, &tensors, &metadata).expect("writable");
        let begin = || {
            let mut writer = TensorWriter::create_part(&path, &part, &plans, &metadata).expect("writable");
            let mut marks = vec![writer.mark().expect("writable")];
            writer.append("offsets", &[-1i64, 1 << 40]).expect("fits");
            marks.push(writer.mark().expect("writable"));
            writer.append("means", &[0.25f64]).expect("fits");
            writer.append("features", &[0.0f32, 0.5]).expect("fits");
            marks.push(writer.mark().expect("writable"));
            writer.append("features", &[9.0f32]).expect("fits"); // never marked: cut off
            marks
        };
        let resume = |marks: &[Mark]| TensorWriter::resume(&path, &part, &plans, &metadata, marks).expect("readable");
        let cut = |bytes: u64| {
            OpenOptions::new().write(true).open(&part).and_then(|file| file.set_len(bytes)).expect("cut");
        };
        let flip = |at: u64| {
            let mut bytes = fs::read(&part).expect("readable");
            bytes[at as usize] ^= 1;
            fs::write(&part, bytes).expect("writable");
        };
        // What happens to the part between two processes, the mark that is gone on from, and the values up to it.
        type Damage<'a> = &'a dyn Fn(&[Mark]);
        let cases: [(Damage, Option<usize>, usize); 6] = [
            (&|_| (), Some(2), 5),
            (&|marks| cut(marks[2].bytes), Some(2), 5),
            (&|marks| cut(marks[2].bytes - 1), Some(1), 2),
            (&|marks| flip(marks[2].bytes - 1), Some(1), 2),
            (&|marks| flip(marks[1].bytes - 1), Some(0), 0),
            (&|marks| flip(marks[0].bytes - 1), None, 0),
        ];
        for (number, (damage, expected, skip)) in cases.into_iter().enumerate() {
            let marks = begin();
            damage(&marks);
            let found = resume(&marks);
            assert_eq!(found.as_ref().map(|(_, mark)| *mark), expected, "case {number}");
            let Some((mut writer, _)) = found else { continue };
            append_all(&mut writer, &tensors, skip);
            assert_eq!(writer.finish().expect("complete"), hash, "case {number}");
            assert_eq!(hash_file(&path).expect("readable"), hash, "case {number}");
        }
        fs::remove_file(&part).expect("removable");
        assert!(resume(&[]).is_none(), "no part, no mark");
    }
}
