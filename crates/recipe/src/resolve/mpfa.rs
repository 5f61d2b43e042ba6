//! Stage 3: MPFA.

use super::classifier::{needs_validation, training};
use crate::check::{At, Problem, Span};
use crate::defaults;
use crate::raw::{RawAlpha, RawMpfa};
use crate::resolved::*;

pub(super) fn resolve(at: &At, raw: RawMpfa, data: &DataRecipe) -> Result<MpfaRecipe, Problem> {
    let start = defaults::mpfa(raw.preset.unwrap_or_default());
    Ok(MpfaRecipe {
        prototypes: raw.prototypes.unwrap_or(start.prototypes),
        proto_scale: raw.proto_scale.unwrap_or(start.proto_scale),
        proto_clamp: raw.proto_clamp.unwrap_or(start.proto_clamp),
        cov_center: raw.cov_center.unwrap_or(start.cov_center),
        cov_space: raw.cov_space.unwrap_or(start.cov_space),
        tukey: at.real("tukey", raw.tukey, start.tukey, Span::above(0.0, 1.0), "λ of Tukey's ladder; 1 is off")?,
        tukey_renorm: raw.tukey_renorm.unwrap_or(start.tukey_renorm),
        feat_norm: raw.feat_norm.unwrap_or(start.feat_norm),
        neighbor_rule: raw.neighbor_rule.unwrap_or(start.neighbor_rule),
        neighbors: at.count(
            "neighbors",
            raw.neighbors,
            start.neighbors,
            1..=super::most_classes(data) - 1,
            "M: the other classes",
        )?,
        weights: raw.weights.unwrap_or(start.weights),
        beta_mode: raw.beta_mode.unwrap_or(start.beta_mode),
        beta: at.real("beta", raw.beta, start.beta, Span::closed(0.0, 100.0), "β; the paper takes 0.05")?,
        alpha: alpha(&at.key("alpha"), raw.alpha, start.alpha, data)?,
        tail: raw.tail.unwrap_or(start.tail),
        count: raw.count.unwrap_or(start.count),
        regen: raw.regen.unwrap_or(start.regen),
        head_scale: at.real(
            "head_scale",
            raw.head_scale,
            start.head_scale,
            Span::above(0.0, 1000.0),
            "scale of the cosine head",
        )?,
        training: training(&at.key("training"), raw.training, start.training)?,
    })
}

fn alpha(at: &At, raw: Option<RawAlpha>, start: Alpha, data: &DataRecipe) -> Result<Alpha, Problem> {
    let unit = Span::closed(0.0, 1.0);
    let source = "α of Eq. 10, a share";
    let alpha = match raw {
        None => start,
        Some(RawAlpha::Fixed(value)) => Alpha::Fixed(at.key("fixed").in_span(value, unit, source)?),
        Some(RawAlpha::Adaptive(value)) => {
            let clipped = Span::closed(0.1, 0.9);
            Alpha::Adaptive(at.key("adaptive").in_span(value, clipped, "α is clipped to [0.1, 0.9] each epoch")?)
        }
        Some(RawAlpha::Search(search)) => {
            let at = at.key("search");
            let low = at.real("low", search.low, 0.2, unit, source)?;
            let high = at.real("high", search.high, 0.6, Span::closed(low, 1.0), "the largest candidate")?;
            let steps = at.count("steps", search.steps, 3, 2..=100, "candidates, both ends included")?;
            Alpha::Search(AlphaSearch { low, high, steps })
        }
    };
    match alpha {
        Alpha::Fixed(_) => {}
        Alpha::Adaptive(_) => needs_validation(at, "adaptive α follows each class's loss", data)?,
        Alpha::Search(_) => needs_validation(at, "α is chosen among several", data)?,
    }
    Ok(alpha)
}
