//! `ldam`: label-distribution-aware margins, and deferred re-weighting (DRW).

use serde::{Deserialize, Serialize};

use super::BesideLoss;
use crate::check::{At, Problem, Span};
use crate::stage1::HeadKind;

/// Cross-entropy on `s·(η_i − m_y·e_y)`, with margins `m_k = max_margin·(N_k / min_j N_j)^{−1/4}`.
///
/// With `head: normed_linear` it is the authors' loss: η are cosines. With a linear head it is by default the form of the survey
/// whose numbers stand in the paper's Table 2, on `η_i − s·m_y·e_y`.
///
/// # Source
/// Cao et al. 2019; methods.md §3.4, §4.2.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct LdamRecipe {
    /// The margin of the smallest class, in (0, 10]. Default 0.5.
    pub max_margin: f64,
    /// s, in (0, 1000]. Default 30.
    pub scale: f64,
    /// Whether s multiplies the logits too, and not the margins alone. Default true with `head: normed_linear`, else false.
    pub scale_logits: bool,
    /// Class weights from an epoch on. None unless given; written `drw: {}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drw: Option<Drw>,
}

/// Deferred re-weighting: no class weights before `from_epoch`, class-balanced ones from there on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Drw {
    /// The first 0-based epoch with weights, 1 to epochs − 1. Default ⌊0.8·epochs⌋: 160 of 200, as the authors have it.
    pub from_epoch: usize,
    /// β of the effective number of samples, in [0, 1). Default 0.9999.
    pub beta: f64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLdam {
    pub max_margin: Option<f64>,
    pub scale: Option<f64>,
    pub scale_logits: Option<bool>,
    pub drw: Option<RawDrw>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDrw {
    pub from_epoch: Option<usize>,
    pub beta: Option<f64>,
}

impl LdamRecipe {
    pub(super) fn resolve(at: &At, raw: RawLdam, beside: &BesideLoss) -> Result<Self, Problem> {
        if let HeadKind::Cosine(scale) = beside.head {
            return Err(at.conflict(
                format!(
                    "LDAM scales the cosines itself after the margin, but the head already multiplies them by {scale}"
                ),
                "use `head: normed_linear`, whose logits are cosines, or `linear`",
            ));
        }
        let normed = beside.head == HeadKind::NormedLinear;
        if normed && raw.scale_logits == Some(false) {
            return Err(at.key("scale_logits").conflict(
                "the logits of `head: normed_linear` are cosines, and margins of scale·max_margin would dominate them",
                "leave out `scale_logits`, or use `head: linear`",
            ));
        }
        let drw = raw.drw.map(|raw| Drw::resolve(&at.key("drw"), raw, beside.epochs)).transpose()?;
        Ok(Self {
            max_margin: at.real("max_margin", raw.max_margin, 0.5, Span::above(0.0, 10.0), "the largest margin")?,
            scale: at.real(
                "scale",
                raw.scale,
                30.0,
                Span::above(0.0, 1000.0),
                "what shifted logits are multiplied by",
            )?,
            scale_logits: raw.scale_logits.unwrap_or(normed),
            drw,
        })
    }
}

impl Drw {
    fn resolve(at: &At, raw: RawDrw, epochs: usize) -> Result<Self, Problem> {
        if epochs < 2 {
            let what = "deferred re-weighting starts after the first epoch, but there is only one";
            return Err(at.conflict(what, "train for more epochs, or leave out `drw`"));
        }
        let default = (epochs * 4 / 5).clamp(1, epochs - 1);
        Ok(Self {
            from_epoch: at.count(
                "from_epoch",
                raw.from_epoch,
                default,
                1..=epochs - 1,
                "weights start inside the run",
            )?,
            beta: at.real("beta", raw.beta, 0.9999, Span::below(0.0, 1.0), "of the effective number of samples")?,
        })
    }
}
