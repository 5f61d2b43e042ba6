//! Stage 1: prototypes, and meta-prototype contrastive learning. Row numbers are those of mpcl_mpfa.md §5.

use serde::{Deserialize, Serialize};

/// `ce` has no settings of its own; prototypes are still tracked with these EMA settings, so that every classifier runs
/// on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CeRecipe {
    /// How prototypes are tracked.
    pub ema: Ema,
}

/// Settings of MPCL.
///
/// `preset: paper_literal` starts from Eqs. 1 to 8 to the letter instead of the defaults: prototypes of raw features
/// (row 1), EMA only before T_th (row 6), a plain, not residual, meta-network (row 10) stepped by plain SGD at a
/// constant rate of 0.1 (row 11; the paper gives no β, MetaSAug uses 0.1), α_lr kept in the gradient (Eq. 7).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MpclRecipe {
    /// `meta`: the paper. `empirical`: the control without a meta-network. Default `meta`.
    pub prototypes: Prototypes,
    /// λ of L_CE + λ·L_PC, in [0, 100]. Default 0.5 (row 34).
    pub lambda: f64,
    /// Epochs over which λ rises linearly from 0 after T_th, at most the epochs after T_th. Default 0.
    pub lambda_ramp_epochs: usize,
    /// τ in (0, 100]. Default 0.07 (row 34).
    pub tau: f64,
    /// T_th = ⌈t_th_frac · epochs⌉, in [0, 1], and T_th < epochs. Default 0.2 (row 8).
    pub t_th_frac: f64,
    /// Contrast against empirical prototypes before T_th. Default false (row 9).
    pub pc_warm: bool,
    /// How the empirical prototypes are tracked.
    pub ema: Ema,
    /// Go on tracking after T_th. Default true (row 6); literal false.
    pub ema_after_tth: bool,
    /// C(·; Θ).
    pub meta_network: MetaNetworkRecipe,
    /// Meta batch size, 0 to 65536; 0 = batch_size. Default 0 (row 33).
    pub meta_batch: usize,
    /// Default `crop_flip` (row 33).
    pub meta_aug: MetaAug,
    /// Update Θ every this many steps, 1 to 10000. Default 1.
    pub meta_every: usize,
    /// Default `unit` (§4.3); literal `with_lr`.
    pub meta_scale: MetaScale,
    /// Default `sgd` (§4.3; Eq. 6).
    pub virtual_step: VirtualStep,
    /// Default `forward` (§4.4 a).
    pub jvp: Jvp,
    /// Batch norm in the virtual and meta forwards. Default `batch` (§4.6).
    pub meta_bn: MetaBn,
    /// Loss on the meta batch. Default `ce` (row 12; Eq. 7).
    pub meta_loss: MetaLoss,
}

impl MpclRecipe {
    /// T_th = ⌈t_th_frac · epochs⌉: the 0-based epoch at which the contrast begins.
    ///
    /// A product that is a whole number but for rounding counts as that number: 0.07 · 100 is 7, not 8.
    pub fn t_th(&self, epochs: usize) -> usize {
        let product = self.t_th_frac * epochs as f64;
        let whole = product.round();
        if (product - whole).abs() < 1e-9 { whole as usize } else { product.ceil() as usize }
    }
}

/// The meta-network and its optimiser.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MetaNetworkRecipe {
    /// c' = c + f(c), last layer zero-initialised. Default true (row 10). false: the paper to the letter.
    pub residual: bool,
    /// Width h of d→h→h→d, 0 to 65536; 0 = d for d ≤ 128, else 512. Default 0 (row 10).
    pub hidden: usize,
    /// Largest angle in degrees between c' and c, in (0, 180]; c' is clamped to the cone. Default 15 (ours, from the
    /// search in results/meta-network-search.md); literal 180: no bound.
    pub max_angle_deg: f64,
    /// Θ's optimiser. Default `adam` (row 11); literal `sgd`.
    pub optimizer: MetaOptimizer,
    /// Its rate, in (0, 10]. Default 3e-4 (row 11 says 1e-4, without a bound); literal 0.1.
    pub lr: f64,
    /// Follow the network's schedule (rate relative to its peak). Default true (row 11); literal false.
    pub follow_schedule: bool,
    /// Decoupled weight decay, in [0, 1]. Default 0 (§4.3).
    pub weight_decay: f64,
    /// Coefficient of mean ‖c' − c‖² (unit vectors) added to the meta objective, in [0, 1e6]. Default 0.
    pub proximity: f64,
}

/// Which prototypes the features are contrasted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prototypes {
    /// c itself.
    Empirical,
    /// c' = C(c; Θ).
    Meta,
}

/// The EMA prototypes (rows 1 to 5).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Ema {
    /// Default `{fixed: 0.999}` (row 4).
    pub momentum: EmaMomentum,
    /// Default `seq` (row 3).
    pub order: EmaOrder,
    /// Default `sphere` (row 1); literal `raw` (Eq. 1 takes z_i).
    pub space: ProtoSpace,
    /// Divide by 1 − m^t; only with `raw`. Default: true with `raw`, false with `sphere` (row 5); literal false.
    pub debias: bool,
}

/// m of Eq. 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmaMomentum {
    /// One m for all classes, in [0, 1). Written `{fixed: 0.999}`.
    Fixed(f64),
    /// m_k = exp(−1/(E·N_k)): a window of E epochs for every class; E in (0, 100000]. Written `{per_class: 2.0}`.
    PerClass(f64),
}

/// How one batch enters the EMA (row 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmaOrder {
    /// The exact closed form of one update per sample, in batch order.
    Seq,
    /// One update per class and batch, with the mean of the class's samples.
    BatchMean,
}

/// The space of the prototypes (row 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProtoSpace {
    /// Of L2-normalised features, renormalised.
    Sphere,
    /// Of raw features.
    Raw,
}

/// What happens to a meta image (row 33).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetaAug {
    /// The train transform's crop and flip, without AutoAugment and Cutout.
    CropFlip,
    /// The evaluation transform.
    None,
}

/// Whether α_lr stays in ∇Θ (§4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetaScale {
    /// α_lr is dropped; Adam's eps is 1e-8.
    Unit,
    /// α_lr is kept; Adam's eps is 1e-12.
    WithLr,
}

/// Θ's optimiser (row 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetaOptimizer {
    /// β (0.9, 0.999), decoupled weight decay.
    Adam,
    /// The plain step of Eq. 7, no momentum.
    Sgd,
}

/// Ŵ of Eq. 6 (§4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VirtualStep {
    /// W − α_lr·g.
    Sgd,
    /// With momentum and weight decay.
    Momentum,
    /// The same in Nesterov's form.
    Nesterov,
}

/// How u̇ is computed (§4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jvp {
    /// Forward mode, exact.
    Forward,
    /// Central difference.
    Central,
}

/// Batch norm in the virtual and meta forwards (§4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetaBn {
    /// Batch statistics, running ones untouched.
    Batch,
    /// Running statistics.
    Running,
}

/// Loss on the meta batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetaLoss {
    /// Cross-entropy (Eq. 7).
    Ce,
    /// On logits shifted by log N_k of the training set.
    BalancedSoftmax,
}
