//! Stage 2: the features of every image.

use serde::{Deserialize, Serialize};

use crate::check::{At, Problem};

/// Stage 2.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct FeaturesRecipe {
    /// Augmented views of train dumped beside the plain one, 0 to 1000. Default 0.
    pub views: usize,
    /// Images per forward, 1 to 65536. Default 256. Changes no bit, and is no part of the stage's key.
    pub batch_size: usize,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFeatures {
    pub views: Option<usize>,
    pub batch_size: Option<usize>,
}

pub(crate) fn resolve(raw: Option<RawFeatures>) -> Result<FeaturesRecipe, Problem> {
    let at = At::root("features");
    let raw = raw.unwrap_or_default();
    Ok(FeaturesRecipe {
        views: at.count("views", raw.views, 0, 0..=1000, "each view is a dump of the whole training set")?,
        batch_size: at.count("batch_size", raw.batch_size, 256, 1..=65536, "images per forward")?,
    })
}
