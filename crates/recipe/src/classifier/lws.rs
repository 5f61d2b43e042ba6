//! `lws`: one learnt scale a class on stage 1's head.

use serde::Serialize;

use super::head_training::{HeadTraining, RawRetrain, training};
use crate::check::{At, Problem};
use crate::data::DataRecipe;
use crate::settings::Settings;
use crate::stage1::{Sampler, Schedule};

/// LWS (methods.md §3.8, §4.5).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct LwsRecipe {
    /// Default as cRT's, 5 epochs.
    pub training: HeadTraining,
    /// Default `class_balanced` (ClassAware, 4 in a row).
    pub sampler: Sampler,
}

impl Settings<DataRecipe> for LwsRecipe {
    type Raw = RawRetrain;

    const TRAINS_HEAD: bool = true;

    fn resolve(at: &At, raw: RawRetrain, _: &DataRecipe) -> Result<Self, Problem> {
        let default = HeadTraining::new(5, 512, 0.2, Schedule::Cosine, 0.9);
        Ok(Self {
            training: training(&at.key("training"), raw.training, default)?,
            sampler: raw.sampler.unwrap_or(Sampler::ClassBalanced),
        })
    }
}
