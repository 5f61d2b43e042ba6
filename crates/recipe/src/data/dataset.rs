//! The data sets, and where the meta set is from.

use serde::{Deserialize, Serialize};

/// A data set that the workspace can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Dataset {
    /// 10 classes of 6000 training and 1000 test images, 28×28, one channel. Embedded under `data/fashion-mnist`.
    FashionMnist,
    /// 100 classes of 500 training and 100 test images, 32×32, three channels.
    Cifar100,
    /// ImageNet-LT: photos of ILSVRC 2012, 1000 classes of 1280 to 5 training images (protocol.md §2). A photo set.
    ImagenetLt,
    /// iNaturalist 2018: 8142 classes of 1000 to 2 training images (protocol.md §3). A photo set.
    #[serde(rename = "inaturalist2018")]
    Inaturalist2018,
    /// A folder of photos, `train/CLASS/*` and `test/CLASS/*`. A photo set.
    ImageFolder,
}

impl Dataset {
    /// Every data set, in the order of the documentation.
    pub const ALL: [Dataset; 5] =
        [Dataset::FashionMnist, Dataset::Cifar100, Dataset::ImagenetLt, Dataset::Inaturalist2018, Dataset::ImageFolder];

    /// Whether its images are encoded photos of any size, listed with labels, and long-tailed as they come.
    pub fn is_photo_set(self) -> bool {
        matches!(self, Dataset::ImagenetLt | Dataset::Inaturalist2018 | Dataset::ImageFolder)
    }

    /// Classes as published; a photo set's lists have the last word. `None` for `image_folder`.
    pub fn num_classes(self) -> Option<usize> {
        match self {
            Dataset::FashionMnist => Some(10),
            Dataset::Cifar100 => Some(100),
            Dataset::ImagenetLt => Some(1000),
            Dataset::Inaturalist2018 => Some(8142),
            Dataset::ImageFolder => None,
        }
    }

    /// Training images of each class before any long-tailed draw; `None` for photo sets, which are not drawn from.
    pub fn train_per_class(self) -> Option<usize> {
        match self {
            Dataset::FashionMnist => Some(6000),
            Dataset::Cifar100 => Some(500),
            Dataset::ImagenetLt | Dataset::Inaturalist2018 | Dataset::ImageFolder => None,
        }
    }

    /// Images of the training and the test part as published, a validation list counted with the first. For estimates.
    /// `None` for `image_folder`.
    pub fn published_images(self) -> Option<[u64; 2]> {
        match self {
            Dataset::FashionMnist => Some([60_000, 10_000]),
            Dataset::Cifar100 => Some([50_000, 10_000]),
            Dataset::ImagenetLt => Some([115_846 + 20_000, 50_000]),
            Dataset::Inaturalist2018 => Some([437_513, 24_426]),
            Dataset::ImageFolder => None,
        }
    }

    /// Colour channels.
    pub fn channels(self) -> usize {
        match self {
            Dataset::FashionMnist => 1,
            Dataset::Cifar100 | Dataset::ImagenetLt | Dataset::Inaturalist2018 | Dataset::ImageFolder => 3,
        }
    }

    /// The name a recipe uses.
    pub fn name(self) -> &'static str {
        match self {
            Dataset::FashionMnist => "fashion_mnist",
            Dataset::Cifar100 => "cifar100",
            Dataset::ImagenetLt => "imagenet_lt",
            Dataset::Inaturalist2018 => "inaturalist2018",
            Dataset::ImageFolder => "image_folder",
        }
    }
}

/// Where the balanced meta batch comes from (protocol.md §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MetaSource {
    /// `meta_per_class` images per class, held out before the long-tailed draw (MetaSAug, MW-Net). ImageNet-LT: of the
    /// validation list, whose rest is for validation. iNaturalist 2018: of the training list, and they stay in it.
    Metasaug,
    /// Class-balanced draws from the long-tailed training set itself (BALMS).
    LtBalancedDraws,
    /// No meta set: the CE rows that compare with published baselines. `mpcl` with `prototypes: meta` refuses it.
    None,
}
