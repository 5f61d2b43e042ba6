//! Stage 3 as written.

use serde::Deserialize;

use super::{Preset, RawSchedule};
use crate::resolved::{
    BetaMode, CountRule, CovCenter, CovSpace, FeatNorm, MpfaPrototypes, NcmNormalize, NeighborRule, NeighborWeights,
    ProtoScale, Regen, Sampler, TailRule,
};

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawClassifier {
    Joint(RawJoint),
    Crt(RawRetrain),
    Lws(RawRetrain),
    TauNorm(RawTauNorm),
    Ncm(RawNcm),
    Tailcalib(RawTailCalib),
    TailcalibX(RawTailCalib),
    Mpfa(Box<RawMpfa>),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawJoint {}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHeadTraining {
    pub epochs: Option<usize>,
    pub batch_size: Option<usize>,
    pub lr: Option<f64>,
    pub schedule: Option<RawSchedule>,
    pub momentum: Option<f64>,
    pub weight_decay: Option<f64>,
}

/// cRT and LWS.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRetrain {
    pub training: Option<RawHeadTraining>,
    pub sampler: Option<Sampler>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTauNorm {
    pub taus: Option<Vec<f64>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNcm {
    pub normalize: Option<NcmNormalize>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTailCalib {
    pub tukey: Option<f64>,
    pub alpha: Option<f64>,
    pub neighbors: Option<usize>,
    pub training: Option<RawHeadTraining>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMpfa {
    pub preset: Option<Preset>,
    pub prototypes: Option<MpfaPrototypes>,
    pub proto_scale: Option<ProtoScale>,
    pub proto_clamp: Option<bool>,
    pub cov_center: Option<CovCenter>,
    pub cov_space: Option<CovSpace>,
    pub tukey: Option<f64>,
    pub tukey_renorm: Option<bool>,
    pub feat_norm: Option<FeatNorm>,
    pub neighbor_rule: Option<NeighborRule>,
    pub neighbors: Option<usize>,
    pub weights: Option<NeighborWeights>,
    pub beta_mode: Option<BetaMode>,
    pub beta: Option<f64>,
    pub alpha: Option<RawAlpha>,
    pub tail: Option<TailRule>,
    pub count: Option<CountRule>,
    pub regen: Option<Regen>,
    pub head_scale: Option<f64>,
    pub training: Option<RawHeadTraining>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawAlpha {
    Fixed(f64),
    Adaptive(f64),
    Search(RawAlphaSearch),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAlphaSearch {
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub steps: Option<usize>,
}
