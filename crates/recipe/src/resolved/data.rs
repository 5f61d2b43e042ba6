//! The images and how they are split.

use serde::{Deserialize, Serialize};

/// Which images, and how they are split (protocol.md §1, §7).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DataRecipe {
    /// The source of images. No default.
    pub dataset: Dataset,
    /// N_1 / N_K, at least 1, and small enough that the smallest class keeps one image. Default 100.
    pub imbalance_factor: f64,
    /// Where the balanced meta batch comes from. Default `metasaug`.
    pub meta_source: MetaSource,
    /// Images per class held out for the meta set, at least 1, fewer than a class has. Default 10 (MetaSAug). Unused
    /// with `none`.
    pub meta_per_class: usize,
    /// Seed of LDAM's draw (a legacy NumPy generator). Default 0.
    pub subset_seed: u32,
    /// Seed of the meta draw (a legacy NumPy generator). Default 6 (MetaSAug).
    pub meta_seed: u32,
    /// For tests on a small part of the images: the largest class keeps at most this many training images (the profile
    /// starts from it, after the meta hold-out), and each class this many test images, the first of its index order. 1
    /// to the number a class has. Default: no cap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_class: Option<u32>,
    /// Where many, medium and few part. No part of stages 1 and 2.
    pub shot_groups: ShotGroups,
    /// Per channel, of pixels in 0..1. Defaults: CIFAR-10's statistics for CIFAR-100, as the long-tailed literature
    /// does (protocol.md §1.3); 0.2860 and 0.3530 for Fashion-MNIST.
    pub normalize: Normalize,
}

/// A data set that the workspace can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Dataset {
    /// 10 classes of 6000 training and 1000 test images, 28×28, one channel. Embedded under `data/fashion-mnist`.
    FashionMnist,
    /// 100 classes of 500 training and 100 test images, 32×32, three channels.
    Cifar100,
}

impl Dataset {
    /// Classes, in label order.
    pub fn num_classes(self) -> usize {
        match self {
            Dataset::FashionMnist => 10,
            Dataset::Cifar100 => 100,
        }
    }

    /// Training images of each class before any long-tailed draw.
    pub fn train_per_class(self) -> usize {
        match self {
            Dataset::FashionMnist => 6000,
            Dataset::Cifar100 => 500,
        }
    }

    /// Colour channels.
    pub fn channels(self) -> usize {
        match self {
            Dataset::FashionMnist => 1,
            Dataset::Cifar100 => 3,
        }
    }

    /// Height and width in pixels.
    pub fn side(self) -> usize {
        match self {
            Dataset::FashionMnist => 28,
            Dataset::Cifar100 => 32,
        }
    }

    /// The name a recipe uses.
    pub fn name(self) -> &'static str {
        match self {
            Dataset::FashionMnist => "fashion_mnist",
            Dataset::Cifar100 => "cifar100",
        }
    }
}

/// Where the balanced meta batch comes from (protocol.md §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MetaSource {
    /// `meta_per_class` images per class, held out before the long-tailed draw (MetaSAug, MW-Net).
    Metasaug,
    /// Class-balanced draws from the long-tailed training set itself (BALMS).
    LtBalancedDraws,
    /// No meta set: the CE rows that compare with published baselines. `mpcl` with `prototypes: meta` refuses it.
    None,
}

/// Where many, medium and few part, in training images of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShotGroups {
    /// many: more than this. Default 100 (CB, BALMS, LADE, PaCo, TailCalibX; protocol.md §6).
    pub many_above: u32,
    /// few: fewer than this, at most `many_above + 1`; medium is the rest. Default 20 (same source).
    pub few_below: u32,
}

/// Per-channel mean and standard deviation of pixels in 0..1; one number for each channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Normalize {
    /// Each in [0, 1].
    pub mean: Vec<f32>,
    /// Each in (0, 1].
    pub std: Vec<f32>,
}
