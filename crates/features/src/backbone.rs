//! The backbone of stage 1, read from its file and frozen.

use std::path::Path;

use longtail_backbone::{ImageShape, SavedBackbone};
use longtail_ops::gpu::Driver;

use crate::FeaturesError;
use crate::device::{FeatureDevice, OnDevice};

/// A network with the weights and running statistics of a `backbone.safetensors`.
pub struct FrozenBackbone {
    saved: SavedBackbone,
    device: Option<Box<dyn FeatureDevice>>,
}

impl FrozenBackbone {
    /// Reads a backbone strictly: its architecture from the metadata, every tensor by name, shape and finiteness, none left over.
    ///
    /// # Errors
    /// A file that cannot be read, that does not say its architecture, or whose tensors are not that architecture's.
    pub fn open(path: &Path) -> Result<Self, FeaturesError> {
        Ok(Self { saved: SavedBackbone::open(path)?, device: None })
    }

    /// Makes features on the device of that driver from now on.
    ///
    /// # Errors
    /// No memory; the device's.
    pub fn move_to<D: Driver + 'static>(&mut self, driver: D) -> Result<(), FeaturesError> {
        self.device = Some(Box::new(OnDevice::new(driver, &self.saved)?));
        Ok(())
    }

    /// Makes features on the GPU of that number from now on, in f32.
    ///
    /// # Errors
    /// No such GPU; one that is too old.
    #[cfg(feature = "cuda")]
    pub fn move_to_gpu(&mut self, ordinal: usize) -> Result<(), FeaturesError> {
        use longtail_ops::gpu::{Cuda, CudaSettings};
        self.move_to(Cuda::open(ordinal, CudaSettings { tf32: false })?)
    }

    /// BLAKE3 of the file.
    pub fn hash(&self) -> &str {
        &self.saved.hash
    }

    /// d.
    pub fn feature_dim(&self) -> usize {
        self.saved.network.feature_dim()
    }

    /// The images that it takes.
    pub fn image(&self) -> ImageShape {
        self.saved.network.image()
    }

    /// How many classes it was trained on, if its file says so.
    pub fn num_classes(&self) -> Option<u64> {
        self.saved.metadata["num_classes"].as_u64()
    }

    /// The means and then the standard deviations that its images were normalised by, if its file says so.
    pub fn normalize(&self) -> Option<Vec<f64>> {
        let stated = self.saved.metadata.get("normalize")?;
        let values = ["mean", "std"].map(|name| stated[name].as_array().cloned().unwrap_or_default());
        Some(values.concat().iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect())
    }

    /// Features of a batch with running statistics.
    ///
    /// # Shapes
    /// - `images`: `(n, H, W, C)` f32, normalised - returns: `(n, d)`
    /// # Errors
    /// A length that does not fit.
    pub fn features(&mut self, images: &[f32], n: usize) -> Result<Vec<f32>, FeaturesError> {
        if let Some(device) = &mut self.device {
            return device.features(images, n);
        }
        let SavedBackbone { network, params, running, .. } = &mut self.saved;
        let mut features = vec![0.0; n * network.feature_dim()];
        network.infer(params, running, images, n, &mut features)?;
        Ok(features)
    }
}
