//! Stage 3: every method but MPFA.

use serde::{Deserialize, Serialize};

use super::mpfa::MpfaRecipe;
use super::representation::{Sampler, Schedule};

/// Stage 3, one method.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassifierRecipe {
    /// Stage 1's head as it is.
    Joint(JointRecipe),
    /// A new linear head, balanced sampling (Kang et al. 2020).
    Crt(CrtRecipe),
    /// One learnt scale per class on stage 1's linear head.
    Lws(LwsRecipe),
    /// w_k / ‖w_k‖^τ. Refuses a representation with a cosine head.
    TauNorm(TauNormRecipe),
    /// The nearest class mean.
    Ncm(NcmRecipe),
    /// TailCalib: generated once.
    Tailcalib(TailCalibRecipe),
    /// TailCalibX: generated every epoch, from augmented views where stage 2 dumped them.
    TailcalibX(TailCalibRecipe),
    /// Meta-prototype feature augmentation (mpcl_mpfa.md §3).
    Mpfa(Box<MpfaRecipe>),
}

impl ClassifierRecipe {
    /// The method's name as a recipe writes it.
    pub fn method(&self) -> &'static str {
        match self {
            ClassifierRecipe::Joint(_) => "joint",
            ClassifierRecipe::Crt(_) => "crt",
            ClassifierRecipe::Lws(_) => "lws",
            ClassifierRecipe::TauNorm(_) => "tau_norm",
            ClassifierRecipe::Ncm(_) => "ncm",
            ClassifierRecipe::Tailcalib(_) => "tailcalib",
            ClassifierRecipe::TailcalibX(_) => "tailcalib_x",
            ClassifierRecipe::Mpfa(_) => "mpfa",
        }
    }
}

/// `joint` has no settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct JointRecipe {}

/// Training of a head on features with SGD.
///
/// Defaults differ by method: see each. `head_training_defaults` of a recipe stands between the two.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HeadTraining {
    /// 1 to 100000.
    pub epochs: usize,
    /// 1 to 65536.
    pub batch_size: usize,
    /// In (0, 100].
    pub lr: f64,
    /// No warm-up.
    pub schedule: Schedule,
    /// In [0, 1).
    pub momentum: f64,
    /// Coupled L2, in [0, 1].
    pub weight_decay: f64,
}

/// cRT (methods.md §3.8, §4.5).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CrtRecipe {
    /// Default 10 epochs of batches of 512, lr 0.2 cosine, momentum 0.9, weight decay 5e-4 (CB's ImageNet-LT recipe).
    pub training: HeadTraining,
    /// Default `class_balanced` (ClassAware, 4 in a row).
    pub sampler: Sampler,
}

/// LWS (methods.md §3.8, §4.5).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LwsRecipe {
    /// Default as cRT's, 5 epochs.
    pub training: HeadTraining,
    /// Default `class_balanced` (ClassAware, 4 in a row).
    pub sampler: Sampler,
}

/// τ-normalisation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TauNormRecipe {
    /// Candidates in [0, 10], rising, at most 1000; chosen on validation data. Default 0, 0.1, …, 2. Several need
    /// `meta_source: metasaug`.
    pub taus: Vec<f64>,
}

/// The nearest class mean.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NcmRecipe {
    /// Default `cl2n` (CB's default).
    pub normalize: NcmNormalize,
}

/// What is done to a feature before the nearest mean is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NcmNormalize {
    /// Raw features.
    None,
    /// L2.
    L2,
    /// Subtract the global train mean, then L2.
    Cl2n,
}

/// TailCalib's numbers (methods.md §4.20): (tukey, momentum, alpha, neighbors) are (1, 0.7, 0, 3) at factor 100,
/// (0.9, 0, 0.2, 3) at 50 and (0.9, 0.9, 0, 2) at 10 on CIFAR-100-LT.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TailCalibRecipe {
    /// Tukey λ in (0, 1]. Default 1 (factor 100).
    pub tukey: f64,
    /// α added to every entry of the covariance, in [0, 100]. Default 0 (factor 100).
    pub alpha: f64,
    /// Neighbours, 1 to the number of classes. Default 3.
    pub neighbors: usize,
    /// Default 150 epochs of batches of 128, lr 0.01 constant, momentum 0.7, weight decay 5e-4.
    pub training: HeadTraining,
}
