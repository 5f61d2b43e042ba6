//! Stage 1 as written.

use serde::Deserialize;

use super::Preset;
use crate::resolved::{
    Augmentation, Backbone, CudaPrecision, EmaMomentum, EmaOrder, HeadKind, Jvp, MetaAug, MetaBn, MetaLoss,
    MetaOptimizer, MetaScale, ProtoSpace, Prototypes, Sampler, Stage1Loss, VirtualStep, WdGroups,
};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRepresentation {
    pub method: Option<RawMethod>,
    pub backbone: Option<Backbone>,
    pub head: Option<HeadKind>,
    pub loss: Option<Stage1Loss>,
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
#[serde(rename_all = "snake_case")]
pub(crate) enum RawMethod {
    Ce(RawCe),
    Mpcl(Box<RawMpcl>),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCe {
    pub ema: Option<RawEma>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMpcl {
    pub preset: Option<Preset>,
    pub prototypes: Option<Prototypes>,
    pub lambda: Option<f64>,
    pub lambda_ramp_epochs: Option<usize>,
    pub tau: Option<f64>,
    pub t_th_frac: Option<f64>,
    pub pc_warm: Option<bool>,
    pub ema: Option<RawEma>,
    pub ema_after_tth: Option<bool>,
    pub meta_network: Option<RawMetaNetwork>,
    pub meta_batch: Option<usize>,
    pub meta_aug: Option<MetaAug>,
    pub meta_every: Option<usize>,
    pub meta_scale: Option<MetaScale>,
    pub virtual_step: Option<VirtualStep>,
    pub jvp: Option<Jvp>,
    pub meta_bn: Option<MetaBn>,
    pub meta_loss: Option<MetaLoss>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMetaNetwork {
    pub residual: Option<bool>,
    pub hidden: Option<usize>,
    pub max_angle_deg: Option<f64>,
    pub optimizer: Option<MetaOptimizer>,
    pub lr: Option<f64>,
    pub follow_schedule: Option<bool>,
    pub weight_decay: Option<f64>,
    pub proximity: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEma {
    pub momentum: Option<EmaMomentum>,
    pub order: Option<EmaOrder>,
    pub space: Option<ProtoSpace>,
    pub debias: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawSchedule {
    Cosine,
    Step(RawStepSchedule),
    Constant,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStepSchedule {
    pub milestones: Option<Vec<usize>>,
    pub gamma: Option<f64>,
}
