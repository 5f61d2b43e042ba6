//! The checked recipe: what the rest of the workspace takes.
//!
//! Every struct here is `#[non_exhaustive]`, so only [`crate::read`] (through `resolve`) makes one, and every number in
//! it has been checked against the range in its doc. It serialises to the YAML that [`crate::read`] accepts, with every
//! default written out: that is the `recipe.yaml` of a run.

use indexmap::IndexMap;
use serde::Serialize;

/// A whole pipeline: data, named representations, named classifiers, and the rows (pairs of the two) of its table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Recipe {
    /// The recipe's name; also the folder under `runs/`.
    pub recipe: String,
    /// One line for `cargo xtask list`.
    pub description: String,
    /// The random seed of the run, any u64; default 0. Every stream is a function of (seed, purpose, epoch, index).
    pub seed: u64,
    /// The images and how they are split.
    pub data: DataRecipe,
    /// Stage 1, by variant name.
    pub representations: IndexMap<String, RepresentationRecipe>,
    /// Stage 2.
    pub features: FeaturesRecipe,
    /// Stage 3, by method name as the recipe calls it.
    pub classifiers: IndexMap<String, ClassifierRecipe>,
    /// The rows of the table, in its order. No part of any stage's key.
    pub rows: Vec<Row>,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// A key of `representations`.
    pub representation: String,
    /// A key of `classifiers`.
    pub classifier: String,
    /// The paper's accuracies in percent, where it has this row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paper: Option<Accuracies>,
    /// The range in percent that this recipe is expected to land in; outside it `reproduce` exits with 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedRanges>,
    /// A remark printed under the table (where the paper's number is from, say).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Top-1 accuracies in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Accuracies {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub many: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub few: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<f64>,
}

/// `[low, high]` in percent for each group that is pinned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExpectedRanges {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub many: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub few: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<[f64; 2]>,
}

// ---------------------------------------------------------------------------------------------------------------- data

/// Which images, and how they are split (protocol.md §1, §7).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DataRecipe {
    pub dataset: Dataset,
    /// N_1 / N_K, at least 1. Default 100.
    pub imbalance_factor: f64,
    /// Where the balanced meta batch comes from. Default `metasaug`.
    pub meta_source: MetaSource,
    /// Images per class held out for the meta set, at least 1. Default 10. Unused with `none`.
    pub meta_per_class: usize,
    /// Seed of LDAM's draw (a legacy NumPy generator). Default 0.
    pub subset_seed: u32,
    /// Seed of the meta draw (a legacy NumPy generator). Default 6 (MetaSAug).
    pub meta_seed: u32,
    /// many: more than `many_above` training images; few: fewer than `few_below`; medium: the rest.
    pub shot_groups: ShotGroups,
    /// Per channel, of pixels in 0..1. Defaults by data set.
    pub normalize: Normalize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Dataset {
    FashionMnist,
    Cifar100,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MetaSource {
    /// `meta_per_class` images per class, held out before the long-tailed draw (MetaSAug, MW-Net).
    Metasaug,
    /// Class-balanced draws from the long-tailed training set itself (BALMS).
    LtBalancedDraws,
    /// No meta set: the CE rows that compare with published baselines. `mpcl` with `prototypes: meta` refuses it.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShotGroups {
    /// Default 100 (CB, BALMS, LADE, PaCo, TailCalibX; protocol.md §6).
    pub many_above: u32,
    /// Default 20.
    pub few_below: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Normalize {
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
}

// ------------------------------------------------------------------------------------------------------ representation

/// Stage 1 for one variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RepresentationRecipe {
    pub method: RepresentationMethod,
    pub backbone: Backbone,
    /// The head trained with the backbone. Default `linear`.
    pub head: HeadKind,
    /// Stage-1 classification loss. Default `ce`.
    pub loss: Stage1Loss,
    /// In [0, 1). Default 0.
    pub label_smoothing: f64,
    /// Default `instance_balanced`.
    pub sampler: Sampler,
    pub augmentation: Augmentation,
    /// At least 1.
    pub epochs: usize,
    /// At least 2 (batch norm).
    pub batch_size: usize,
    /// Drop the last partial batch. Default false (CIFAR convention).
    pub drop_last: bool,
    /// Learning rate for a batch of `lr_batch_size`, > 0; the step uses lr·batch_size/lr_batch_size (linear scaling).
    pub lr: f64,
    /// The batch size that `lr` is stated for. Default: `batch_size`.
    pub lr_batch_size: usize,
    pub schedule: Schedule,
    /// Linear warm-up from lr/warmup_epochs over this many epochs. Default 5 for 200 epochs.
    pub warmup_epochs: usize,
    /// In [0, 1). Default 0.9.
    pub momentum: f64,
    /// Default false.
    pub nesterov: bool,
    /// Coupled L2 as in PyTorch's SGD, ≥ 0. Default 5e-4.
    pub weight_decay: f64,
    /// Default `all`: batch norm and biases too, as every cited code does.
    pub wd_groups: WdGroups,
    /// Minutes between checkpoints inside an epoch, > 0. Default 10. When they fall changes no bit.
    pub checkpoint_minutes: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RepresentationMethod {
    /// Cross-entropy. Written `{ce: {}}`.
    Ce(CeRecipe),
    /// Meta-prototype contrastive learning (mpcl_mpfa.md §2 to §5).
    Mpcl(Box<MpclRecipe>),
}

/// `ce` has no settings of its own; prototypes are still tracked with these EMA settings, so that every classifier runs on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CeRecipe {
    pub ema: Ema,
}

/// Settings of MPCL. Row numbers are those of mpcl_mpfa.md §5.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MpclRecipe {
    /// `meta`: the paper. `empirical`: the control without a meta-network.
    pub prototypes: Prototypes,
    /// λ of L_CE + λ·L_PC, ≥ 0. Default 0.5 (row 34).
    pub lambda: f64,
    /// Epochs over which λ rises linearly from 0 after T_th, ≥ 0. Default 0.
    pub lambda_ramp_epochs: usize,
    /// τ > 0. Default 0.07 (row 34).
    pub tau: f64,
    /// T_th = ceil(t_th_frac · epochs), in [0, 1]. Default 0.2 (row 8).
    pub t_th_frac: f64,
    /// Contrast against empirical prototypes before T_th. Default false (row 9).
    pub pc_warm: bool,
    pub ema: Ema,
    /// Default true (row 6).
    pub ema_after_tth: bool,
    pub meta_network: MetaNetworkRecipe,
    /// Meta batch size; 0 = batch_size. Default 0 (row 33).
    pub meta_batch: usize,
    /// Default `crop_flip` (row 33): the train transform's crop and flip without AutoAugment. `none`: evaluation transform.
    pub meta_aug: MetaAug,
    /// Update Θ every this many steps, ≥ 1. Default 1.
    pub meta_every: usize,
    /// Default `unit` (§4.3): α_lr dropped from ∇Θ. `with_lr`: kept, Adam eps 1e-12.
    pub meta_scale: MetaScale,
    /// Default `sgd` (§4.3).
    pub virtual_step: VirtualStep,
    /// Default `forward` (§4.4 a).
    pub jvp: Jvp,
    /// Batch norm in the virtual and meta forwards. Default `batch` (§4.6).
    pub meta_bn: MetaBn,
    /// Loss on the meta batch. Default `ce` (row 12).
    pub meta_loss: MetaLoss,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MetaNetworkRecipe {
    /// c' = c + f(c), last layer zero-initialised. Default true (row 10). false: the paper to the letter.
    pub residual: bool,
    /// Width h of d→h→h→d; 0 = d for d ≤ 128, else 512. Default 0.
    pub hidden: usize,
    /// Largest angle in degrees between c' and c, in (0, 180]; c' is clamped to the cone. 180 = no bound.
    pub max_angle_deg: f64,
    /// Adam's rate. Default 1e-4 (row 11).
    pub lr: f64,
    /// Follow the network's schedule (rate relative to its peak). Default true.
    pub follow_schedule: bool,
    /// Decoupled weight decay, ≥ 0. Default 0 (§4.3).
    pub weight_decay: f64,
    /// Coefficient of mean ‖c' − c‖² (unit vectors) added to the meta objective, ≥ 0. Default 0.
    pub proximity: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Prototypes {
    Empirical,
    Meta,
}

/// The EMA prototypes (rows 1 to 5).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Ema {
    pub momentum: EmaMomentum,
    /// `seq`: the exact closed form of one update per sample, in batch order. `batch_mean`: one update per class and batch.
    pub order: EmaOrder,
    /// `sphere`: of L2-normalised features, renormalised. `raw`: of raw features.
    pub space: ProtoSpace,
    /// Divide by 1 − m^t; only with `raw`.
    pub debias: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EmaMomentum {
    /// One m for all classes, in [0, 1). Default 0.999 (row 4).
    Fixed(f64),
    /// m_k = exp(−1/(E·N_k)): a window of E epochs for every class.
    PerClass(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EmaOrder {
    Seq,
    BatchMean,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProtoSpace {
    Sphere,
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MetaAug {
    CropFlip,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MetaScale {
    Unit,
    WithLr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VirtualStep {
    Sgd,
    Momentum,
    Nesterov,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Jvp {
    Forward,
    Central,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MetaBn {
    Batch,
    Running,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MetaLoss {
    Ce,
    BalancedSoftmax,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Backbone {
    /// The CIFAR ResNet of depth 6n+2 with 16/32/64 channels, option A; feature dim 64. `{resnet: 32}`.
    Resnet(usize),
    /// ResNet-32 in BBN's 128-d two-headed form (protocol.md §1.4). `{resnet_two_headed: 32}`.
    ResnetTwoHeaded(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HeadKind {
    /// z·Wᵀ + b. Written `linear`.
    Linear,
    /// s·cos(z, w_k), no bias; the value is s (16 by default). Written `{cosine: 16.0}`.
    Cosine(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage1Loss {
    Ce,
    BalancedSoftmax,
    /// Class-balanced weights, β = 0.9999 (methods.md §3.1).
    ClassBalanced,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sampler {
    InstanceBalanced,
    ClassBalanced,
    SquareRoot,
    ProgressivelyBalanced,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Augmentation {
    /// Normalise only.
    None,
    /// Zero-padded random crop (pad 4) and horizontal flip (protocol.md §1.3).
    Basic,
    /// `basic`, CIFAR-10 AutoAugment, Cutout 1×16. Three channels only.
    AutoaugmentCutout,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Schedule {
    /// lr/2·(1 + cos(π·e/T)), e the 0-based epoch counted from the end of warm-up, T the epochs left: written `cosine`.
    Cosine,
    /// Multiply by `gamma` at each 0-based epoch of `milestones`.
    Step(StepSchedule),
    /// Constant. Written `constant`.
    Constant,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepSchedule {
    pub milestones: Vec<usize>,
    pub gamma: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WdGroups {
    All,
    /// Convolution and linear weights only.
    WeightsOnly,
}

// ------------------------------------------------------------------------------------------------------------ features

/// Stage 2.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FeaturesRecipe {
    /// Augmented views of train dumped beside the plain one, 0 or more. Default 0.
    pub views: usize,
    /// Images per forward, ≥ 1. Default 256. Changes no bit.
    pub batch_size: usize,
}

// ---------------------------------------------------------------------------------------------------------- classifier

/// Stage 3, one method.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClassifierRecipe {
    /// Stage 1's head as it is.
    Joint(JointRecipe),
    Crt(CrtRecipe),
    Lws(LwsRecipe),
    TauNorm(TauNormRecipe),
    Ncm(NcmRecipe),
    /// TailCalib: generated once.
    Tailcalib(TailCalibRecipe),
    /// TailCalibX: generated every epoch, from augmented views where stage 2 dumped them.
    TailcalibX(TailCalibRecipe),
    Mpfa(Box<MpfaRecipe>),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct JointRecipe {}

/// Training of a head on features.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HeadTraining {
    pub epochs: usize,
    pub batch_size: usize,
    pub lr: f64,
    pub schedule: Schedule,
    pub momentum: f64,
    pub weight_decay: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CrtRecipe {
    pub training: HeadTraining,
    /// Default `class_balanced` (ClassAware, 4 in a row).
    pub sampler: Sampler,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LwsRecipe {
    pub training: HeadTraining,
    pub sampler: Sampler,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TauNormRecipe {
    /// Candidates, chosen on validation data. Default 0, 0.1, …, 2.
    pub taus: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NcmRecipe {
    pub normalize: NcmNormalize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NcmNormalize {
    /// Raw features.
    None,
    L2,
    /// Subtract the global train mean, then L2 (CB's default).
    Cl2n,
}

/// TailCalib's numbers (methods.md §4.20).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TailCalibRecipe {
    /// Tukey λ in (0, 1]. Default 1.0 (factor 100).
    pub tukey: f64,
    /// α added to every entry of the covariance, ≥ 0. Default 0.
    pub alpha: f64,
    /// Neighbours, ≥ 1. Default 3.
    pub neighbors: usize,
    pub training: HeadTraining,
}

/// MPFA's settings (mpcl_mpfa.md §5 rows 13 to 30).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MpfaRecipe {
    /// Around which prototypes. Default `meta` (stage 1's `meta` tensor; equals `empirical` for `ce` and the control).
    pub prototypes: MpfaPrototypes,
    /// Row 13. Default `class_norm`.
    pub proto_scale: ProtoScale,
    /// Row 14. Default true.
    pub proto_clamp: bool,
    /// Row 15. Defaults `proto`, `raw`.
    pub cov_center: CovCenter,
    pub cov_space: CovSpace,
    /// Row 16: λ in (0, 1]. Default 0.9; 1 = off.
    pub tukey: f64,
    /// Row 16. Default true.
    pub tukey_renorm: bool,
    /// Row 18. Default `l2`.
    pub feat_norm: FeatNorm,
    /// Row 19. Default `cos_larger`.
    pub neighbor_rule: NeighborRule,
    /// Row 20: M ≥ 1. Default 3.
    pub neighbors: usize,
    /// Row 21. Default `softmax`.
    pub weights: NeighborWeights,
    /// Row 23. Defaults `rel_diag`, 0.05.
    pub beta_mode: BetaMode,
    pub beta: f64,
    /// Row 24. Default fixed 0.4.
    pub alpha: Alpha,
    /// Row 25. Default `below_max`.
    pub tail: TailRule,
    /// Row 26. Default `exact`.
    pub count: CountRule,
    /// Row 28. Default `epoch`.
    pub regen: Regen,
    /// Row 29: scale of the cosine head. Default 16.
    pub head_scale: f64,
    pub training: HeadTraining,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MpfaPrototypes {
    Meta,
    Empirical,
    /// Class means of the dumped train features.
    ClassMean,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProtoScale {
    ClassNorm,
    Unit,
    HeadMedian,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CovCenter {
    Proto,
    Mean,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CovSpace {
    Raw,
    Tukey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FeatNorm {
    L2,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NeighborRule {
    /// Largest cosine among classes with more samples.
    CosLarger,
    /// Smallest Euclidean distance among all classes, the own one too (TailCalib).
    L2All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NeighborWeights {
    Softmax,
    /// Softmax / M: Eq. 10 to the letter.
    SoftmaxOverM,
    Uniform,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BetaMode {
    RelDiag,
    AbsDiag,
    AbsAll,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Alpha {
    /// In [0, 1].
    Fixed(f64),
    /// Per class from this start, ×1.1 / ×0.9 each epoch by the class's meta loss, clipped to [0.1, 0.9].
    Adaptive(f64),
    /// Candidates in [0, 1], chosen on validation data.
    Search(AlphaSearch),
}

/// Candidates for a value chosen on validation data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AlphaSearch {
    pub low: f64,
    pub high: f64,
    pub steps: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TailRule {
    BelowMax,
    Below100,
    Below20,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CountRule {
    Exact,
    Ceil,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Regen {
    Epoch,
    Once,
}
