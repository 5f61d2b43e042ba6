//! The networks of stage 1.

use serde::{Deserialize, Serialize};

use super::SMALL_SIDE;
use crate::check::{At, Problem};
use crate::data::{DataRecipe, Dataset};

/// Network architectures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Backbone {
    /// torchvision's ResNet-50; feature dim 2048. Written `resnet50`.
    Resnet50,
    /// torchvision's ResNet-101; feature dim 2048.
    Resnet101,
    /// torchvision's ResNet-152; feature dim 2048.
    Resnet152,
    /// torchvision's ResNeXt-50 32×4d; feature dim 2048. Written `resnext50_32x4d`.
    #[serde(rename = "resnext50_32x4d")]
    Resnext50,
    /// The CIFAR ResNet of depth 6n+2, 8 to 1202, with 16/32/64 channels, option A; feature dim 64. `{cifar_resnet: 32}`.
    CifarResnet(usize),
    /// The same of depth 14 or more in BBN's 128-d two-headed form (protocol.md §1.4). `{cifar_resnet_two_headed: 32}`.
    CifarResnetTwoHeaded(usize),
}

impl Backbone {
    /// Numbers in one image's feature.
    pub fn feature_dim(self) -> usize {
        match self {
            Backbone::CifarResnet(_) => 64,
            Backbone::CifarResnetTwoHeaded(_) => 128,
            Backbone::Resnet50 | Backbone::Resnet101 | Backbone::Resnet152 | Backbone::Resnext50 => 2048,
        }
    }

    /// Whether it is a network for small images.
    pub fn is_cifar(self) -> bool {
        matches!(self, Backbone::CifarResnet(_) | Backbone::CifarResnetTwoHeaded(_))
    }
}

/// The smallest side that a network for ImageNet takes: it halves images five times.
const IMAGENET_SIDE: usize = 32;

pub(super) fn resolve(at: &At, given: Option<Backbone>, data: &DataRecipe) -> Result<Backbone, Problem> {
    let default = match data.dataset {
        Dataset::ImagenetLt => Backbone::Resnext50,
        Dataset::Inaturalist2018 | Dataset::ImageFolder => Backbone::Resnet50,
        Dataset::FashionMnist | Dataset::Cifar100 => Backbone::CifarResnet(32),
    };
    let backbone = given.unwrap_or(default);
    let (name, side) = (data.dataset.name(), data.image_side());
    if backbone.is_cifar() && side > SMALL_SIDE {
        return Err(at.conflict(
            format!("CIFAR networks are for images of 32 pixels and keep the full size in a third of their layers, but the images of `{name}` are resized to {side} pixels"),
            format!("use `resnet50`, `resnet101`, `resnet152` or `resnext50_32x4d`, or set `data.image_side` to {SMALL_SIDE} or less"),
        ));
    }
    if !backbone.is_cifar() && side < IMAGENET_SIDE {
        return Err(at.conflict(
            format!("ImageNet networks halve the image five times and need {IMAGENET_SIDE} pixels, but the images of `{name}` have {side}"),
            "use `{cifar_resnet: 32}` or another depth 6n+2",
        ));
    }
    let source = "a CIFAR ResNet has 6n+2 layers: 3 stages of n blocks of 2 (docs/method/protocol.md §1.4)";
    let (key, depth, smallest) = match backbone {
        Backbone::CifarResnet(depth) => ("cifar_resnet", depth, 8),
        // The third stage has one block fewer, and at least one.
        Backbone::CifarResnetTwoHeaded(depth) => ("cifar_resnet_two_headed", depth, 14),
        Backbone::Resnet50 | Backbone::Resnet101 | Backbone::Resnet152 | Backbone::Resnext50 => return Ok(backbone),
    };
    if depth < smallest || depth > 1202 || !(depth - 2).is_multiple_of(6) {
        return Err(at.key(key).range(
            depth,
            format!("6n+2 from {smallest} to 1202, such as 20, 32, 44 or 56"),
            source,
        ));
    }
    Ok(backbone)
}
