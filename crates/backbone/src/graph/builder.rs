//! The words in which an architecture is declared.

use std::ops::Range;

use longtail_images::ImageShape;
use longtail_ops::{ConvShape, PoolShape, ShortcutShape};

use super::Graph;
use crate::node::{Concat, ConvNorm, GlobalPool, IMAGE, MaxPool, Node, Shift, Shortcut, Value, Weightless};
use crate::params::{ConvInit, ParamIndex, ParamKind};

/// A square convolution, padded so that it keeps the size at stride 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conv {
    width: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
    dilation: usize,
}

impl Conv {
    /// To `width` channels, by `kernel` × `kernel` taps.
    pub(crate) fn new(width: usize, kernel: usize) -> Self {
        Self { width, kernel, stride: 1, groups: 1, dilation: 1 }
    }

    /// Pixels from one output to the next.
    pub(crate) fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Groups of channels that do not see each other.
    pub(crate) fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Pixels from one tap to the next.
    #[cfg_attr(not(test), expect(dead_code, reason = "for networks that segment"))]
    pub(crate) fn dilation(self, dilation: usize) -> Self {
        Self { dilation, ..self }
    }
}

/// A convolution and its batch norm, or its bias, with places in the flat vectors. It stands in no pass until a node is made of it: files
/// have an order of their own.
pub(crate) struct Layer {
    name: String,
    in_channels: usize,
    sizes: Conv,
    params: Range<usize>,
    shift: Shift,
    channels: Range<usize>,
}

/// Collects layers in the order of the flat vectors, and nodes in the order of the forward pass.
pub(crate) struct GraphBuilder {
    values: Vec<ImageShape>,
    nodes: Vec<Node>,
    params: ParamIndex,
    buffers: ParamIndex,
    norm_channels: usize,
    winners: usize,
    conv_init: ConvInit,
}

impl GraphBuilder {
    pub(crate) fn new(image: ImageShape, conv_init: ConvInit) -> Self {
        Self {
            values: vec![image],
            nodes: Vec::new(),
            params: ParamIndex::default(),
            buffers: ParamIndex::default(),
            norm_channels: 0,
            winners: 0,
            conv_init,
        }
    }

    pub(crate) fn image(&self) -> Value {
        IMAGE
    }

    pub(crate) fn channels(&self, value: Value) -> usize {
        self.values[value.0].channels
    }

    /// Declares weights named `conv` and `norm`, after all that were declared before.
    pub(crate) fn layer(&mut self, (conv, norm): (&str, &str), in_channels: usize, sizes: Conv) -> Layer {
        let Conv { width, kernel, groups, .. } = sizes;
        let weight = vec![width, in_channels / groups, kernel, kernel];
        let weight = self.params.push(format!("{conv}.weight"), weight, ParamKind::ConvWeight);
        self.params.push(format!("{norm}.weight"), vec![width], ParamKind::NormScale);
        let beta = self.params.push(format!("{norm}.bias"), vec![width], ParamKind::NormShift);
        let mean = self.buffers.push(format!("{norm}.running_mean"), vec![width], ParamKind::RunningMean);
        let var = self.buffers.push(format!("{norm}.running_var"), vec![width], ParamKind::RunningVar);
        let shift = Shift::BatchNorm { running: mean.start..var.end };
        let (params, channels) = (weight.start..beta.end, self.channels_of(width));
        Layer { name: conv.to_owned(), in_channels, sizes, params, shift, channels }
    }

    /// The same of a convolution with a bias and no batch norm: weights named `conv`.
    #[cfg_attr(not(test), expect(dead_code, reason = "for networks that segment"))]
    pub(crate) fn biased_layer(&mut self, conv: &str, in_channels: usize, sizes: Conv) -> Layer {
        let Conv { width, kernel, groups, .. } = sizes;
        let weight = vec![width, in_channels / groups, kernel, kernel];
        let weight = self.params.push(format!("{conv}.weight"), weight, ParamKind::ConvWeight);
        let bias = self.params.push(format!("{conv}.bias"), vec![width], ParamKind::ConvBias);
        let (params, channels) = (weight.start..bias.end, self.channels_of(width));
        Layer { name: conv.to_owned(), in_channels, sizes, params, shift: Shift::Bias, channels }
    }

    fn channels_of(&mut self, width: usize) -> Range<usize> {
        let channels = self.norm_channels..self.norm_channels + width;
        self.norm_channels = channels.end;
        channels
    }

    /// `norm(conv(input))`: a shortcut with weights. Here and below a bias stands in the norm's place where the layer has one.
    pub(crate) fn conv_norm(&mut self, input: Value, layer: Layer) -> Value {
        self.node(input, layer, None, false)
    }

    /// `relu(norm(conv(input)))`
    pub(crate) fn conv_norm_relu(&mut self, input: Value, layer: Layer) -> Value {
        self.node(input, layer, None, true)
    }

    /// `relu(norm(conv(input)) + residual)`: the end of a residual block.
    pub(crate) fn conv_norm_add_relu(&mut self, input: Value, layer: Layer, residual: Value) -> Value {
        self.node(input, layer, Some(residual), true)
    }

    fn node(&mut self, input: Value, layer: Layer, residual: Option<Value>, relu: bool) -> Value {
        let from = self.values[input.0];
        let Layer { name, in_channels, sizes, params, shift, channels } = layer;
        assert!(from.channels == in_channels, "{name}: the input has {} channels, not {in_channels}", from.channels);
        let conv = ConvShape {
            batch: 1,
            height: from.height,
            width: from.width,
            in_channels,
            out_channels: sizes.width,
            kernel: sizes.kernel,
            stride: sizes.stride,
            padding: sizes.dilation * (sizes.kernel / 2),
            dilation: sizes.dilation,
            groups: sizes.groups,
        };
        let output =
            self.value(ImageShape { height: conv.out_height(), width: conv.out_width(), channels: sizes.width });
        if let Some(residual) = residual {
            assert!(
                self.values[residual.0] == self.values[output.0],
                "{name}: the residual's sizes are not the convolution's"
            );
        }
        self.nodes.push(Node::ConvNorm(ConvNorm { input, residual, output, relu, conv, params, shift, channels }));
        output
    }

    /// The maximum of each window; `padding` is half a window.
    pub(crate) fn max_pool(&mut self, input: Value, kernel: usize, stride: usize) -> Value {
        let from = self.values[input.0];
        let shape = PoolShape {
            batch: 1,
            height: from.height,
            width: from.width,
            channels: from.channels,
            kernel,
            stride,
            padding: kernel / 2,
        };
        let output =
            self.value(ImageShape { height: shape.out_height(), width: shape.out_width(), channels: from.channels });
        let winners = self.winners..self.winners + shape.output_len();
        self.winners = winners.end;
        self.nodes.push(Node::Weightless(Weightless::MaxPool(MaxPool { input, output, shape, winners })));
        output
    }

    /// The parameter-free shortcut; `input` itself where sizes do not change.
    pub(crate) fn option_a_shortcut(&mut self, input: Value, width: usize, stride: usize) -> Value {
        let from = self.values[input.0];
        if stride == 1 && width == from.channels {
            return input;
        }
        let shape = ShortcutShape {
            batch: 1,
            height: from.height,
            width: from.width,
            in_channels: from.channels,
            out_channels: width,
            stride,
        };
        let output = self.value(ImageShape { height: shape.out_height(), width: shape.out_width(), channels: width });
        self.nodes.push(Node::Weightless(Weightless::Shortcut(Shortcut { input, output, shape })));
        output
    }

    /// The mean over all pixels: one pixel remains.
    pub(crate) fn global_average_pool(&mut self, input: Value) -> Value {
        let from = self.values[input.0];
        let output = self.value(ImageShape { height: 1, width: 1, ..from });
        self.nodes.push(Node::Weightless(Weightless::GlobalPool(GlobalPool { input, output, from })));
        output
    }

    /// Channels side by side.
    pub(crate) fn concat(&mut self, inputs: &[Value]) -> Value {
        let first = self.values[inputs[0].0];
        let same =
            inputs.iter().all(|v| (self.values[v.0].height, self.values[v.0].width) == (first.height, first.width));
        assert!(same, "concat: the inputs differ in height or width");
        let channels: Vec<usize> = inputs.iter().map(|v| self.values[v.0].channels).collect();
        let output = self.value(ImageShape { channels: channels.iter().sum(), ..first });
        let (inputs, pixels) = (inputs.to_vec(), first.height * first.width);
        self.nodes.push(Node::Weightless(Weightless::Concat(Concat { inputs, output, channels, pixels })));
        output
    }

    /// The end: `features` has one pixel.
    pub(crate) fn finish(self, features: Value) -> Graph {
        let Self { values, nodes, params, buffers, norm_channels, winners, conv_init } = self;
        let shape = values[features.0];
        assert!(shape.height == 1 && shape.width == 1, "features must be pooled to one pixel");
        let used: usize =
            nodes.iter().map(|node| if let Node::ConvNorm(n) = node { n.channels.len() } else { 0 }).sum();
        assert!(used == norm_channels, "every layer stands in one node, or its gradient would never be written");
        Graph { values, nodes, output: features, params, buffers, norm_channels, winners, conv_init }
    }

    fn value(&mut self, shape: ImageShape) -> Value {
        self.values.push(shape);
        Value(self.values.len() - 1)
    }
}
