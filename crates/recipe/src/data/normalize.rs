//! Per-channel statistics of pixels.

use serde::{Deserialize, Serialize};

use super::Dataset;
use crate::check::{At, Problem, Span};

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

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNormalize {
    pub mean: Option<Vec<f32>>,
    pub std: Option<Vec<f32>>,
}

/// Of a recipe that gives none.
fn defaults(dataset: Dataset) -> Normalize {
    match dataset {
        // CIFAR-10's numbers, as LDAM and its descendants use for CIFAR-100 (protocol.md §1.3).
        Dataset::Cifar100 => Normalize { mean: vec![0.4914, 0.4822, 0.4465], std: vec![0.2023, 0.1994, 0.2010] },
        // Over the 60000 training images.
        Dataset::FashionMnist => Normalize { mean: vec![0.2860], std: vec![0.3530] },
        // CB's `data/dataloader.py`.
        Dataset::Inaturalist2018 => Normalize { mean: vec![0.466, 0.471, 0.380], std: vec![0.195, 0.194, 0.192] },
        // ImageNet's, as in torchvision and CB.
        Dataset::ImagenetLt | Dataset::ImageFolder => {
            Normalize { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
        }
    }
}

pub(super) fn resolve(at: &At, raw: Option<RawNormalize>, dataset: Dataset) -> Result<Normalize, Problem> {
    let raw = raw.unwrap_or_default();
    let defaults = defaults(dataset);
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
