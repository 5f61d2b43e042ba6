//! The classification losses of stage 1. A loss with settings is one file: as YAML has them and checked.

mod ldam;

pub use ldam::*;

use serde::{Deserialize, Serialize};

use crate::check::{At, Problem};
use crate::stage1::HeadKind;

/// The classification loss of stage 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Stage1Loss {
    /// Cross-entropy. Written `ce`.
    Ce,
    /// Cross-entropy on logits shifted by log N_k (Ren et al. 2020).
    BalancedSoftmax,
    /// Class-balanced weights, β = 0.9999 (methods.md §3.1).
    ClassBalanced,
    /// Margins that grow as a class gets rarer, with or without DRW. Written `{ldam: {}}`.
    Ldam(LdamRecipe),
}

#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawLoss {
    Ce,
    BalancedSoftmax,
    ClassBalanced,
    Ldam(RawLdam),
}

impl Stage1Loss {
    /// As a recipe writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ce => "ce",
            Self::BalancedSoftmax => "balanced_softmax",
            Self::ClassBalanced => "class_balanced",
            Self::Ldam(_) => "ldam",
        }
    }

    /// `at` is the field that holds the loss's name.
    pub(crate) fn resolve(at: &At, raw: RawLoss, beside: &BesideLoss) -> Result<Self, Problem> {
        if beside.head == HeadKind::NormedLinear && !matches!(raw, RawLoss::Ldam(_)) {
            return Err(at.conflict(
                "the logits of `head: normed_linear` are cosines, and within −1 to 1 cross-entropy cannot become small",
                "use `loss: {ldam: {}}`, which scales them, or `head: {cosine: 16}`",
            ));
        }
        Ok(match raw {
            RawLoss::Ce => Self::Ce,
            RawLoss::BalancedSoftmax => Self::BalancedSoftmax,
            RawLoss::ClassBalanced => Self::ClassBalanced,
            RawLoss::Ldam(raw) => Self::Ldam(LdamRecipe::resolve(&at.key("ldam"), raw, beside)?),
        })
    }
}

/// What the settings of a loss are checked against.
pub(crate) struct BesideLoss {
    /// Epochs of training.
    pub epochs: usize,
    /// The head whose logits it sees.
    pub head: HeadKind,
}
