//! The network of a GPU over tensors that lie there.

use candle_core::{CudaDevice, Device, Tensor};
use longtail_ops::gpu::Element;

use crate::device::{Driver, driver, read, write};
use crate::engine::{Network, NormMode};
use crate::error::BackboneError;
use crate::gpu::{GpuNetwork, GpuTape};
use crate::host::to_vec;

/// The passes of a GPU, with the network of the CPU for what sizes and names ask for.
#[derive(Debug)]
pub(super) struct OnCuda {
    pub(super) host: Network<f32>,
    network: Box<GpuNetwork<Driver>>,
    device: Device,
}

impl OnCuda {
    pub(super) fn new(host: Network<f32>, device: &CudaDevice, element: Element) -> Result<Self, BackboneError> {
        let mut network = GpuNetwork::with_element(driver(device)?, host.architecture(), host.image(), element)?;
        network.set_checkpointing(host.checkpointing());
        Ok(Self { host, network: Box::new(network), device: Device::Cuda(device.clone()) })
    }

    pub(super) fn set_checkpointing(&mut self, on: bool) {
        self.host.set_checkpointing(on);
        self.network.set_checkpointing(on);
    }

    pub(super) fn placed(&self, vector: &Tensor) -> Result<Tensor, BackboneError> {
        let turned = self.turned(vector, GpuNetwork::to_device_order)?;
        Ok(Tensor::from_vec(turned, vector.shape(), &self.device)?)
    }

    pub(super) fn in_file_order(&self, vector: &Tensor) -> Result<Tensor, BackboneError> {
        let turned = self.turned(vector, GpuNetwork::from_device_order)?;
        Ok(Tensor::from_vec(turned, vector.shape(), &Device::Cpu)?)
    }

    fn turned(
        &self,
        vector: &Tensor,
        turn: impl Fn(&GpuNetwork<Driver>, &[f32]) -> Result<Vec<f32>, BackboneError>,
    ) -> Result<Vec<f32>, BackboneError> {
        let values = to_vec::<f32>(vector)?;
        let of_params = self.network.params().len().min(values.len());
        let mut turned = turn(&self.network, &values[..of_params])?;
        turned.extend_from_slice(&values[of_params..]);
        Ok(turned)
    }

    /// A matrix `(n, d)` that is about to be overwritten.
    fn rows(&self, n: usize) -> Result<Tensor, BackboneError> {
        Ok(Tensor::zeros((n, self.network.feature_dim()), candle_core::DType::F32, &self.device)?)
    }

    pub(super) fn forward(
        &mut self,
        params: &Tensor,
        running: &Tensor,
        images: &Tensor,
        n: usize,
        mode: NormMode,
        tape: &mut Option<Box<GpuTape<Driver>>>,
    ) -> Result<Tensor, BackboneError> {
        let tape = match tape {
            Some(tape) => tape,
            None => tape.insert(Box::new(GpuTape::new(&self.network)?)),
        };
        let network = &mut self.network;
        read(params, |_, params| {
            read(images, |_, images| {
                write(running, |_, running| network.forward(params, running, images, n, mode, tape))
            })
        })????;
        let features = self.rows(n)?;
        write(&features, |driver, to| to.copy_from(driver, tape.features()))??;
        Ok(features)
    }

    pub(super) fn infer(
        &mut self,
        params: &Tensor,
        running: &Tensor,
        images: &Tensor,
        n: usize,
    ) -> Result<Tensor, BackboneError> {
        let features = self.rows(n)?;
        let network = &mut self.network;
        read(params, |_, params| {
            read(images, |_, images| {
                write(running, |_, running| {
                    write(&features, |_, features| network.infer(params, running, images, n, features))
                })
            })
        })?????;
        Ok(features)
    }

    pub(super) fn backward(
        &mut self,
        params: &Tensor,
        tape: &GpuTape<Driver>,
        cotangent: &Tensor,
        gradient: &Tensor,
    ) -> Result<(), BackboneError> {
        let network = &mut self.network;
        read(params, |_, params| {
            read(cotangent, |_, cotangent| {
                write(gradient, |_, gradient| network.backward(params, tape, cotangent, gradient))
            })
        })???
    }

    pub(super) fn jvp(
        &mut self,
        params: &Tensor,
        tape: &GpuTape<Driver>,
        direction: &Tensor,
    ) -> Result<Tensor, BackboneError> {
        let along = self.rows(tape.batch())?;
        let network = &mut self.network;
        read(params, |_, params| {
            read(direction, |_, direction| write(&along, |_, along| network.jvp(params, tape, direction, along)))
        })????;
        Ok(along)
    }
}
