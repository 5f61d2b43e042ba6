//! `ce`: cross-entropy.

use serde::{Deserialize, Serialize};

use super::Stage1;
use super::ema::{self, Ema, RawEma};
use crate::check::{At, Problem};
use crate::preset::Preset;
use crate::settings::Settings;

/// `ce` has no settings of its own; prototypes are still tracked with these EMA settings, so that every classifier runs
/// on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CeRecipe {
    /// How prototypes are tracked.
    pub ema: Ema,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCe {
    pub ema: Option<RawEma>,
}

impl Settings<Stage1> for CeRecipe {
    type Raw = RawCe;

    fn resolve(at: &At, raw: RawCe, _: &Stage1) -> Result<Self, Problem> {
        Ok(Self { ema: ema::resolve(&at.key("ema"), raw.ema, Preset::Defaults)? })
    }
}
