//! A backbone and a head as one flat vector of weights.

use std::ops::Range;

use longtail_backbone::{Architecture, ImageShape, Network, ParamKind};
use longtail_ops::stream;
use longtail_recipe::{Backbone, WdGroups};
use longtail_training::{HeadShape, HeadWeights, Scalar};

use crate::RepresentationError;

/// The network engine, the head's shape, and the state that training moves.
///
/// `weights` holds the backbone's parameters in torchvision order, then the head's: W, Ŵ, gradients and momentum all
/// share this index, so that a virtual step is a vector operation.
pub struct Model<T: Scalar> {
    /// Runs the backbone.
    pub network: Network<T>,
    /// Form and sizes of the head.
    pub head: HeadShape,
    /// W = (w^E, w^C).
    pub weights: Vec<T>,
    /// The running statistics of the batch norms.
    pub running: Vec<T>,
}

/// The architecture that a recipe names.
pub fn architecture(backbone: Backbone) -> Architecture {
    match backbone {
        Backbone::Resnet50 => Architecture::ImageNetResNet { depth: 50 },
        Backbone::Resnet101 => Architecture::ImageNetResNet { depth: 101 },
        Backbone::Resnet152 => Architecture::ImageNetResNet { depth: 152 },
        Backbone::Resnext50 => Architecture::ResNeXt50,
        Backbone::CifarResnet(depth) => Architecture::CifarResNet { depth },
        Backbone::CifarResnetTwoHeaded(depth) => Architecture::CifarResNetTwoHeaded { depth },
    }
}

impl<T: Scalar> Model<T> {
    /// A fresh model: the same weights for the same seed, whatever the method that will train them.
    ///
    /// # Errors
    /// If the architecture cannot take such images.
    pub fn new(
        architecture: &Architecture,
        image: ImageShape,
        form: longtail_training::HeadForm,
        num_classes: usize,
        seed: u64,
    ) -> Result<Self, RepresentationError> {
        let network = Network::<T>::new(architecture, image)?;
        let head = HeadShape { form, num_classes, feature_dim: network.feature_dim() };
        let (mut weights, running) = network.init(&mut stream(seed, "representation/backbone-init", 0, 0));
        weights.extend(head.init::<T>(&mut stream(seed, "representation/head-init", 0, 0)));
        Ok(Self { network, head, weights, running })
    }

    /// How many of `weights` belong to the backbone; they come first.
    pub fn backbone_len(&self) -> usize {
        self.weights.len() - self.head.len()
    }

    /// w^E.
    pub fn backbone_weights(&self) -> &[T] {
        &self.weights[..self.backbone_len()]
    }

    /// w^C.
    pub fn head_weights(&self) -> &[T] {
        &self.weights[self.backbone_len()..]
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
    pub fn head_file(&self) -> Result<HeadWeights, RepresentationError> {
        let values = self.head_weights().iter().map(|value| value.wide() as f32).collect();
        Ok(HeadWeights::new(self.head, values)?)
    }
}
