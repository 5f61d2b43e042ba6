//! `tau_norm`: rows of the head divided by a power of their norm.

use serde::{Deserialize, Serialize};

use super::needs_validation;
use crate::check::{At, Problem, Span};
use crate::data::DataRecipe;
use crate::settings::Settings;

/// τ-normalisation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TauNormRecipe {
    /// Candidates in [0, 10], rising, at most 1000; chosen on validation data. Default 0, 0.1, …, 2. Several need
    /// `meta_source: metasaug`.
    pub taus: Vec<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTauNorm {
    pub taus: Option<Vec<f64>>,
}

impl Settings<DataRecipe> for TauNormRecipe {
    type Raw = RawTauNorm;

    fn resolve(at: &At, raw: RawTauNorm, data: &DataRecipe) -> Result<Self, Problem> {
        let at = at.key("taus");
        let given = raw.taus.is_some();
        let taus = raw.taus.unwrap_or_else(zero_to_two);
        if taus.is_empty() || taus.len() > 1000 {
            return Err(at.range(
                format!("a list of {} values", taus.len()),
                "a list of 1 to 1000",
                "τ is one of them",
            ));
        }
        let mut before = f64::NEG_INFINITY;
        for (index, tau) in taus.iter().enumerate() {
            at.key(index).in_span(
                *tau,
                Span::closed(0.0, 10.0),
                "τ = 0 leaves the head as it is, τ = 1 makes all norms 1",
            )?;
            if *tau <= before {
                return Err(at.key(index).range(tau, format!("above {before}"), "candidates rise"));
            }
            before = *tau;
        }
        if taus.len() > 1 {
            let what =
                if given { "τ is chosen among several" } else { "without `taus`, τ is chosen among 0, 0.1, …, 2" };
            needs_validation(&at, what, data)?;
        }
        Ok(Self { taus })
    }
}

/// 0, 0.1, …, 2.
fn zero_to_two() -> Vec<f64> {
    (0..=20).map(|step| f64::from(step) / 10.0).collect()
}
