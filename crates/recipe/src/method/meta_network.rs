//! MPCL's meta-network C(·; Θ) and its optimiser. Row numbers are those of mpcl_mpfa.md §5.

use serde::{Deserialize, Serialize};

use crate::check::{At, Problem, Span};
use crate::preset::Preset;

/// The meta-network and its optimiser.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

impl MetaNetworkRecipe {
    /// The width h between features of `dim` numbers: `hidden`, or what 0 stands for.
    pub fn hidden_width(&self, dim: usize) -> usize {
        match (self.hidden, dim) {
            (0, dim) if dim <= 128 => dim,
            (0, _) => 512,
            (hidden, _) => hidden,
        }
    }
}

/// Θ's optimiser (row 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MetaOptimizer {
    /// β (0.9, 0.999), decoupled weight decay.
    Adam,
    /// The plain step of Eq. 7, no momentum.
    Sgd,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMetaNetwork {
    pub residual: Option<bool>,
    pub hidden: Option<usize>,
    pub max_angle_deg: Option<f64>,
    pub optimizer: Option<MetaOptimizer>,
    pub lr: Option<f64>,
    pub follow_schedule: Option<bool>,
    pub weight_decay: Option<f64>,
    pub proximity: Option<f64>,
}

/// The meta-network before its recipe is laid over it.
pub(super) fn defaults(preset: Preset) -> MetaNetworkRecipe {
    match preset {
        Preset::Defaults => MetaNetworkRecipe {
            residual: true,
            hidden: 0,
            // Unbounded, c' left its class in every run that we made (results/meta-network-search.md): the meta loss looks one
            // step ahead, and nothing in Eqs. 4 to 8 holds c' near c.
            max_angle_deg: 15.0,
            optimizer: MetaOptimizer::Adam,
            lr: 3e-4,
            follow_schedule: true,
            weight_decay: 0.0,
            proximity: 0.0,
        },
        Preset::PaperLiteral => MetaNetworkRecipe {
            residual: false, // row 10: Linear-ReLU, Linear-ReLU-Linear
            hidden: 0,
            max_angle_deg: 180.0,
            optimizer: MetaOptimizer::Sgd, // row 11: a plain step of rate β, which the paper leaves open;
            lr: 0.1,                       // MetaSAug, whose meta set it takes, uses 0.1
            follow_schedule: false,        // β carries no epoch
            weight_decay: 0.0,
            proximity: 0.0,
        },
    }
}

pub(super) fn resolve(at: &At, raw: RawMetaNetwork, start: MetaNetworkRecipe) -> Result<MetaNetworkRecipe, Problem> {
    Ok(MetaNetworkRecipe {
        residual: raw.residual.unwrap_or(start.residual),
        hidden: at.count("hidden", raw.hidden, start.hidden, 0..=65536, "a width; 0 follows the features")?,
        max_angle_deg: at.real(
            "max_angle_deg",
            raw.max_angle_deg,
            start.max_angle_deg,
            Span::above(0.0, 180.0),
            "an angle in degrees; 180 means no bound",
        )?,
        optimizer: raw.optimizer.unwrap_or(start.optimizer),
        lr: at.real(
            "lr",
            raw.lr,
            start.lr,
            Span::above(0.0, 10.0),
            "a learning rate; 1e-3 with Adam diverged (docs/method/mpcl_mpfa.md §9)",
        )?,
        follow_schedule: raw.follow_schedule.unwrap_or(start.follow_schedule),
        weight_decay: at.real(
            "weight_decay",
            raw.weight_decay,
            start.weight_decay,
            Span::closed(0.0, 1.0),
            "decoupled weight decay",
        )?,
        proximity: at.real("proximity", raw.proximity, start.proximity, Span::closed(0.0, 1e6), "a coefficient")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_of_0_follows_the_features() {
        let of = |hidden| MetaNetworkRecipe { hidden, ..defaults(Preset::Defaults) };
        let widths =
            [(64, 0), (128, 0), (256, 0), (2048, 0), (64, 32)].map(|(dim, hidden)| of(hidden).hidden_width(dim));
        assert_eq!(widths, [64, 128, 512, 512, 32]);
    }
}
