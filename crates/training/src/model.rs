//! A backbone and a head as one flat vector of weights.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};
use longtail_backbone::{Architecture, ImageShape, ParamKind, TensorNetwork, by_float};
use longtail_ops::gpu::Element;
use longtail_ops::stream;
use longtail_recipe::WdGroups;

use crate::state::to_f32;
use crate::{Compute, HeadForm, HeadShape, HeadWeights, TrainingError};

/// The network, the head's shape, and the state that training moves.
///
/// `weights` holds the backbone's parameters in torchvision order, then the head's: W, Ŵ, gradients and momentum all
/// share this index, so that a virtual step is a vector operation.
#[derive(Debug)]
pub struct Model {
    /// Runs the backbone.
    pub network: TensorNetwork,
    /// Form and sizes of the head.
    pub head: HeadShape,
    /// W = (w^E, w^C), flat (W).
    pub weights: Tensor,
    /// The running statistics of the batch norms, flat.
    pub running: Tensor,
}

impl Model {
    /// A fresh model of f32 or f64: the same weights for the same seed, whatever the method that will train them.
    ///
    /// # Errors
    /// If the architecture cannot take such images.
    pub fn new(
        architecture: &Architecture,
        image: ImageShape,
        form: HeadForm,
        num_classes: usize,
        seed: u64,
        dtype: DType,
    ) -> Result<Self, TrainingError> {
        let network = TensorNetwork::new(architecture, image, dtype)?;
        let head = HeadShape { form, num_classes, feature_dim: network.feature_dim() };
        let (backbone, running) = network.init(&mut stream(seed, "representation/backbone-init", 0, 0))?;
        let mut rng = stream(seed, "representation/head-init", 0, 0);
        let of_head = by_float!(backbone, T => Tensor::from_vec(head.init::<T>(&mut rng), head.len(), &Device::Cpu)?);
        Ok(Self { network, head, weights: Tensor::cat(&[backbone, of_head], 0)?, running })
    }

    /// The same model on a device; on a GPU its activations are of `element`, and weights lie in the order that the network takes
    /// ([`TensorNetwork::placed`]).
    ///
    /// # Errors
    /// As [`TensorNetwork::on`].
    pub fn on(self, compute: &Compute, element: Element) -> Result<Self, TrainingError> {
        let Self { network, head, weights, running } = self;
        let weights = network.in_file_order(&weights)?;
        let network = network.on(compute.device(), element)?;
        Ok(Self { weights: network.placed(&weights)?, running: running.to_device(compute.device())?, network, head })
    }

    /// How many of `weights` belong to the backbone; they come first.
    pub fn backbone_len(&self) -> usize {
        self.network.params().len()
    }

    /// Borrows the backbone weights w^E.
    ///
    /// # Errors
    /// Never, as sizes are fixed at construction.
    pub fn backbone_weights(&self) -> Result<Tensor, TrainingError> {
        Ok(self.weights.narrow(0, 0, self.backbone_len())?)
    }

    /// Borrows the head weights w^C.
    ///
    /// # Errors
    /// Never, as sizes are fixed at construction.
    pub fn head_weights(&self) -> Result<Tensor, TrainingError> {
        Ok(self.weights.narrow(0, self.backbone_len(), self.head.len())?)
    }

    /// Features of images under running statistics, (n, d).
    ///
    /// # Shapes
    /// - `images`: (n, H, W, C)
    /// # Errors
    /// If sizes do not fit.
    pub fn infer(&mut self, images: &Tensor) -> Result<Tensor, TrainingError> {
        let weights = self.backbone_weights()?;
        Ok(self.network.infer(&weights, &self.running, images)?)
    }

    /// Pixels of images, one after another, as the network takes them: (n, H, W, C), where it lies.
    ///
    /// # Errors
    /// If they are not those of whole images; the device's.
    pub fn images(&self, pixels: Vec<f32>) -> Result<Tensor, TrainingError> {
        let image = self.network.image();
        let n = pixels.len() / image.len();
        TrainingError::check_size("pixels", pixels.len(), n * image.len())?;
        let shape = (n, image.height, image.width, image.channels);
        Ok(Tensor::from_vec(pixels, shape, self.weights.device())?)
    }

    /// Logits of images under running statistics, (n, K) in a row.
    ///
    /// # Shapes
    /// - `images`: (n, H, W, C)
    /// # Errors
    /// If sizes do not fit.
    pub fn logits(&mut self, images: &Tensor) -> Result<Vec<f32>, TrainingError> {
        let features = to_f32(&self.infer(images)?)?;
        self.head_file()?.logits(&features)
    }

    /// Which weights take weight decay; none = all.
    pub fn decay_ranges(&self, groups: WdGroups) -> Option<Vec<Range<usize>>> {
        match groups {
            WdGroups::All => None,
            WdGroups::WeightsOnly => {
                let convolutions =
                    self.network.params().entries().iter().filter(|entry| entry.kind == ParamKind::ConvWeight);
                let mut ranges: Vec<Range<usize>> = convolutions
                    .map(|entry| entry.offset..entry.offset + entry.shape.iter().product::<usize>())
                    .collect();
                let backbone = self.backbone_len();
                ranges.push(backbone..backbone + self.head.weight_len());
                Some(ranges)
            }
        }
    }

    /// The head as it goes into its file.
    ///
    /// # Errors
    /// Never, as sizes are fixed at construction.
    pub fn head_file(&self) -> Result<HeadWeights, TrainingError> {
        HeadWeights::new(self.head, to_f32(&self.head_weights()?)?)
    }
}
