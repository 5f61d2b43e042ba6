//! The network that a recipe names.

use longtail_backbone::Architecture;
use longtail_recipe::Backbone;

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
