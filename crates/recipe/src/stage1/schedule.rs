//! The learning rate over the epochs.

use serde::{Deserialize, Serialize};

use crate::check::{At, Problem, Span};

/// The learning rate over the epochs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// lr/2·(1 + cos(π·e/T)), e the 0-based epoch counted from the end of warm-up, T the epochs left: written `cosine`.
    Cosine,
    /// Multiply by `gamma` at each 0-based epoch of `milestones`.
    Step(StepSchedule),
    /// Constant. Written `constant`.
    Constant,
}

/// Drops of the learning rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct StepSchedule {
    /// 0-based epochs, rising, each in 1..epochs; at least one.
    pub milestones: Vec<usize>,
    /// In (0, 1]. Default 0.1.
    pub gamma: f64,
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

/// The learning rate over `epochs` epochs.
pub(crate) fn resolve(at: &At, raw: RawSchedule, epochs: usize) -> Result<Schedule, Problem> {
    let step = match raw {
        RawSchedule::Cosine => return Ok(Schedule::Cosine),
        RawSchedule::Constant => return Ok(Schedule::Constant),
        RawSchedule::Step(step) => step,
    };
    let at = at.key("step");
    let milestones = step.milestones.unwrap_or_default();
    if milestones.is_empty() {
        return Err(at.missing("milestones", "an increasing list of epochs, such as [120, 160]"));
    }
    let mut before = 0;
    for (index, milestone) in milestones.iter().enumerate() {
        if *milestone <= before || *milestone >= epochs {
            let legal = format!("above {before} and below epochs = {epochs}");
            return Err(at.key("milestones").key(index).range(
                milestone,
                legal,
                "milestones must increase and lie within the run",
            ));
        }
        before = *milestone;
    }
    let gamma = at.real("gamma", step.gamma, 0.1, Span::above(0.0, 1.0), "the learning rate is multiplied by it")?;
    Ok(Schedule::Step(StepSchedule { milestones, gamma }))
}
