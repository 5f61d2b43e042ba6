//! `ncm`: the nearest class mean.

use serde::{Deserialize, Serialize};

use crate::check::{At, Problem};
use crate::data::DataRecipe;
use crate::settings::Settings;

/// The nearest class mean.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct NcmRecipe {
    /// Default `cl2n` (CB's default).
    pub normalize: NcmNormalize,
}

/// What is done to a feature before the nearest mean is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NcmNormalize {
    /// Raw features.
    None,
    /// L2.
    L2,
    /// Subtract the global train mean, then L2.
    Cl2n,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNcm {
    pub normalize: Option<NcmNormalize>,
}

impl Settings<DataRecipe> for NcmRecipe {
    type Raw = RawNcm;

    fn resolve(_: &At, raw: RawNcm, _: &DataRecipe) -> Result<Self, Problem> {
        Ok(Self { normalize: raw.normalize.unwrap_or(NcmNormalize::Cl2n) })
    }
}
