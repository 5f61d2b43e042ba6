//! The heads that stage 1 trains.

use serde::{Deserialize, Serialize};

use crate::check::{At, Problem, Span};

/// The head that stage 1 trains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HeadKind {
    /// z·Wᵀ + b. Written `linear`.
    Linear,
    /// s·cos(z, w_k), no bias; the value is s, in (0, 1000]. Written `{cosine: 16.0}`.
    Cosine(f64),
    /// cos(z, w_k), no bias, rows of norm 1 at the start: LDAM's head, and taken with `loss: {ldam: …}` alone. Written `normed_linear`.
    NormedLinear,
}

pub(super) fn resolve(at: &At, head: HeadKind) -> Result<HeadKind, Problem> {
    if let HeadKind::Cosine(scale) = head {
        at.key("cosine").in_span(scale, Span::above(0.0, 1000.0), "scale of a cosine head; 16 in TailCalibX")?;
    }
    Ok(head)
}
