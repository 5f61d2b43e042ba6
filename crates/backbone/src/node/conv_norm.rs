//! A convolution, its batch norm, the residual that joins and the ReLU: one node, because they are one step of every pass and keep two
//! activations between forward and backward.

use std::ops::Range;

use longtail_ops::{BatchNormShape, ConvShape};

use super::Value;

/// What shifts a convolution's channels.
#[derive(Clone, Debug)]
pub(crate) enum Shift {
    /// A batch norm: γ and β.
    BatchNorm {
        /// Running mean, then running variance, in the vector of buffers.
        running: Range<usize>,
    },
    /// A bias alone: a batch norm of mean 0, variance 1 and γ = 1 that follow nothing.
    Bias,
}

/// `output = relu?(γ·(conv(input) − mean)/√(var + ε) + β + residual?)`, or `relu?(conv(input) + bias + residual?)`
#[derive(Clone, Debug)]
pub(crate) struct ConvNorm {
    pub(crate) input: Value,
    pub(crate) residual: Option<Value>,
    pub(crate) output: Value,
    pub(crate) relu: bool,
    /// Sizes of the convolution for one image.
    pub(crate) conv: ConvShape,
    /// Weight, γ and β, or weight and bias: neighbours in the parameter vector, in this order.
    pub(crate) params: Range<usize>,
    pub(crate) shift: Shift,
    /// Its channels in a vector that holds one number for each channel of each such node.
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

    /// Whether a batch norm follows.
    pub(crate) fn is_normalized(&self) -> bool {
        matches!(self.shift, Shift::BatchNorm { .. })
    }

    /// γ's numbers: none of a bias.
    fn scales(&self) -> usize {
        if self.is_normalized() { self.conv.out_channels } else { 0 }
    }

    /// Weight, γ and β of a vector of parameters (or of a direction); of a bias no γ, and the bias for β.
    pub(crate) fn split<'a, T>(&self, params: &'a [T]) -> (&'a [T], &'a [T], &'a [T]) {
        let (weight, norm) = params[self.params.clone()].split_at(self.conv.weight_len());
        let (gamma, beta) = norm.split_at(self.scales());
        (weight, gamma, beta)
    }

    /// The same of a gradient.
    pub(crate) fn split_mut<'a, T>(&self, params: &'a mut [T]) -> (&'a mut [T], &'a mut [T], &'a mut [T]) {
        let (weight, norm) = params[self.params.clone()].split_at_mut(self.conv.weight_len());
        let (gamma, beta) = norm.split_at_mut(self.scales());
        (weight, gamma, beta)
    }
}

#[cfg(test)]
mod tests {
    use longtail_images::ImageShape;
    use longtail_ops::gpu::{Element, Emulated, GpuVec};
    use longtail_ops::{Real, normal, stream};

    use crate::gpu::{GpuNetwork, GpuTape};
    use crate::graph::{Conv, Graph, GraphBuilder};
    use crate::params::ConvInit;
    use crate::{Architecture, Network, NormMode, Tape};

    const ANY: Architecture = Architecture::CifarResNet { depth: 8 };
    const IMAGE: ImageShape = ImageShape { height: 7, width: 6, channels: 3 };
    const BATCH: usize = 2;

    /// A dilated convolution with a batch norm, one with a bias, and a strided dilated one with a bias that ends a block.
    fn graph() -> Graph {
        let mut net = GraphBuilder::new(IMAGE, ConvInit::FanIn);
        let first = net.layer(("conv1", "bn1"), 3, Conv::new(4, 3).dilation(2));
        let second = net.biased_layer("conv2", 4, Conv::new(4, 3).groups(2));
        let third = net.biased_layer("conv3", 4, Conv::new(4, 3).dilation(3));
        let last = net.biased_layer("conv4", 4, Conv::new(5, 3).stride(2).dilation(2));
        let image = net.image();
        let start = net.conv_norm_relu(image, first);
        let inner = net.conv_norm_relu(start, second);
        let block = net.conv_norm_add_relu(inner, third, start);
        let end = net.conv_norm_relu(block, last);
        let features = net.global_average_pool(end);
        net.finish(features)
    }

    fn normals<T: Real>(name: &str, len: usize) -> Vec<T> {
        let mut rng = stream(1, name, 0, 0);
        (0..len).map(|_| T::from_f64(normal(&mut rng))).collect()
    }

    /// Features, the gradient of `⟨features, cotangent⟩`, and the derivative along a direction.
    fn passes<T: Real>(params: &[T], cut: bool) -> [Vec<T>; 3] {
        let mut network = Network::<T>::of_graph(&ANY, IMAGE, graph());
        network.set_checkpointing(cut);
        let mut running = vec![T::ONE; network.buffers().len()];
        let (images, mut tape) = (normals("images", BATCH * IMAGE.len()), Tape::default());
        let mode = NormMode::Batch { track: true };
        network.forward(params, &mut running, &images, BATCH, mode, &mut tape).expect("fits");
        let features = tape.features().to_vec();
        let (mut gradient, mut along) = (vec![T::ZERO; params.len()], vec![T::ZERO; features.len()]);
        network.backward(params, &tape, &normals("cotangent", features.len()), &mut gradient).expect("fits");
        network.jvp(params, &tape, &normals("direction", params.len()), &mut along).expect("fits");
        [features, gradient, along]
    }

    fn params() -> Vec<f64> {
        let len = Network::<f64>::of_graph(&ANY, IMAGE, graph()).params().len();
        normals::<f64>("params", len).iter().map(|value| 0.5 * value + 0.1).collect()
    }

    #[test]
    fn dilation_and_bias_agree_with_central_differences() {
        let params = params();
        let [features, gradient, along] = passes(&params, false);
        assert_eq!([features.clone(), gradient.clone(), along.clone()], passes(&params, true), "cut, the same bits");
        let cotangent: Vec<f64> = normals("cotangent", features.len());
        let at = |moved: &[f64]| passes(moved, false)[0].clone();
        for index in 0..params.len() {
            let value = |shift: f64| -> f64 {
                let mut moved = params.clone();
                moved[index] += shift;
                at(&moved).iter().zip(&cotangent).map(|(a, b)| a * b).sum()
            };
            let difference = (value(1e-5) - value(-1e-5)) / 2e-5;
            assert!((gradient[index] - difference).abs() < 1e-6, "[{index}]: {} is not {difference}", gradient[index]);
        }
        let direction: Vec<f64> = normals("direction", params.len());
        let moved = |size: f64| at(&params.iter().zip(&direction).map(|(p, d)| p + size * d).collect::<Vec<f64>>());
        for (index, (ahead, behind)) in moved(1e-6).iter().zip(moved(-1e-6)).enumerate() {
            let difference = (ahead - behind) / 2e-6;
            assert!((along[index] - difference).abs() < 1e-6, "[{index}]: {} is not {difference}", along[index]);
        }
    }

    #[test]
    fn a_device_has_the_same_passes() {
        let folder = tempfile::tempdir().expect("a folder");
        let driver = match Emulated::compile(folder.path()) {
            Ok(driver) => driver,
            Err(why) => return println!("skipped: {why}"),
        };
        let params: Vec<f32> = params().iter().map(|value| *value as f32).collect();
        let exact = passes(&params, false);
        let mut network = GpuNetwork::of_graph(driver, &ANY, IMAGE, graph(), Element::F32).expect("room");
        let [there, direction] =
            [params.clone(), normals("direction", params.len())].map(|v| network.upload_params(&v).expect("room"));
        let upload = |values: Vec<f32>| GpuVec::of(network.driver(), &values).expect("room");
        let (images, mut running) =
            (upload(normals("images", BATCH * IMAGE.len())), upload(vec![1.0; network.buffers().len()]));
        let dfeatures = upload(normals("cotangent", exact[0].len()));
        let (mut gradient, mut along) = (upload(vec![7.0; params.len()]), upload(vec![7.0; exact[0].len()]));
        let mut tape = GpuTape::new(&network).expect("room");
        let mode = NormMode::Batch { track: true };
        network.forward(there.view(), running.view_mut(), images.view(), BATCH, mode, &mut tape).expect("fits");
        network.backward(there.view(), &tape, dfeatures.view(), gradient.view_mut()).expect("fits");
        network.jvp(there.view(), &tape, direction.view(), along.view_mut()).expect("fits");
        let get = |values: &GpuVec<f32, Emulated>| values.to_vec(network.driver()).expect("there");
        let gradient = network.from_device_order(&get(&gradient)).expect("as long");
        let features = tape.features().to_vec(network.driver()).expect("there");
        for (found, exact) in [features, gradient, get(&along)].iter().zip(&exact) {
            let largest = exact.iter().fold(0f32, |most, value| most.max(value.abs()));
            assert_eq!(found.len(), exact.len());
            assert!(found.iter().zip(exact).all(|(a, b)| (a - b).abs() <= 2e-5 * largest), "{found:?}, not {exact:?}");
        }
    }
}
