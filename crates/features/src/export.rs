//! `features export`: tensors for NumPy.

use std::path::Path;
use std::process::ExitCode;

use longtail_artifact::{OutputFile, OutputKind, TensorData, TensorFile, check_outputs, write_atomic};
use ndarray::{ArrayD, IxDyn};
use ndarray_npy::NpzWriter;

use crate::FeaturesError;

/// Writes every tensor of `file` as one array of an `.npz`; the metadata goes along as UTF-8 bytes under `metadata_json`.
///
/// # Errors
/// An output that would replace something else, a file that cannot be read or written.
pub fn run(file: &Path, npz: &Path) -> anyhow::Result<ExitCode> {
    check_outputs(&[file], &[OutputFile { option: "--npz", path: npz, kind: OutputKind::Npz }])?;
    let tensors = TensorFile::open(file)?;
    let mut archive = NpzWriter::new(std::io::Cursor::new(Vec::new()));
    let unfit = |name: &str, why: String| {
        let what = format!("`{}`: tensor `{name}` cannot be exported: {why}", file.display());
        FeaturesError::unfit(what, "`features inspect FILE` shows its contents")
    };
    for tensor in tensors.tensors()? {
        let (name, shape) = (tensor.name.as_str(), IxDyn(&tensor.shape));
        macro_rules! add {
            ($values:expr) => {{
                let array = ArrayD::from_shape_vec(shape, $values).map_err(|error| unfit(name, error.to_string()))?;
                archive.add_array(name, &array).map_err(|error| unfit(name, error.to_string()))?;
            }};
        }
        match tensor.data {
            TensorData::F32(values) => add!(values),
            TensorData::F64(values) => add!(values),
            TensorData::U32(values) => add!(values),
            TensorData::U8(values) => add!(values),
            TensorData::I64(values) => add!(values),
        }
    }
    let metadata = ndarray::Array1::from_vec(tensors.metadata().to_string().into_bytes());
    archive.add_array("metadata_json", &metadata).map_err(|error| unfit("metadata_json", error.to_string()))?;
    let bytes = archive.finish().map_err(|error| unfit("the archive", error.to_string()))?.into_inner();
    write_atomic(npz, &bytes)?;
    eprintln!("{}: {} arrays", npz.display(), tensors.names().len() + 1);
    Ok(ExitCode::SUCCESS)
}
