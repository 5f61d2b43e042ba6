//! How stage 3 trains a head: what methods that do share.

use serde::{Deserialize, Serialize};

use crate::check::{At, Problem, Span};
use crate::stage1::RawSchedule;
use crate::stage1::resolve_schedule;
use crate::stage1::{Sampler, Schedule};

/// Training of a head on features with SGD.
///
/// Defaults differ by method: see each. `head_training_defaults` of a recipe stands between the two.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

impl HeadTraining {
    /// A method's defaults; weight decay is 5e-4 in all of them.
    pub(super) fn new(epochs: usize, batch_size: usize, lr: f64, schedule: Schedule, momentum: f64) -> Self {
        Self { epochs, batch_size, lr, schedule, momentum, weight_decay: 5e-4 }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHeadTraining {
    pub epochs: Option<usize>,
    pub batch_size: Option<usize>,
    pub lr: Option<f64>,
    pub schedule: Option<RawSchedule>,
    pub momentum: Option<f64>,
    pub weight_decay: Option<f64>,
}

/// cRT and LWS: training with a sampler.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRetrain {
    pub training: Option<RawHeadTraining>,
    pub sampler: Option<Sampler>,
}

/// A head's training, over a method's own defaults.
pub(super) fn training(at: &At, raw: Option<RawHeadTraining>, default: HeadTraining) -> Result<HeadTraining, Problem> {
    let raw = raw.unwrap_or_default();
    let epochs = at.count("epochs", raw.epochs, default.epochs, 1..=100_000, "passes over the features")?;
    Ok(HeadTraining {
        epochs,
        batch_size: at.count("batch_size", raw.batch_size, default.batch_size, 1..=65536, "features per step")?,
        lr: at.real("lr", raw.lr, default.lr, Span::above(0.0, 100.0), "a learning rate")?,
        schedule: match raw.schedule {
            Some(schedule) => resolve_schedule(&at.key("schedule"), schedule, epochs)?,
            None => default.schedule,
        },
        momentum: at.real("momentum", raw.momentum, default.momentum, Span::below(0.0, 1.0), "SGD's momentum")?,
        weight_decay: at.real(
            "weight_decay",
            raw.weight_decay,
            default.weight_decay,
            Span::closed(0.0, 1.0),
            "coupled L2",
        )?,
    })
}
