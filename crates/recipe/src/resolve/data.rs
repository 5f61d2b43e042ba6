//! The images and how they are split.

use super::photo;
use crate::check::{At, Problem, Span};
use crate::defaults;
use crate::raw::{RawData, RawNormalize, RawShotGroups};
use crate::resolved::{DataRecipe, Dataset, MetaSource, Normalize, ShotGroups};

pub(super) fn resolve(raw: Option<RawData>) -> Result<DataRecipe, Problem> {
    let at = At::root("data");
    let raw = raw.unwrap_or_default();
    let dataset = raw.dataset.ok_or_else(|| {
        let names = Dataset::ALL.map(|dataset| format!("`{}`", dataset.name()));
        at.missing("dataset", &format!("one of {}", names.join(", ")))
    })?;
    let meta_source = raw.meta_source.unwrap_or(MetaSource::Metasaug);
    let shot_groups = shot_groups(&at.key("shot_groups"), raw.shot_groups.clone())?;
    let normalize = normalize(&at.key("normalize"), raw.normalize.clone(), dataset)?;
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

fn shot_groups(at: &At, raw: Option<RawShotGroups>) -> Result<ShotGroups, Problem> {
    let raw = raw.unwrap_or_default();
    let default = ShotGroups::default();
    let many_above = raw.many_above.unwrap_or(default.many_above);
    let few_below = raw.few_below.unwrap_or(default.few_below);
    if few_below > many_above.saturating_add(1) {
        return Err(at.key("few_below").range(
            few_below,
            format!("at most many_above + 1 = {}", many_above.saturating_add(1)),
            "no class can be both many and few",
        ));
    }
    Ok(ShotGroups { many_above, few_below })
}

fn normalize(at: &At, raw: Option<RawNormalize>, dataset: Dataset) -> Result<Normalize, Problem> {
    let raw = raw.unwrap_or_default();
    let defaults = defaults::normalize(dataset);
    let checked = |key: &str, given: Option<Vec<f32>>, default: Vec<f32>, legal: Span| {
        let values = given.unwrap_or(default);
        let at = at.key(key);
        let channels = dataset.channels();
        if values.len() != channels {
            let what = format!("{} numbers, but `{}` needs {channels} (one per channel)", values.len(), dataset.name());
            return Err(at.conflict(what, "give one number for each channel"));
        }
        for (channel, value) in values.iter().enumerate() {
            at.key(channel).in_span(f64::from(*value), legal, "pixels are scaled to 0..1")?;
        }
        Ok(values)
    };
    Ok(Normalize {
        mean: checked("mean", raw.mean, defaults.mean, Span::closed(0.0, 1.0))?,
        std: checked("std", raw.std, defaults.std, Span::above(0.0, 1.0))?,
    })
}
