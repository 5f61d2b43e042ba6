//! The images and how they are split.

use serde::{Deserialize, Serialize};

/// Which images, and how they are split (protocol.md §1, §7).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct DataRecipe {
    /// The source of images. No default.
    pub dataset: Dataset,
    /// N_1 / N_K, at least 1, and small enough that the smallest class keeps one image. Default 100. Not for photo sets,
    /// which are long-tailed as they come: their lists are the draw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imbalance_factor: Option<f64>,
    /// Where the balanced meta batch comes from. Default `metasaug`.
    pub meta_source: MetaSource,
    /// Images per class of the meta set, at least 1, fewer than a class has to draw from. Default 10, and 2 for
    /// `inaturalist2018`, whose smallest class has no more (MetaSAug). Unused with `none`.
    pub meta_per_class: usize,
    /// Seed of LDAM's draw (a legacy NumPy generator). Default 0. Not for photo sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subset_seed: Option<u32>,
    /// Seed of the meta draw (a legacy NumPy generator). Default 6 (MetaSAug).
    pub meta_seed: u32,
    /// For tests on a small part of the images: the largest class keeps at most this many training images (the profile
    /// starts from it, after the meta hold-out), and each class this many test images, the first of its index order. 1
    /// to the number a class has. Default: no cap. For photo sets each class keeps at most this many images of the
    /// training, the validation and the test list, the first of each; meta images are drawn before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_class: Option<u32>,
    /// Where many, medium and few part. No part of stages 1 and 2.
    pub shot_groups: ShotGroups,
    /// Per channel, of pixels in 0..1. Defaults: CIFAR-10's statistics for CIFAR-100, as the long-tailed literature
    /// does (protocol.md §1.3); 0.2860 and 0.3530 for Fashion-MNIST; ImageNet's for `imagenet_lt` and `image_folder`, CB's
    /// for `inaturalist2018` (protocol.md §2, §3).
    pub normalize: Normalize,
    /// How photos become images of one size; `None` for data sets that are no photo sets. Its fields are fields of `data`.
    #[serde(flatten)]
    pub photo: Option<PhotoRecipe>,
}

impl DataRecipe {
    /// Whether there are validation images, on which settings may be chosen. A folder of photos may turn out to have none.
    pub fn has_validation(&self) -> bool {
        match self.dataset {
            Dataset::ImagenetLt | Dataset::ImageFolder => true,
            Dataset::Inaturalist2018 => false,
            Dataset::FashionMnist | Dataset::Cifar100 => self.meta_source == MetaSource::Metasaug,
        }
    }

    /// Height and width in pixels of the images that a network sees.
    pub fn image_side(&self) -> usize {
        match (&self.photo, self.dataset) {
            (Some(photo), _) => photo.image_side,
            (None, Dataset::FashionMnist) => 28,
            (None, Dataset::Cifar100 | Dataset::ImagenetLt | Dataset::Inaturalist2018 | Dataset::ImageFolder) => 32,
        }
    }
}

/// From photos of any size to the images that a network sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PhotoRecipe {
    /// Height and width in pixels, 32 to 1024. Default 224.
    pub image_side: usize,
    /// The short side in pixels before the evaluation crop, `image_side` to 4096. Default `image_side`·256/224, rounded:
    /// 256 for 224 (protocol.md §2).
    pub resize_short: usize,
    /// How a JPEG is decoded. Default `exact`.
    pub decode: Decode,
    /// What is done with EXIF's orientation. Default `ignore`.
    pub exif_orientation: ExifOrientation,
    /// What happens to an image that cannot be decoded. Default `fail`.
    pub on_bad_image: OnBadImage,
    /// Read the pack that `cargo xtask data pack` wrote instead of the files. Default false.
    pub packed: bool,
}

/// How a JPEG is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Decode {
    /// In full, as Pillow does.
    Exact,
    /// At a half, a quarter or an eighth of the size where the crop stays at least as large as the image: faster, and
    /// other pixels.
    Scaled,
}

/// What is done with EXIF's orientation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExifOrientation {
    /// Nothing, as in torchvision and every published recipe.
    Ignore,
    /// The image is turned as its camera says.
    Apply,
}

/// What happens to an image that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnBadImage {
    /// Whatever needs it stops, and names its path and its line in the list.
    Fail,
    /// It is left out. All images are decoded once before training (hours for a large set), so that counts and order are
    /// fixed.
    Skip,
}

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

/// Where many, medium and few part, in training images of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ShotGroups {
    /// many: more than this. Default 100 (CB, BALMS, LADE, PaCo, TailCalibX; protocol.md §6).
    pub many_above: u32,
    /// few: fewer than this, at most `many_above + 1`; medium is the rest. Default 20 (same source).
    pub few_below: u32,
}

impl ShotGroups {
    /// Bounds that stand in no recipe.
    pub fn new(many_above: u32, few_below: u32) -> Self {
        Self { many_above, few_below }
    }
}

impl Default for ShotGroups {
    fn default() -> Self {
        Self { many_above: 100, few_below: 20 }
    }
}

/// Per-channel mean and standard deviation of pixels in 0..1; one number for each channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Normalize {
    /// Each in [0, 1].
    pub mean: Vec<f32>,
    /// Each in (0, 1].
    pub std: Vec<f32>,
}
