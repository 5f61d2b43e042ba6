//! The order of a weight's axes: PyTorch's `(O, I, k, k)` in files and on the CPU, `(O, k, k, I)` on the device.

use longtail_ops::gpu::{Driver, GpuVec};

use super::GpuNetwork;
use crate::error::BackboneError;
use crate::params::{ParamIndex, ParamKind};

/// Whole vectors from one order to the other.
fn turned(index: &ParamIndex, values: &[f32], to_device: bool) -> Vec<f32> {
    let mut out = values.to_vec();
    for entry in index.entries().iter().filter(|entry| entry.kind == ParamKind::ConvWeight) {
        let (outputs, inputs, taps) = (entry.shape[0], entry.shape[1], entry.shape[2] * entry.shape[3]);
        let (from, to) = (&values[entry.range()], &mut out[entry.range()]);
        for o in 0..outputs {
            for i in 0..inputs {
                for tap in 0..taps {
                    let (pytorch, device) = ((o * inputs + i) * taps + tap, (o * taps + tap) * inputs + i);
                    match to_device {
                        true => to[device] = from[pytorch],
                        false => to[pytorch] = from[device],
                    }
                }
            }
        }
    }
    out
}

impl<D: Driver> GpuNetwork<D> {
    /// A vector laid out as [`GpuNetwork::params`], in the device's order of axes.
    ///
    /// # Errors
    /// Another length.
    pub fn to_device_order(&self, values: &[f32]) -> Result<Vec<f32>, BackboneError> {
        self.check_len("params", values.len(), self.graph.params.len())?;
        Ok(turned(&self.graph.params, values, true))
    }

    /// Converts `(W,)` values from the device's order to the order of files.
    ///
    /// # Errors
    /// Another length.
    pub fn from_device_order(&self, values: &[f32]) -> Result<Vec<f32>, BackboneError> {
        self.check_len("params", values.len(), self.graph.params.len())?;
        Ok(turned(&self.graph.params, values, false))
    }

    /// A vector laid out as [`GpuNetwork::params`] (parameters, a gradient, momentum), on the device.
    ///
    /// # Errors
    /// Another length; the device's.
    pub fn upload_params(&self, values: &[f32]) -> Result<GpuVec<f32, D>, BackboneError> {
        Ok(GpuVec::of(&self.driver, &self.to_device_order(values)?)?)
    }
}
