//! `crt`: a new linear head on frozen features, with a balanced sampler.

use serde::Serialize;

use super::head_training::{HeadTraining, RawRetrain, training};
use crate::check::{At, Problem};
use crate::data::DataRecipe;
use crate::settings::Settings;
use crate::stage1::{Sampler, Schedule};

/// cRT (methods.md §3.8, §4.5).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CrtRecipe {
    /// Default 10 epochs of batches of 512, lr 0.2 cosine, momentum 0.9, weight decay 5e-4 (CB's ImageNet-LT recipe).
    pub training: HeadTraining,
    /// Default `class_balanced` (ClassAware, 4 in a row).
    pub sampler: Sampler,
}

impl Settings<DataRecipe> for CrtRecipe {
    type Raw = RawRetrain;

    const TRAINS_HEAD: bool = true;

    fn resolve(at: &At, raw: RawRetrain, _: &DataRecipe) -> Result<Self, Problem> {
        let default = HeadTraining::new(10, 512, 0.2, Schedule::Cosine, 0.9);
        Ok(Self {
            training: training(&at.key("training"), raw.training, default)?,
            sampler: raw.sampler.unwrap_or(Sampler::ClassBalanced),
        })
    }
}
