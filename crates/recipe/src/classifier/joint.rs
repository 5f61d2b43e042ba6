//! `joint`: stage 1's head as it is.

use serde::{Deserialize, Serialize};

use crate::check::{At, Problem};
use crate::data::DataRecipe;
use crate::settings::Settings;

/// `joint` has no settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct JointRecipe {}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawJoint {}

impl Settings<DataRecipe> for JointRecipe {
    type Raw = RawJoint;

    fn resolve(_: &At, _: RawJoint, _: &DataRecipe) -> Result<Self, Problem> {
        Ok(Self {})
    }
}
