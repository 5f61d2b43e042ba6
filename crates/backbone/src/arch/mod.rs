//! The architectures: one file each, and their names.

mod cifar_resnet;
mod imagenet_resnet;

use std::fmt;
use std::str::FromStr;

use longtail_images::ImageShape;

use crate::error::BackboneError;
use crate::graph::{Graph, GraphBuilder};
use crate::params::ConvInit;

/// Which network. Its name (`resnet32`, `resnet32_two_headed`, `resnet50`, `resnext50_32x4d`) is what files hold.
///
/// Two families share the names `resnetN`. 50, 101 and 152 are the networks for ImageNet, as everywhere; every other depth is one
/// for small images. Of small images' networks two have a depth that the other family takes: `resnet50_cifar`, `resnet152_cifar`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Architecture {
    /// The ResNet for small images: 16, 32 and 64 channels, option-A shortcuts, 64 features.
    CifarResNet {
        /// Layers with weights, the classifier's counted: 6n+2, 8 to 1202.
        depth: usize,
    },
    /// The same with its last block twice, side by side, as BBN has it: 128 features.
    CifarResNetTwoHeaded {
        /// As above, 14 to 1202.
        depth: usize,
    },
    /// The ResNet for ImageNet with bottleneck blocks, torchvision's: 2048 features.
    ImageNetResNet {
        /// Layers with weights, the classifier's counted: 50, 101 or 152.
        depth: usize,
    },
    /// The same of depth 50 with 3×3 convolutions in 32 groups, 4 channels each in the first stage: 2048 features.
    ResNeXt50,
}

/// The deepest network of He et al. 2016; a limit, so that a damaged name cannot ask for all memory.
const LARGEST_DEPTH: usize = 1202;

const RESNEXT50: &str = "resnext50_32x4d";

impl Architecture {
    /// Refuses depths that do not exist.
    pub(crate) fn check(&self) -> Result<(), BackboneError> {
        let (family, depth, smallest) = match *self {
            Self::CifarResNet { depth } => ("the CIFAR ResNet", depth, 8),
            Self::CifarResNetTwoHeaded { depth } => ("the two-headed CIFAR ResNet", depth, 14),
            Self::ImageNetResNet { depth } => {
                let found = imagenet_resnet::resnet(depth).map(|_| ());
                return found.ok_or(BackboneError::ImageNetDepth { depth });
            }
            Self::ResNeXt50 => return Ok(()),
        };
        if !(smallest..=LARGEST_DEPTH).contains(&depth) || depth % 6 != 2 {
            return Err(BackboneError::Depth { family, depth, smallest, largest: LARGEST_DEPTH });
        }
        Ok(())
    }

    /// The nodes for images of that size.
    pub(crate) fn graph(&self, image: ImageShape) -> Result<Graph, BackboneError> {
        self.check()?;
        if !image.is_possible() {
            return Err(BackboneError::Image { image });
        }
        let net = |conv_init| GraphBuilder::new(image, conv_init);
        Ok(match *self {
            Self::CifarResNet { depth } => cifar_resnet::single_headed(net(ConvInit::FanIn), (depth - 2) / 6),
            Self::CifarResNetTwoHeaded { depth } => cifar_resnet::two_headed(net(ConvInit::FanIn), (depth - 2) / 6),
            Self::ImageNetResNet { depth } => {
                let form = imagenet_resnet::resnet(depth).ok_or(BackboneError::ImageNetDepth { depth })?;
                imagenet_resnet::graph(net(ConvInit::FanOut), &form)
            }
            Self::ResNeXt50 => imagenet_resnet::graph(net(ConvInit::FanOut), &imagenet_resnet::RESNEXT50_32X4D),
        })
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CifarResNet { depth } if imagenet_resnet::resnet(*depth).is_some() => {
                write!(f, "resnet{depth}_cifar")
            }
            Self::CifarResNet { depth } | Self::ImageNetResNet { depth } => write!(f, "resnet{depth}"),
            Self::CifarResNetTwoHeaded { depth } => write!(f, "resnet{depth}_two_headed"),
            Self::ResNeXt50 => f.write_str(RESNEXT50),
        }
    }
}

impl FromStr for Architecture {
    type Err = BackboneError;

    /// # Errors
    /// An unknown name, or a depth that the architecture does not come in.
    fn from_str(name: &str) -> Result<Self, BackboneError> {
        let unknown = || BackboneError::UnknownArchitecture { name: name.to_owned() };
        if name == RESNEXT50 {
            return Ok(Self::ResNeXt50);
        }
        let rest = name.strip_prefix("resnet").ok_or_else(unknown)?;
        let (digits, form) = rest.split_at(rest.find('_').unwrap_or(rest.len()));
        let depth: usize = digits.parse().map_err(|_| unknown())?;
        let found = match form {
            "" if imagenet_resnet::resnet(depth).is_some() => Self::ImageNetResNet { depth },
            "" | "_cifar" => Self::CifarResNet { depth },
            "_two_headed" => Self::CifarResNetTwoHeaded { depth },
            _ => return Err(unknown()),
        };
        if found.to_string() != name {
            return Err(unknown()); // "resnet+32", "resnet032", "resnet32_cifar"
        }
        found.check()?;
        Ok(found)
    }
}

impl TryFrom<String> for Architecture {
    type Error = BackboneError;

    fn try_from(name: String) -> Result<Self, BackboneError> {
        name.parse()
    }
}

impl From<Architecture> for String {
    fn from(architecture: Architecture) -> Self {
        architecture.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for name in [
            "resnet8",
            "resnet32",
            "resnet1202",
            "resnet14_two_headed",
            "resnet50",
            "resnet50_cifar",
            "resnet50_two_headed",
            "resnet101",
            "resnet152",
            "resnet152_cifar",
            "resnext50_32x4d",
        ] {
            assert_eq!(name.parse::<Architecture>().expect("known").to_string(), name);
        }
        let error = |name: &str| name.parse::<Architecture>().expect_err("wrong").to_string();
        assert!(error("resnet33").contains("depth 33"), "{}", error("resnet33"));
        assert!(error("resnet2").contains("at least 8"));
        assert!(error("resnet6000002").contains("at most 1202"));
        assert!(error("resnet8_two_headed").contains("at least 14"));
        assert!(error("resnet101_cifar").contains("must be 6n+2"));
        for wrong in [
            "resnet",
            "resnet+32",
            "resnet032",
            "vgg16",
            "resnet32_twoheaded",
            "resnet-32",
            "resnet32_cifar",
            "resnet50_",
            "resnext50",
            "resnext101_32x8d",
            "resnet99999999999999999999",
        ] {
            assert!(error(wrong).contains("unknown architecture"), "{wrong}");
        }
        let json = serde_json::to_string(&Architecture::CifarResNet { depth: 20 }).expect("a string");
        assert_eq!(json, "\"resnet20\"");
        assert!(serde_json::from_str::<Architecture>("\"resnet21\"").is_err());
    }

    #[test]
    fn fifty_layers_are_imagenets_unless_said_otherwise() {
        let parse = |name: &str| name.parse::<Architecture>().expect("known");
        assert_eq!(parse("resnet50"), Architecture::ImageNetResNet { depth: 50 });
        assert_eq!(parse("resnet50_cifar"), Architecture::CifarResNet { depth: 50 });
        let image = ImageShape { height: 32, width: 32, channels: 3 };
        let error = Architecture::ImageNetResNet { depth: 56 }.graph(image).expect_err("not one of them");
        assert!(error.to_string().contains("50, 101 or 152"), "{error}");
        let error = "resnet34".parse::<Architecture>().expect_err("neither").to_string();
        assert!(error.contains("6n+2") && error.contains("50, 101 and 152"), "{error}");
    }
}
