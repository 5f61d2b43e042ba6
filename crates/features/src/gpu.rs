//! The frozen backbone on a GPU: weights are copied there once, images batch by batch while it is at work, features back.

use longtail_backbone::gpu::GpuNetwork;
use longtail_backbone::{BackboneError, SavedBackbone};
use longtail_ops::gpu::{Downloads, Driver, GpuVec, Uploads};

/// Features by whatever driver.
pub(crate) trait Infer {
    /// As [`crate::FrozenBackbone::start`].
    fn start(&mut self, images: &[f32], n: usize) -> Result<(), BackboneError>;

    /// As [`crate::FrozenBackbone::take`].
    fn take(&mut self) -> Result<Option<Vec<f32>>, BackboneError>;
}

/// A network with its weights, and the memory for a batch, which is made once for the largest.
pub(crate) struct OnGpu<D: Driver> {
    network: GpuNetwork<D>,
    params: GpuVec<f32, D>,
    running: GpuVec<f32, D>,
    images: Uploads<f32, D>,
    features: GpuVec<f32, D>,
    back: Downloads<f32, D>,
}

impl<D: Driver> OnGpu<D> {
    pub(crate) fn new(driver: D, saved: &SavedBackbone) -> Result<Self, BackboneError> {
        let network = GpuNetwork::new(driver, saved.network.architecture(), saved.network.image())?;
        Ok(Self {
            params: network.upload_params(&saved.params)?,
            running: GpuVec::of(network.driver(), &saved.running)?,
            images: Uploads::default(),
            features: GpuVec::default(),
            back: Downloads::default(),
            network,
        })
    }
}

impl<D: Driver> Infer for OnGpu<D> {
    fn start(&mut self, images: &[f32], n: usize) -> Result<(), BackboneError> {
        let Self { network, params, running, images: uploads, features, back } = self;
        let numbers = n * network.feature_dim();
        uploads.write(network.driver(), images)?;
        features.reserve(network.driver(), numbers)?;
        let to = features.view_mut().part(0..numbers);
        network.infer(params.view(), running.view_mut(), uploads.view(), n, to)?;
        Ok(back.ask(network.driver(), features.view().part(0..numbers))?)
    }

    fn take(&mut self) -> Result<Option<Vec<f32>>, BackboneError> {
        Ok(self.back.take(self.network.driver())?)
    }
}
