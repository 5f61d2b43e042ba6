//! A network as a list of nodes over values; nodes stand in the order of the forward pass.

mod builder;

pub(crate) use builder::{Conv, GraphBuilder};

use crate::node::{ConvNorm, Node, Value};
use crate::params::{ConvInit, ParamIndex};
use longtail_images::ImageShape;

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
