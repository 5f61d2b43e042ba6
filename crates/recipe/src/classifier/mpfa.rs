//! `mpfa`: meta-prototype feature augmentation. Row numbers are those of mpcl_mpfa.md §5.

use serde::{Deserialize, Serialize};

use super::head_training::{HeadTraining, RawHeadTraining, training};
use super::{most_classes, needs_validation};
use crate::check::{At, Problem, Span};
use crate::data::DataRecipe;
use crate::preset::Preset;
use crate::settings::Settings;
use crate::stage1::Schedule;

/// MPFA's settings (rows 13 to 30).
///
/// `preset: paper_literal` starts from Eqs. 9 and 10 to the letter instead of the defaults: ĉ as it is (rows 13, 14),
/// plain Tukey of features that are not normalised (rows 16, 18), 1/M and softmax both (row 21), β = 0.05 added to
/// every entry (row 23), adaptive α from 0.2 (row 24), ⌈N_1/N_k − 1⌉ and at least 1 copies of every sample (row 26),
/// generated once (row 28).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct MpfaRecipe {
    /// Around which prototypes. Default `meta` (stage 1's `meta` tensor; equals `empirical` for `ce` and the control).
    pub prototypes: MpfaPrototypes,
    /// Row 13. Default `class_norm`; literal `unit`.
    pub proto_scale: ProtoScale,
    /// Clamp ĉ at 0 (row 14). Default true; literal false.
    pub proto_clamp: bool,
    /// Row 15. Default `proto`.
    pub cov_center: CovCenter,
    /// Row 15. Default `raw`.
    pub cov_space: CovSpace,
    /// λ of Tukey's ladder in (0, 1] (row 16). Default 0.9; 1 = off.
    pub tukey: f64,
    /// Rescale each row to its norm before Tukey (row 16). Default true; literal false.
    pub tukey_renorm: bool,
    /// Row 18. Default `l2`; literal `none`.
    pub feat_norm: FeatNorm,
    /// Row 19. Default `cos_larger`.
    pub neighbor_rule: NeighborRule,
    /// M, 1 to the number of classes − 1 (row 20). Default 3.
    pub neighbors: usize,
    /// Row 21. Default `softmax`; literal `softmax_over_m`.
    pub weights: NeighborWeights,
    /// Row 23. Default `rel_diag`; literal `abs_all`.
    pub beta_mode: BetaMode,
    /// In [0, 100] (row 23). Default 0.05.
    pub beta: f64,
    /// Row 24. Default `{fixed: 0.4}`; literal `{adaptive: 0.2}`.
    pub alpha: Alpha,
    /// Row 25. Default `below_max`.
    pub tail: TailRule,
    /// Row 26. Default `exact`; literal `ceil`.
    pub count: CountRule,
    /// Row 28. Default `epoch`; literal `once`.
    pub regen: Regen,
    /// Scale of the cosine head, in (0, 1000] (row 12). Default 16.
    pub head_scale: f64,
    /// Default 150 epochs of batches of 128, lr 0.01 constant, momentum 0.9, weight decay 5e-4 (row 29, TailCalibX).
    pub training: HeadTraining,
}

/// Around which prototypes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MpfaPrototypes {
    /// Stage 1's `meta` tensor.
    Meta,
    /// Stage 1's `empirical` tensor.
    Empirical,
    /// Class means of the dumped train features.
    ClassMean,
}

/// The norm r_k of ĉ_k (row 13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProtoScale {
    /// ‖mean of the class's rows‖; the median of those for classes with fewer than 20 images.
    ClassNorm,
    /// Length 1.
    Unit,
    /// The median of `class_norm` over classes with at least 20 images, for every class.
    HeadMedian,
}

/// The centre of Σ_k (row 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CovCenter {
    /// ĉ_k (Eq. 9).
    Proto,
    /// The class's own mean.
    Mean,
}

/// The features of Σ_k (row 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CovSpace {
    /// Before Tukey (Eq. 9).
    Raw,
    /// After Tukey.
    Tukey,
}

/// What is done to features before everything and again before the head (row 18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FeatNorm {
    /// Scale to norm 1.
    L2,
    /// Nothing.
    None,
}

/// Which classes a tail sample borrows from (row 19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NeighborRule {
    /// Largest cosine among classes with more samples.
    CosLarger,
    /// Smallest Euclidean distance among all classes, the own one too (TailCalib).
    L2All,
}

/// ω of the neighbours (row 21).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NeighborWeights {
    /// Softmax of the cosines.
    Softmax,
    /// Softmax / M: Eq. 10 to the letter.
    SoftmaxOverM,
    /// Weight 1/M for each of the M neighbours.
    Uniform,
}

/// Where β goes (row 23).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BetaMode {
    /// β·tr(Σ̄_head)/d on the diagonal.
    RelDiag,
    /// β on the diagonal.
    AbsDiag,
    /// β on every entry, as FL and TailCalib do.
    AbsAll,
}

/// α of Eq. 10 (row 24).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Alpha {
    /// In [0, 1]. Written `{fixed: 0.4}`.
    Fixed(f64),
    /// Per class from this start in [0.1, 0.9], ×1.1 / ×0.9 each epoch by the class's meta loss, clipped to [0.1, 0.9].
    /// Needs `meta_source: metasaug`. Written `{adaptive: 0.2}`.
    Adaptive(f64),
    /// Candidates in [0, 1], chosen on validation data. Needs `meta_source: metasaug`.
    Search(AlphaSearch),
}

/// Candidates for a value chosen on validation data: `steps` of them, evenly spaced, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct AlphaSearch {
    /// In [0, 1]. Default 0.2.
    pub low: f64,
    /// In [low, 1]. Default 0.6.
    pub high: f64,
    /// 2 to 100. Default 3.
    pub steps: usize,
}

impl AlphaSearch {
    /// The candidates, rising: low + i·(high − low)/(steps − 1).
    pub fn candidates(&self) -> Vec<f64> {
        let last = (self.steps - 1).max(1) as f64;
        (0..self.steps).map(|step| self.low + (self.high - self.low) * step as f64 / last).collect()
    }
}

/// Which classes get generated rows (row 25).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TailRule {
    /// All with fewer samples than the largest.
    BelowMax,
    /// Fewer than 100 samples.
    Below100,
    /// Fewer than 20 samples.
    Below20,
}

/// How many rows a class gets (row 26).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CountRule {
    /// N_1 − N_k rows exactly.
    Exact,
    /// max(⌈N_1/N_k − 1⌉, 1) copies of every sample.
    Ceil,
}

/// When rows are drawn (row 28).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Regen {
    /// Fresh noise every epoch.
    Epoch,
    /// Once, before training.
    Once,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMpfa {
    /// What the settings start from. Default `defaults`.
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawAlpha {
    Fixed(f64),
    Adaptive(f64),
    Search(RawAlphaSearch),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAlphaSearch {
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub steps: Option<usize>,
}

impl Settings<DataRecipe> for MpfaRecipe {
    type Raw = RawMpfa;

    const TRAINS_HEAD: bool = true;

    fn resolve(at: &At, raw: RawMpfa, data: &DataRecipe) -> Result<Self, Problem> {
        let start = defaults(raw.preset.unwrap_or_default());
        Ok(Self {
            prototypes: raw.prototypes.unwrap_or(start.prototypes),
            proto_scale: raw.proto_scale.unwrap_or(start.proto_scale),
            proto_clamp: raw.proto_clamp.unwrap_or(start.proto_clamp),
            cov_center: raw.cov_center.unwrap_or(start.cov_center),
            cov_space: raw.cov_space.unwrap_or(start.cov_space),
            tukey: at.real("tukey", raw.tukey, start.tukey, Span::above(0.0, 1.0), "λ of Tukey's ladder; 1 is off")?,
            tukey_renorm: raw.tukey_renorm.unwrap_or(start.tukey_renorm),
            feat_norm: raw.feat_norm.unwrap_or(start.feat_norm),
            neighbor_rule: raw.neighbor_rule.unwrap_or(start.neighbor_rule),
            neighbors: at.count(
                "neighbors",
                raw.neighbors,
                start.neighbors,
                1..=most_classes(data) - 1,
                "M: the other classes",
            )?,
            weights: raw.weights.unwrap_or(start.weights),
            beta_mode: raw.beta_mode.unwrap_or(start.beta_mode),
            beta: at.real("beta", raw.beta, start.beta, Span::closed(0.0, 100.0), "β; the paper uses 0.05")?,
            alpha: alpha(&at.key("alpha"), raw.alpha, start.alpha, data)?,
            tail: raw.tail.unwrap_or(start.tail),
            count: raw.count.unwrap_or(start.count),
            regen: raw.regen.unwrap_or(start.regen),
            head_scale: at.real(
                "head_scale",
                raw.head_scale,
                start.head_scale,
                Span::above(0.0, 1000.0),
                "scale of the cosine head",
            )?,
            training: training(&at.key("training"), raw.training, start.training)?,
        })
    }
}

/// MPFA before its recipe is laid over it.
fn defaults(preset: Preset) -> MpfaRecipe {
    let defaults = MpfaRecipe {
        prototypes: MpfaPrototypes::Meta,
        proto_scale: ProtoScale::ClassNorm,
        proto_clamp: true,
        cov_center: CovCenter::Proto,
        cov_space: CovSpace::Raw,
        tukey: 0.9,
        tukey_renorm: true,
        feat_norm: FeatNorm::L2,
        neighbor_rule: NeighborRule::CosLarger,
        neighbors: 3,
        weights: NeighborWeights::Softmax,
        beta_mode: BetaMode::RelDiag,
        beta: 0.05,
        alpha: Alpha::Fixed(0.4),
        tail: TailRule::BelowMax,
        count: CountRule::Exact,
        regen: Regen::Epoch,
        head_scale: 16.0,
        training: HeadTraining::new(150, 128, 0.01, Schedule::Constant, 0.9),
    };
    match preset {
        Preset::Defaults => defaults,
        Preset::PaperLiteral => MpfaRecipe {
            proto_scale: ProtoScale::Unit,          // row 13: ĉ enters Eqs. 9 and 10 as it is
            proto_clamp: false,                     // row 14
            tukey_renorm: false,                    // row 16
            feat_norm: FeatNorm::None,              // row 18: only the similarity is a cosine
            weights: NeighborWeights::SoftmaxOverM, // row 21: both
            beta_mode: BetaMode::AbsAll,            // row 23: "+β", a scalar on a matrix
            alpha: Alpha::Adaptive(0.2),            // row 24
            count: CountRule::Ceil,                 // row 26
            regen: Regen::Once,                     // row 28: "first pre-compute"
            ..defaults
        },
    }
}

fn alpha(at: &At, raw: Option<RawAlpha>, start: Alpha, data: &DataRecipe) -> Result<Alpha, Problem> {
    let unit = Span::closed(0.0, 1.0);
    let source = "α of Eq. 10, a share";
    let alpha = match raw {
        None => start,
        Some(RawAlpha::Fixed(value)) => Alpha::Fixed(at.key("fixed").in_span(value, unit, source)?),
        Some(RawAlpha::Adaptive(value)) => {
            let clipped = Span::closed(0.1, 0.9);
            Alpha::Adaptive(at.key("adaptive").in_span(value, clipped, "α is clipped to [0.1, 0.9] each epoch")?)
        }
        Some(RawAlpha::Search(search)) => {
            let at = at.key("search");
            let low = at.real("low", search.low, 0.2, unit, source)?;
            let high = at.real("high", search.high, 0.6, Span::closed(low, 1.0), "the largest candidate")?;
            let steps = at.count("steps", search.steps, 3, 2..=100, "candidates, both ends included")?;
            Alpha::Search(AlphaSearch { low, high, steps })
        }
    };
    match alpha {
        Alpha::Fixed(_) => {}
        Alpha::Adaptive(_) => needs_validation(at, "adaptive α follows each class's loss", data)?,
        Alpha::Search(_) => needs_validation(at, "α is chosen among several", data)?,
    }
    Ok(alpha)
}
