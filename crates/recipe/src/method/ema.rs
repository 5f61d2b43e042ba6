//! How a class's prototype follows its features: what `ce` and `mpcl` share. Row numbers are those of mpcl_mpfa.md §5.

use serde::{Deserialize, Serialize};

use crate::check::{At, Problem, Span};
use crate::preset::Preset;

/// The EMA prototypes (rows 1 to 5).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EmaMomentum {
    /// One m for all classes, in [0, 1). Written `{fixed: 0.999}`.
    Fixed(f64),
    /// m_k = exp(−1/(E·N_k)): a window of E epochs for every class; E in (0, 100000]. Written `{per_class: 2.0}`.
    PerClass(f64),
}

/// How one batch enters the EMA (row 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EmaOrder {
    /// The exact closed form of one update per sample, in batch order.
    Seq,
    /// One update per class and batch, with the mean of the class's samples.
    BatchMean,
}

/// The space of the prototypes (row 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProtoSpace {
    /// Of L2-normalised features, renormalised.
    Sphere,
    /// Of raw features.
    Raw,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEma {
    pub momentum: Option<EmaMomentum>,
    pub order: Option<EmaOrder>,
    pub space: Option<ProtoSpace>,
    pub debias: Option<bool>,
}

/// Prototypes of the unit sphere, one EMA step a sample.
pub(super) fn defaults(preset: Preset) -> Ema {
    Ema {
        momentum: EmaMomentum::Fixed(0.999),
        order: EmaOrder::Seq,
        space: match preset {
            Preset::Defaults => ProtoSpace::Sphere,
            Preset::PaperLiteral => ProtoSpace::Raw,
        },
        debias: false,
    }
}

pub(super) fn resolve(at: &At, raw: Option<RawEma>, preset: Preset) -> Result<Ema, Problem> {
    let raw = raw.unwrap_or_default();
    let start = defaults(preset);
    let momentum = raw.momentum.unwrap_or(start.momentum);
    let momentum_at = at.key("momentum");
    match momentum {
        EmaMomentum::Fixed(m) => {
            momentum_at.key("fixed").in_span(m, Span::below(0.0, 1.0), "m of Eq. 1; the paper uses 0.999")?
        }
        EmaMomentum::PerClass(window) => {
            momentum_at.key("per_class").in_span(window, Span::above(0.0, 100_000.0), "a window in epochs")?
        }
    };
    let space = raw.space.unwrap_or(start.space);
    // To the letter, Eq. 1 has no correction; raw prototypes otherwise need it (row 5).
    let debias = raw.debias.unwrap_or(space == ProtoSpace::Raw && preset == Preset::Defaults);
    if debias && space != ProtoSpace::Raw {
        return Err(at.key("debias").conflict(
            "prototypes on the unit sphere are normalised again, so dividing by 1 − m^t changes nothing",
            "leave out `debias`, or set `space: raw`",
        ));
    }
    Ok(Ema { momentum, order: raw.order.unwrap_or(start.order), space, debias })
}
