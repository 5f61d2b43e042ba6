//! Where many, medium and few part.

use serde::{Deserialize, Serialize};

use crate::check::{At, Problem};

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

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawShotGroups {
    pub many_above: Option<u32>,
    pub few_below: Option<u32>,
}

pub(super) fn resolve(at: &At, raw: Option<RawShotGroups>) -> Result<ShotGroups, Problem> {
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
