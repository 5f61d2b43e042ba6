//! The architectures: one file each, and their names.

mod cifar_resnet;

use std::fmt;
use std::str::FromStr;

use crate::error::BackboneError;
use crate::graph::{Graph, GraphBuilder};
use crate::image::ImageShape;

/// Which network. Its name (`resnet32`, `resnet32_two_headed`) is what files and recipes hold.
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
}

/// The deepest network of He et al. 2016; a limit, so that a damaged name cannot ask for all memory.
const LARGEST_DEPTH: usize = 1202;

impl Architecture {
    /// Refuses depths that do not exist.
    pub(crate) fn check(&self) -> Result<(), BackboneError> {
        let (family, depth, smallest) = match *self {
            Self::CifarResNet { depth } => ("the CIFAR ResNet", depth, 8),
            Self::CifarResNetTwoHeaded { depth } => ("the two-headed CIFAR ResNet", depth, 14),
        };
        if !(smallest..=LARGEST_DEPTH).contains(&depth) || depth % 6 != 2 {
            return Err(BackboneError::Depth { family, depth, smallest, largest: LARGEST_DEPTH });
        }
        Ok(())
    }

    /// The nodes for images of that size.
    pub(crate) fn graph(&self, image: ImageShape) -> Result<Graph, BackboneError> {
        self.check()?;
        let net = GraphBuilder::new(image.check()?);
        Ok(match *self {
            Self::CifarResNet { depth } => cifar_resnet::single_headed(net, (depth - 2) / 6),
            Self::CifarResNetTwoHeaded { depth } => cifar_resnet::two_headed(net, (depth - 2) / 6),
        })
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CifarResNet { depth } => write!(f, "resnet{depth}"),
            Self::CifarResNetTwoHeaded { depth } => write!(f, "resnet{depth}_two_headed"),
        }
    }
}

impl FromStr for Architecture {
    type Err = BackboneError;

    /// # Errors
    /// An unknown name, or a depth that the architecture does not come in.
    fn from_str(name: &str) -> Result<Self, BackboneError> {
        let unknown = || BackboneError::UnknownArchitecture { name: name.to_owned() };
        let rest = name.strip_prefix("resnet").ok_or_else(unknown)?;
        let (digits, two_headed) = match rest.strip_suffix("_two_headed") {
            Some(digits) => (digits, true),
            None => (rest, false),
        };
        let depth: usize = digits.parse().map_err(|_| unknown())?;
        let found = if two_headed { Self::CifarResNetTwoHeaded { depth } } else { Self::CifarResNet { depth } };
        if found.to_string() != name {
            return Err(unknown()); // "resnet+32", "resnet032"
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
        for name in ["resnet8", "resnet32", "resnet1202", "resnet14_two_headed"] {
            assert_eq!(name.parse::<Architecture>().expect("known").to_string(), name);
        }
        let error = |name: &str| name.parse::<Architecture>().expect_err("wrong").to_string();
        assert!(error("resnet33").contains("depth 33"), "{}", error("resnet33"));
        assert!(error("resnet2").contains("at least 8"));
        assert!(error("resnet6000002").contains("at most 1202"));
        assert!(error("resnet8_two_headed").contains("at least 14"));
        for wrong in [
            "resnet",
            "resnet+32",
            "resnet032",
            "vgg16",
            "resnet32_twoheaded",
            "resnet-32",
            "resnet99999999999999999999",
        ] {
            assert!(error(wrong).contains("unknown architecture"), "{wrong}");
        }
        let json = serde_json::to_string(&Architecture::CifarResNet { depth: 20 }).expect("a string");
        assert_eq!(json, "\"resnet20\"");
        assert!(serde_json::from_str::<Architecture>("\"resnet21\"").is_err());
    }
}
