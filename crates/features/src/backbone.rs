//! The backbone of stage 1, read from its file and frozen.

use std::collections::VecDeque;
use std::path::Path;

use longtail_artifact::Device;
use longtail_backbone::{ImageShape, SavedBackbone};
use longtail_ops::gpu::Driver;
use longtail_training::Compute;

use crate::FeaturesError;
use crate::gpu::{Infer, OnGpu};

/// A network with the weights and running statistics of a `backbone.safetensors`.
pub struct FrozenBackbone {
    saved: SavedBackbone,
    /// The network on a GPU; `None` on the CPU.
    gpu: Option<Box<dyn Infer>>,
    /// What the CPU made and nobody took yet.
    made: VecDeque<Vec<f32>>,
}

impl FrozenBackbone {
    /// Reads a backbone strictly: its architecture from the metadata, every tensor by name, shape and finiteness, none left over.
    ///
    /// # Errors
    /// A file that cannot be read, that does not say its architecture, or whose tensors are not that architecture's.
    pub fn open(path: &Path) -> Result<Self, FeaturesError> {
        Ok(Self { saved: SavedBackbone::open(path)?, gpu: None, made: VecDeque::new() })
    }

    /// From now on on that device.
    ///
    /// On a GPU products are not rounded to TensorFloat-32: features are the CPU's but for roundings.
    ///
    /// # Errors
    /// The device's, and a GPU in a build without CUDA.
    pub fn on(self, device: Device) -> Result<Self, FeaturesError> {
        match device {
            Device::Cpu => Ok(Self { gpu: None, ..self }),
            #[cfg(feature = "cuda")]
            Device::Cuda(_) => {
                let settings = longtail_ops::gpu::CudaSettings { tf32: false };
                self.on_driver(Compute::open(device, "features")?.driver(settings)?)
            }
            _ => Compute::open(device, "features").map(|_| self).map_err(FeaturesError::from),
        }
    }

    /// From now on by a driver of GPUs; the weights go there once.
    ///
    /// # Errors
    /// The device's.
    pub fn on_driver<D: Driver + 'static>(self, driver: D) -> Result<Self, FeaturesError> {
        let gpu = OnGpu::new(driver, &self.saved)?;
        Ok(Self { gpu: Some(Box::new(gpu)), ..self })
    }

    /// BLAKE3 of the file.
    pub fn hash(&self) -> &str {
        &self.saved.hash
    }

    /// Feature dimension d.
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
    /// A length that does not fit; the device's.
    pub fn features(&mut self, images: &[f32], n: usize) -> Result<Vec<f32>, FeaturesError> {
        while self.take()?.is_some() {} // of a batch that nobody waited for
        self.start(images, n)?;
        Ok(self.take()?.unwrap_or_default())
    }

    /// How many batches more than one it is worth to start before the first is taken: a GPU goes on while the program does
    /// something else.
    pub fn ahead(&self) -> usize {
        usize::from(self.gpu.is_some())
    }

    /// Begins with a batch as [`FrozenBackbone::features`]; a GPU is not waited for.
    ///
    /// # Errors
    /// A length that does not fit; the device's.
    pub fn start(&mut self, images: &[f32], n: usize) -> Result<(), FeaturesError> {
        if let Some(gpu) = &mut self.gpu {
            return Ok(gpu.start(images, n)?);
        }
        let SavedBackbone { network, params, running, .. } = &mut self.saved;
        let mut features = vec![0.0; n * network.feature_dim()];
        network.infer(params, running, images, n, &mut features)?;
        self.made.push_back(features);
        Ok(())
    }

    /// The features of the first batch that was started and not taken, `(n, d)`; `None` if there is none.
    ///
    /// # Errors
    /// The device's.
    pub fn take(&mut self) -> Result<Option<Vec<f32>>, FeaturesError> {
        match &mut self.gpu {
            Some(gpu) => Ok(gpu.take()?),
            None => Ok(self.made.pop_front()),
        }
    }
}
