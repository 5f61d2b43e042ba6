//! The frozen backbone on a GPU, over any driver.

use longtail_backbone::SavedBackbone;
use longtail_backbone::gpu::GpuNetwork;
use longtail_ops::gpu::{Driver, GpuVec};

use crate::FeaturesError;

/// What makes features in the CPU's place.
pub trait FeatureDevice {
    /// As [`FrozenBackbone::features`](crate::FrozenBackbone::features). Batches of another size may change the last bits.
    ///
    /// # Errors
    /// A length that does not fit; the device's.
    fn features(&mut self, images: &[f32], n: usize) -> Result<Vec<f32>, FeaturesError>;
}

/// A network with its weights on a device, in f32.
pub struct OnDevice<D: Driver> {
    network: GpuNetwork<D>,
    params: GpuVec<f32, D>,
    running: GpuVec<f32, D>,
    images: GpuVec<f32, D>,
    features: GpuVec<f32, D>,
}

impl<D: Driver> OnDevice<D> {
    /// Copies weights and running statistics there.
    ///
    /// # Errors
    /// No memory; the device's.
    pub fn new(driver: D, saved: &SavedBackbone) -> Result<Self, FeaturesError> {
        let network = GpuNetwork::new(driver, &saved.network.architecture(), saved.network.image())?;
        Ok(Self {
            params: network.upload_params(&saved.params)?,
            running: GpuVec::of(network.driver(), &saved.running)?,
            images: GpuVec::default(),
            features: GpuVec::default(),
            network,
        })
    }
}

impl<D: Driver> FeatureDevice for OnDevice<D> {
    fn features(&mut self, images: &[f32], n: usize) -> Result<Vec<f32>, FeaturesError> {
        let Self { network, params, running, images: there, features } = self;
        let len = n * network.feature_dim();
        there.reserve(network.driver(), images.len())?;
        there.view_mut().part(0..images.len()).write(network.driver(), images)?;
        features.reserve(network.driver(), len)?;
        let to = features.view_mut().part(0..len);
        network.infer(params.view(), running.view_mut(), there.view().part(0..images.len()), n, to)?;
        Ok(features.view().part(0..len).to_vec(network.driver())?)
    }
}
