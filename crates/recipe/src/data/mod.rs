//! The images and how they are split.

mod dataset;
mod normalize;
mod photo;
mod shot_groups;

pub use dataset::*;
pub use normalize::Normalize;
pub use photo::*;
pub use shot_groups::ShotGroups;

use serde::{Deserialize, Serialize};

use self::normalize::RawNormalize;
use self::shot_groups::RawShotGroups;
use crate::check::{At, Problem, Span};

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

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawData {
    pub dataset: Option<Dataset>,
    pub imbalance_factor: Option<f64>,
    pub meta_source: Option<MetaSource>,
    pub meta_per_class: Option<usize>,
    pub subset_seed: Option<u32>,
    pub meta_seed: Option<u32>,
    pub max_per_class: Option<u32>,
    pub shot_groups: Option<RawShotGroups>,
    pub normalize: Option<RawNormalize>,
    pub image_side: Option<usize>,
    pub resize_short: Option<usize>,
    pub decode: Option<Decode>,
    pub exif_orientation: Option<ExifOrientation>,
    pub on_bad_image: Option<OnBadImage>,
    pub packed: Option<bool>,
}

pub(crate) fn resolve(raw: Option<RawData>) -> Result<DataRecipe, Problem> {
    let at = At::root("data");
    let raw = raw.unwrap_or_default();
    let dataset = raw.dataset.ok_or_else(|| {
        let names = Dataset::ALL.map(|dataset| format!("`{}`", dataset.name()));
        at.missing("dataset", &format!("one of {}", names.join(", ")))
    })?;
    let meta_source = raw.meta_source.unwrap_or(MetaSource::Metasaug);
    let shot_groups = shot_groups::resolve(&at.key("shot_groups"), raw.shot_groups.clone())?;
    let normalize = normalize::resolve(&at.key("normalize"), raw.normalize.clone(), dataset)?;
    let photo = photo::resolve(&at, dataset, &raw)?;
    let parts = match dataset.train_per_class() {
        Some(per_class) => drawn(&at, dataset, per_class, meta_source, &raw)?,
        None => listed(&at, dataset, &raw)?,
    };
    Ok(DataRecipe {
        dataset,
        imbalance_factor: parts.imbalance_factor,
        meta_source,
        meta_per_class: parts.meta_per_class,
        max_per_class: raw.max_per_class,
        subset_seed: parts.subset_seed,
        meta_seed: raw.meta_seed.unwrap_or(6),
        shot_groups,
        normalize,
        photo,
    })
}

/// What differs between data sets that a long tail is drawn from and those that have one.
struct Parts {
    imbalance_factor: Option<f64>,
    meta_per_class: usize,
    subset_seed: Option<u32>,
}

/// A long tail drawn from classes of one size.
fn drawn(
    at: &At,
    dataset: Dataset,
    per_class: usize,
    meta_source: MetaSource,
    raw: &RawData,
) -> Result<Parts, Problem> {
    let meta_per_class = at.count(
        "meta_per_class",
        raw.meta_per_class,
        10,
        1..=per_class - 1,
        &format!("`{}` has {per_class} training images per class", dataset.name()),
    )?;
    // What the long-tailed draw starts from, protocol.md §7.
    let base = if meta_source == MetaSource::Metasaug { per_class - meta_per_class } else { per_class };
    if let Some(cap) = raw.max_per_class {
        at.count("max_per_class", Some(cap as usize), 0, 1..=base, "training images per class, without the meta set")?;
    }
    let largest = raw.max_per_class.map_or(base, |cap| cap as usize);
    let imbalance_factor = at.real(
        "imbalance_factor",
        raw.imbalance_factor,
        100.0,
        Span::closed(1.0, largest as f64),
        "the largest class count over the smallest; each class keeps at least one image",
    )?;
    Ok(Parts {
        imbalance_factor: Some(imbalance_factor),
        meta_per_class,
        subset_seed: Some(raw.subset_seed.unwrap_or(0)),
    })
}

/// A photo set: its lists say which image is for what.
fn listed(at: &At, dataset: Dataset, raw: &RawData) -> Result<Parts, Problem> {
    for (key, given) in
        [("imbalance_factor", raw.imbalance_factor.is_some()), ("subset_seed", raw.subset_seed.is_some())]
    {
        if given {
            return Err(at.key(key).conflict(
                format!(
                    "`{}` is already long-tailed: its lists name the images, and no subset is drawn",
                    dataset.name()
                ),
                format!("leave out `{key}`"),
            ));
        }
    }
    let (default, most, source) = match dataset {
        Dataset::ImagenetLt => {
            (10, 19, "the validation list has 20 images per class, and at least one must stay for validation")
        }
        Dataset::Inaturalist2018 => (2, 2, "the smallest class has 2 training images"),
        Dataset::FashionMnist | Dataset::Cifar100 | Dataset::ImageFolder => {
            (10, 1_000_000, "images per class in `val/`")
        }
    };
    let meta_per_class = at.count("meta_per_class", raw.meta_per_class, default, 1..=most, source)?;
    if let Some(cap) = raw.max_per_class {
        at.count("max_per_class", Some(cap as usize), 0, 1..=u32::MAX as usize, "images of a class")?;
    }
    Ok(Parts { imbalance_factor: None, meta_per_class, subset_seed: None })
}
