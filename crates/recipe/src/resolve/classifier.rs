//! Stage 3: every method but MPFA.

use super::{mpfa, representation};
use crate::check::{At, Problem, Span};
use crate::defaults;
use crate::raw::{RawClassifier, RawHeadTraining, RawTailCalib, RawTauNorm};
use crate::resolved::*;

pub(super) fn resolve(at: &At, raw: RawClassifier, data: &DataRecipe) -> Result<ClassifierRecipe, Problem> {
    Ok(match raw {
        RawClassifier::Joint(_) => ClassifierRecipe::Joint(JointRecipe {}),
        RawClassifier::Crt(raw) => ClassifierRecipe::Crt(CrtRecipe {
            training: training(&at.key("crt.training"), raw.training, defaults::crt_training())?,
            sampler: raw.sampler.unwrap_or(Sampler::ClassBalanced),
        }),
        RawClassifier::Lws(raw) => ClassifierRecipe::Lws(LwsRecipe {
            training: training(&at.key("lws.training"), raw.training, defaults::lws_training())?,
            sampler: raw.sampler.unwrap_or(Sampler::ClassBalanced),
        }),
        RawClassifier::TauNorm(raw) => ClassifierRecipe::TauNorm(tau_norm(&at.key("tau_norm"), raw, data)?),
        RawClassifier::Ncm(raw) => {
            ClassifierRecipe::Ncm(NcmRecipe { normalize: raw.normalize.unwrap_or(NcmNormalize::Cl2n) })
        }
        RawClassifier::Tailcalib(raw) => ClassifierRecipe::Tailcalib(tailcalib(&at.key("tailcalib"), raw, data)?),
        RawClassifier::TailcalibX(raw) => ClassifierRecipe::TailcalibX(tailcalib(&at.key("tailcalib_x"), raw, data)?),
        RawClassifier::Mpfa(raw) => ClassifierRecipe::Mpfa(Box::new(mpfa::resolve(&at.key("mpfa"), *raw, data)?)),
    })
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
            Some(schedule) => representation::schedule(&at.key("schedule"), schedule, epochs)?,
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

/// Choosing on data that the model has not seen needs data that it has not seen.
pub(super) fn needs_validation(at: &At, what: &str, data: &DataRecipe) -> Result<(), Problem> {
    if data.has_validation() {
        return Ok(());
    }
    if data.dataset.is_photo_set() {
        let what = format!("{what} on validation data, and `{}` has none", data.dataset.name());
        return Err(at.conflict(what, "give one value"));
    }
    Err(at.conflict(
        format!("{what} on validation data, which is the held-out meta set, and `data.meta_source` holds out none"),
        "give one value, or set `data.meta_source` to `metasaug`",
    ))
}

fn tau_norm(at: &At, raw: RawTauNorm, data: &DataRecipe) -> Result<TauNormRecipe, Problem> {
    let at = at.key("taus");
    let given = raw.taus.is_some();
    let taus = raw.taus.unwrap_or_else(defaults::taus);
    if taus.is_empty() || taus.len() > 1000 {
        return Err(at.range(format!("a list of {} values", taus.len()), "a list of 1 to 1000", "τ is one of them"));
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
    Ok(TauNormRecipe { taus })
}

fn tailcalib(at: &At, raw: RawTailCalib, data: &DataRecipe) -> Result<TailCalibRecipe, Problem> {
    let default = defaults::tailcalib();
    Ok(TailCalibRecipe {
        tukey: at.real("tukey", raw.tukey, default.tukey, Span::above(0.0, 1.0), "λ of Tukey's ladder; 1 is off")?,
        alpha: at.real(
            "alpha",
            raw.alpha,
            default.alpha,
            Span::closed(0.0, 100.0),
            "added to every entry of a covariance",
        )?,
        neighbors: at.count(
            "neighbors",
            raw.neighbors,
            default.neighbors,
            1..=super::most_classes(data),
            "classes, the own one included",
        )?,
        training: training(&at.key("training"), raw.training, default.training)?,
    })
}
