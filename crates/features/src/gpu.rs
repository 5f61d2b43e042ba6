//! The frozen backbone on a GPU: weights are copied there once, images batch by batch, features back.

use longtail_backbone::gpu::GpuNetwork;
use longtail_backbone::{BackboneError, SavedBackbone};
use longtail_ops::gpu::{Driver, GpuVec};

/// Features by whatever driver.
pub(crate) trait Infer {
    /// As [`crate::FrozenBackbone::features`].
    fn features(&mut self, images: &[f32], n: usize) -> Result<Vec<f32>, BackboneError>;
}

/// A network with its weights, and the memory for a batch, which is made once for the largest.
pub(crate) struct OnGpu<D: Driver> {
    network: GpuNetwork<D>,
    params: GpuVec<f32, D>,
    running: GpuVec<f32, D>,
    images: GpuVec<f32, D>,
    features: GpuVec<f32, D>,
}

impl<D: Driver> OnGpu<D> {
    pub(crate) fn new(driver: D, saved: &SavedBackbone) -> Result<Self, BackboneError> {
        let network = GpuNetwork::new(driver, saved.network.architecture(), saved.network.image())?;
        Ok(Self {
            params: network.upload_params(&saved.params)?,
            running: GpuVec::of(network.driver(), &saved.running)?,
            images: GpuVec::default(),
            features: GpuVec::default(),
            network,
        })
    }
}

impl<D: Driver> Infer for OnGpu<D> {
    fn features(&mut self, images: &[f32], n: usize) -> Result<Vec<f32>, BackboneError> {
        let Self { network, params, running, .. } = self;
        let numbers = n * network.feature_dim();
        self.images.reserve(network.driver(), images.len())?;
        self.features.reserve(network.driver(), numbers)?;
        self.images.view_mut().part(0..images.len()).write(network.driver(), images)?;
        let batch = self.images.view().part(0..images.len());
        network.infer(params.view(), running.view_mut(), batch, n, self.features.view_mut().part(0..numbers))?;
        Ok(self.features.view().part(0..numbers).to_vec(network.driver())?)
    }
}
