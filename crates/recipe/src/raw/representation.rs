//! Stage 1 as written.

use serde::Deserialize;

use crate::loss::RawLoss;
use crate::method::RawMethod;
use crate::resolved::{Augmentation, Backbone, CudaPrecision, HeadKind, Sampler, WdGroups};

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRepresentation {
    pub method: Option<RawMethod>,
    pub backbone: Option<Backbone>,
    pub head: Option<HeadKind>,
    pub loss: Option<RawLoss>,
    pub label_smoothing: Option<f64>,
    pub sampler: Option<Sampler>,
    pub augmentation: Option<Augmentation>,
    pub epochs: Option<usize>,
    pub batch_size: Option<usize>,
    pub micro_batch: Option<usize>,
    pub activation_checkpointing: Option<bool>,
    pub cuda_precision: Option<CudaPrecision>,
    pub drop_last: Option<bool>,
    pub lr: Option<f64>,
    pub lr_batch_size: Option<usize>,
    pub schedule: Option<RawSchedule>,
    pub warmup_epochs: Option<usize>,
    pub momentum: Option<f64>,
    pub nesterov: Option<bool>,
    pub weight_decay: Option<f64>,
    pub wd_groups: Option<WdGroups>,
    pub checkpoint_minutes: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawSchedule {
    Cosine,
    Step(RawStepSchedule),
    Constant,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStepSchedule {
    pub milestones: Option<Vec<usize>>,
    pub gamma: Option<f64>,
}
