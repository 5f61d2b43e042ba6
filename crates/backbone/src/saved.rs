//! `backbone.safetensors`: a network that says what it is, with all its weights and running statistics.

use std::path::Path;

use longtail_artifact::{FileHash, NamedTensor, TensorData, TensorFile, write_tensors};
use longtail_images::ImageShape;
use longtail_ops::Real;
use serde_json::{Map, Value, json};

use crate::arch::Architecture;
use crate::engine::Network;
use crate::error::BackboneError;
use crate::files::{from_tensors, to_tensors};

/// Writes the network's tensors under torchvision's names, f32, atomically. The metadata says `architecture`,
/// `image {h, w, c}` and `feature_dim`, and whatever `more` adds.
///
/// # Errors
/// When the file cannot be written.
/// # Panics
/// When a vector is not as long as the network says.
pub fn save_backbone<T: Real>(
    path: &Path,
    network: &Network<T>,
    params: &[T],
    running: &[T],
    more: &Map<String, Value>,
) -> Result<FileHash, BackboneError> {
    let tensors: Vec<NamedTensor> = to_tensors(network, params, running)
        .into_iter()
        .map(|(name, shape, values)| NamedTensor { name, shape, data: TensorData::F32(values) })
        .collect();
    let image = network.image();
    let mut metadata = more.clone();
    metadata.insert("architecture".to_owned(), json!(network.architecture()));
    metadata.insert("image".to_owned(), json!({"h": image.height, "w": image.width, "c": image.channels}));
    metadata.insert("feature_dim".to_owned(), json!(network.feature_dim()));
    Ok(write_tensors(path, &tensors, &Value::Object(metadata))?)
}

/// A network read back from its file.
#[derive(Debug)]
pub struct SavedBackbone {
    /// The network that the metadata describes.
    pub network: Network<f32>,
    /// Its parameters, flat.
    pub params: Vec<f32>,
    /// Its running statistics, flat.
    pub running: Vec<f32>,
    /// All the metadata.
    pub metadata: Value,
    /// blake3 of the file.
    pub hash: FileHash,
}

impl SavedBackbone {
    /// Reads a file of [`save_backbone`], strictly.
    ///
    /// # Errors
    /// A file that is missing, damaged or not f32; metadata that describes no network; tensors missing, left over,
    /// misshapen or not finite. Every error names the file.
    pub fn open(path: &Path) -> Result<Self, BackboneError> {
        let file = TensorFile::open(path)?;
        let metadata = file.metadata().clone();
        let (architecture, image) =
            describe(&metadata).map_err(|what| BackboneError::Description { path: path.to_owned(), what })?;
        let in_file = |source| BackboneError::InFile { path: path.to_owned(), source: Box::new(source) };
        let network = Network::new(&architecture, image).map_err(in_file)?;
        let mut tensors = Vec::with_capacity(file.names().len());
        for name in file.names() {
            let shape = file.shape(name).unwrap_or_default().to_vec();
            tensors.push((name.clone(), shape, file.f32(name)?.into_owned()));
        }
        let (params, running) = from_tensors(&network, &tensors).map_err(in_file)?;
        Ok(Self { network, params, running, metadata, hash: file.hash() })
    }
}

/// Architecture and image size, or what is wrong with them.
fn describe(metadata: &Value) -> Result<(Architecture, ImageShape), String> {
    let name = metadata["architecture"].as_str().ok_or("the metadata has no `architecture`")?;
    let architecture: Architecture = name.parse().map_err(|error: BackboneError| error.to_string())?;
    let side = |key: &str| {
        let value = &metadata["image"][key];
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| format!("`image.{key}` must be a whole number, found {value}"))
    };
    Ok((architecture, ImageShape { height: side("h")?, width: side("w")?, channels: side("c")? }))
}
