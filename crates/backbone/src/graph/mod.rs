//! A network as a list of nodes over values; nodes stand in the order of the forward pass.
//!
//! Nodes are coarse: a convolution, its batch norm, the residual that joins and the ReLU are one node, because they are one
//! step of every pass and keep two activations between forward and backward.

mod builder;

use std::ops::Range;

use longtail_images::ImageShape;
use longtail_ops::{BatchNormShape, ConvShape, PoolShape, ShortcutShape};

pub(crate) use builder::{Conv, GraphBuilder};

use crate::params::{ConvInit, ParamIndex};

/// An activation of the network. Number 0 is the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value(pub(crate) usize);

/// The image that goes in.
pub(crate) const IMAGE: Value = Value(0);

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

/// One step of the network.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Convolution, batch norm, residual, ReLU.
    ConvNorm(ConvNorm),
    /// Every `stride`-th pixel, channels padded with zeros. `shape` is for one image.
    Shortcut { input: Value, output: Value, shape: ShortcutShape },
    /// The maximum of each window. `shape` is for one image, as is `winners`: the place of its argmax among those of all such
    /// nodes.
    MaxPool { input: Value, output: Value, shape: PoolShape, winners: Range<usize> },
    /// The mean over all pixels.
    GlobalPool { input: Value, output: Value },
    /// Channels side by side, in the order of `inputs`.
    Concat { inputs: Vec<Value>, output: Value },
}

impl Node {
    pub(crate) fn output(&self) -> Value {
        match self {
            Self::ConvNorm(node) => node.output,
            Self::Shortcut { output, .. }
            | Self::MaxPool { output, .. }
            | Self::GlobalPool { output, .. }
            | Self::Concat { output, .. } => *output,
        }
    }

    pub(crate) fn inputs(&self) -> Vec<Value> {
        match self {
            Self::ConvNorm(node) => std::iter::once(node.input).chain(node.residual).collect(),
            Self::Shortcut { input, .. } | Self::MaxPool { input, .. } | Self::GlobalPool { input, .. } => {
                vec![*input]
            }
            Self::Concat { inputs, .. } => inputs.clone(),
        }
    }
}

/// A whole network, declared.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    /// Sizes of every value, for one image.
    pub(crate) values: Vec<ImageShape>,
    pub(crate) nodes: Vec<Node>,
    /// The features: one pixel, `d` channels.
    pub(crate) output: Value,
    pub(crate) params: ParamIndex,
    pub(crate) buffers: ParamIndex,
    /// Channels of all batch norms together.
    pub(crate) norm_channels: usize,
    /// Windows of all max pools together, for one image.
    pub(crate) winners: usize,
    /// How fresh convolutions are drawn.
    pub(crate) conv_init: ConvInit,
}

impl Graph {
    pub(crate) fn shape(&self, value: Value) -> ImageShape {
        self.values[value.0]
    }

    /// Elements of a value in a batch.
    pub(crate) fn len(&self, value: Value, batch: usize) -> usize {
        batch * self.shape(value).len()
    }

    /// The node of that number, which must be a convolution with its batch norm.
    pub(crate) fn conv_norm(&self, node: usize) -> &ConvNorm {
        match &self.nodes[node] {
            Node::ConvNorm(n) => n,
            other => unreachable!("node {node} is no convolution: {other:?}"),
        }
    }

    pub(crate) fn feature_dim(&self) -> usize {
        self.shape(self.output).len()
    }
}
