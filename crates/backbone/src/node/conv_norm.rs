//! A convolution, its batch norm, the residual that joins and the ReLU: one node, because they are one step of every pass and keep two
//! activations between forward and backward.

use std::ops::Range;

use longtail_ops::{BatchNormShape, ConvShape};

use super::Value;

/// `output = relu?(γ·(conv(input) − mean)/√(var + ε) + β + residual?)`
#[derive(Clone, Debug)]
pub(crate) struct ConvNorm {
    pub(crate) input: Value,
    pub(crate) residual: Option<Value>,
    pub(crate) output: Value,
    pub(crate) relu: bool,
    /// Sizes of the convolution for one image.
    pub(crate) conv: ConvShape,
    /// Weight, γ and β: neighbours in the parameter vector, in this order.
    pub(crate) params: Range<usize>,
    /// Running mean, then running variance, in the vector of buffers.
    pub(crate) running: Range<usize>,
    /// Its channels in a vector that holds one number for each channel of each batch norm.
    pub(crate) channels: Range<usize>,
}

impl ConvNorm {
    pub(crate) fn conv_shape(&self, batch: usize) -> ConvShape {
        ConvShape { batch, ..self.conv }
    }

    pub(crate) fn norm_shape(&self, batch: usize) -> BatchNormShape {
        let rows = batch * self.conv.out_height() * self.conv.out_width();
        BatchNormShape { rows, channels: self.conv.out_channels }
    }

    /// Weight, γ and β of a vector of parameters (or of a direction).
    pub(crate) fn split<'a, T>(&self, params: &'a [T]) -> (&'a [T], &'a [T], &'a [T]) {
        let (weight, norm) = params[self.params.clone()].split_at(self.conv.weight_len());
        let (gamma, beta) = norm.split_at(self.conv.out_channels);
        (weight, gamma, beta)
    }

    /// The same of a gradient.
    pub(crate) fn split_mut<'a, T>(&self, params: &'a mut [T]) -> (&'a mut [T], &'a mut [T], &'a mut [T]) {
        let (weight, norm) = params[self.params.clone()].split_at_mut(self.conv.weight_len());
        let (gamma, beta) = norm.split_at_mut(self.conv.out_channels);
        (weight, gamma, beta)
    }
}
