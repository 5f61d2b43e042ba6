//! `tailcalib` and `tailcalib_x`: tail features drawn from Gaussians that neighbouring classes calibrate.

use serde::{Deserialize, Serialize};

use super::head_training::{HeadTraining, RawHeadTraining, training};
use super::most_classes;
use crate::check::{At, Problem, Span};
use crate::data::DataRecipe;
use crate::settings::Settings;
use crate::stage1::Schedule;

/// TailCalib's numbers (methods.md §4.20): (tukey, momentum, alpha, neighbors) are (1, 0.7, 0, 3) at factor 100,
/// (0.9, 0, 0.2, 3) at 50 and (0.9, 0.9, 0, 2) at 10 on CIFAR-100-LT.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTailCalib {
    pub tukey: Option<f64>,
    pub alpha: Option<f64>,
    pub neighbors: Option<usize>,
    pub training: Option<RawHeadTraining>,
}

impl Settings<DataRecipe> for TailCalibRecipe {
    type Raw = RawTailCalib;

    const TRAINS_HEAD: bool = true;

    fn resolve(at: &At, raw: RawTailCalib, data: &DataRecipe) -> Result<Self, Problem> {
        Ok(Self {
            tukey: at.real("tukey", raw.tukey, 1.0, Span::above(0.0, 1.0), "λ of Tukey's ladder; 1 is off")?,
            alpha: at.real(
                "alpha",
                raw.alpha,
                0.0,
                Span::closed(0.0, 100.0),
                "added to every entry of a covariance",
            )?,
            neighbors: at.count(
                "neighbors",
                raw.neighbors,
                3,
                1..=most_classes(data),
                "classes, including the class itself",
            )?,
            training: training(
                &at.key("training"),
                raw.training,
                HeadTraining::new(150, 128, 0.01, Schedule::Constant, 0.7),
            )?,
        })
    }
}
