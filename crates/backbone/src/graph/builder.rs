//! The words in which an architecture is declared.

use longtail_ops::{ConvShape, ShortcutShape};

use super::{ConvNorm, Graph, IMAGE, Node, Value};
use crate::image::ImageShape;
use crate::params::{ParamIndex, ParamKind};

/// A square convolution without bias: `padding` keeps the size at stride 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conv {
    pub(crate) width: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
}

/// Collects nodes, and names their parameters in the order in which they are declared.
pub(crate) struct GraphBuilder {
    values: Vec<ImageShape>,
    nodes: Vec<Node>,
    params: ParamIndex,
    buffers: ParamIndex,
    norm_channels: usize,
}

impl GraphBuilder {
    pub(crate) fn new(image: ImageShape) -> Self {
        Self {
            values: vec![image],
            nodes: Vec::new(),
            params: ParamIndex::default(),
            buffers: ParamIndex::default(),
            norm_channels: 0,
        }
    }

    pub(crate) fn image(&self) -> Value {
        IMAGE
    }

    /// `relu(norm(conv(input)))`, with weights named `conv` and `norm`.
    pub(crate) fn conv_norm_relu(&mut self, input: Value, (conv, norm): (&str, &str), sizes: Conv) -> Value {
        self.conv_norm(input, conv, norm, sizes, None)
    }

    /// `relu(norm(conv(input)) + residual)`: the end of a residual block.
    pub(crate) fn conv_norm_add_relu(
        &mut self,
        input: Value,
        (conv, norm): (&str, &str),
        sizes: Conv,
        residual: Value,
    ) -> Value {
        self.conv_norm(input, conv, norm, sizes, Some(residual))
    }

    fn conv_norm(&mut self, input: Value, conv: &str, norm: &str, sizes: Conv, residual: Option<Value>) -> Value {
        let from = self.values[input.0];
        let Conv { width, kernel, stride } = sizes;
        let shape = ConvShape {
            batch: 1,
            height: from.height,
            width: from.width,
            in_channels: from.channels,
            out_channels: width,
            kernel,
            stride,
            padding: kernel / 2,
            dilation: 1,
            groups: 1,
        };
        let weight = self.params.push(
            format!("{conv}.weight"),
            vec![width, from.channels, kernel, kernel],
            ParamKind::ConvWeight,
        );
        self.params.push(format!("{norm}.weight"), vec![width], ParamKind::NormScale);
        let beta = self.params.push(format!("{norm}.bias"), vec![width], ParamKind::NormShift);
        let mean = self.buffers.push(format!("{norm}.running_mean"), vec![width], ParamKind::RunningMean);
        let var = self.buffers.push(format!("{norm}.running_var"), vec![width], ParamKind::RunningVar);
        let channels = self.norm_channels..self.norm_channels + width;
        self.norm_channels = channels.end;
        let output = self.value(ImageShape { height: shape.out_height(), width: shape.out_width(), channels: width });
        if let Some(residual) = residual {
            assert!(
                self.values[residual.0] == self.values[output.0],
                "{conv}: the residual's sizes are not the convolution's"
            );
        }
        self.nodes.push(Node::ConvNorm(ConvNorm {
            input,
            residual,
            output,
            relu: true,
            conv: shape,
            params: weight.start..beta.end,
            running: mean.start..var.end,
            channels,
        }));
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
        self.nodes.push(Node::Shortcut { input, output, shape });
        output
    }

    /// The mean over all pixels: one pixel remains.
    pub(crate) fn global_average_pool(&mut self, input: Value) -> Value {
        let channels = self.values[input.0].channels;
        let output = self.value(ImageShape { height: 1, width: 1, channels });
        self.nodes.push(Node::GlobalPool { input, output });
        output
    }

    /// Channels side by side.
    pub(crate) fn concat(&mut self, inputs: &[Value]) -> Value {
        let first = self.values[inputs[0].0];
        let same =
            inputs.iter().all(|v| (self.values[v.0].height, self.values[v.0].width) == (first.height, first.width));
        assert!(same, "concat: the inputs differ in height or width");
        let channels = inputs.iter().map(|v| self.values[v.0].channels).sum();
        let output = self.value(ImageShape { channels, ..first });
        self.nodes.push(Node::Concat { inputs: inputs.to_vec(), output });
        output
    }

    /// The end: `features` has one pixel.
    pub(crate) fn finish(self, features: Value) -> Graph {
        let Self { values, nodes, params, buffers, norm_channels } = self;
        let shape = values[features.0];
        assert!(shape.height == 1 && shape.width == 1, "features must be pooled to one pixel");
        Graph { values, nodes, output: features, params, buffers, norm_channels }
    }

    fn value(&mut self, shape: ImageShape) -> Value {
        self.values.push(shape);
        Value(self.values.len() - 1)
    }
}
