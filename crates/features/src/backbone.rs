//! The backbone of stage 1, read from its file and frozen.

use std::path::Path;

use longtail_artifact::TensorFile;
use longtail_backbone::{Architecture, ImageShape, Network, from_tensors};
use serde_json::Value;

use crate::FeaturesError;

/// A network with the weights and running statistics of a `backbone.safetensors`.
pub struct FrozenBackbone {
    network: Network<f32>,
    params: Vec<f32>,
    running: Vec<f32>,
    hash: String,
}

impl FrozenBackbone {
    /// Reads a backbone strictly: its architecture from the metadata, every tensor by name, shape and finiteness, none left over.
    ///
    /// # Errors
    /// A file that cannot be read, that does not say its architecture, or whose tensors are not that architecture's.
    pub fn open(path: &Path) -> Result<Self, FeaturesError> {
        let file = TensorFile::open(path)?;
        let missing = |field: &'static str, value: &Value| FeaturesError::Provenance {
            path: path.to_owned(),
            field,
            found: value.to_string(),
        };
        let name = &file.metadata()["architecture"];
        let architecture: Architecture = name
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| missing("architecture", name))?;
        let image = &file.metadata()["image"];
        let side = |axis: &str| image[axis].as_u64().and_then(|value| usize::try_from(value).ok());
        let (Some(height), Some(width), Some(channels)) = (side("h"), side("w"), side("c")) else {
            return Err(missing("image shape", image));
        };
        let network = Network::new(&architecture, ImageShape { height, width, channels })?;
        let mut tensors = Vec::new();
        for name in file.names() {
            let shape = file.shape(name).unwrap_or_default().to_vec();
            let any: Vec<Option<usize>> = vec![None; shape.len()];
            tensors.push((name.to_owned(), shape, file.expect_f32(name, &any)?));
        }
        let (params, running) = from_tensors(&network, &tensors)?;
        Ok(Self { network, params, running, hash: file.hash() })
    }

    /// BLAKE3 of the file.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// d.
    pub fn feature_dim(&self) -> usize {
        self.network.feature_dim()
    }

    /// The images that it takes.
    pub fn image(&self) -> ImageShape {
        self.network.image()
    }

    /// Features of a batch with running statistics.
    ///
    /// # Shapes
    /// - `images`: `(n, H, W, C)` f32, normalised - returns: `(n, d)`
    /// # Errors
    /// A length that does not fit.
    pub fn features(&mut self, images: &[f32], n: usize) -> Result<Vec<f32>, FeaturesError> {
        let mut features = vec![0.0; n * self.feature_dim()];
        self.network.infer(&self.params, &self.running, images, n, &mut features)?;
        Ok(features)
    }
}
