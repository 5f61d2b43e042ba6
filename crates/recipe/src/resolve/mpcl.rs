//! Stage 1: prototypes and the contrast with them.

use crate::check::{At, Problem, Span};
use crate::defaults;
use crate::raw::{Preset, RawCe, RawEma, RawMetaNetwork, RawMpcl};
use crate::resolved::*;

pub(super) fn resolve_ce(at: &At, raw: RawCe) -> Result<CeRecipe, Problem> {
    Ok(CeRecipe { ema: ema(&at.key("ema"), raw.ema, Preset::Defaults)? })
}

pub(super) fn resolve(at: &At, raw: RawMpcl, epochs: usize, data: &DataRecipe) -> Result<MpclRecipe, Problem> {
    let preset = raw.preset.unwrap_or_default();
    let start = defaults::mpcl(preset);
    let prototypes = raw.prototypes.unwrap_or(start.prototypes);
    if prototypes == Prototypes::Meta && data.meta_source == MetaSource::None {
        return Err(at.key("prototypes").conflict(
            "the meta-network learns from a meta set, and `data.meta_source` is `none`",
            "set `data.meta_source` to `metasaug` or `lt_balanced_draws`, or use `prototypes: empirical`",
        ));
    }
    let resolved = MpclRecipe {
        prototypes,
        lambda: at.real(
            "lambda",
            raw.lambda,
            start.lambda,
            Span::closed(0.0, 100.0),
            "λ; the paper tries 0.1 to 0.9",
        )?,
        lambda_ramp_epochs: raw.lambda_ramp_epochs.unwrap_or(start.lambda_ramp_epochs),
        tau: at.real("tau", raw.tau, start.tau, Span::above(0.0, 100.0), "τ, a temperature; the paper takes 0.07")?,
        t_th_frac: at.real(
            "t_th_frac",
            raw.t_th_frac,
            start.t_th_frac,
            Span::closed(0.0, 1.0),
            "T_th as a share of the epochs",
        )?,
        pc_warm: raw.pc_warm.unwrap_or(start.pc_warm),
        ema: ema(&at.key("ema"), raw.ema, preset)?,
        ema_after_tth: raw.ema_after_tth.unwrap_or(start.ema_after_tth),
        meta_network: meta_network(&at.key("meta_network"), raw.meta_network.unwrap_or_default(), start.meta_network)?,
        meta_batch: at.count("meta_batch", raw.meta_batch, start.meta_batch, 0..=65536, "0 means batch_size")?,
        meta_aug: raw.meta_aug.unwrap_or(start.meta_aug),
        meta_every: at.count(
            "meta_every",
            raw.meta_every,
            start.meta_every,
            1..=10_000,
            "steps between updates of Θ",
        )?,
        meta_scale: raw.meta_scale.unwrap_or(start.meta_scale),
        virtual_step: raw.virtual_step.unwrap_or(start.virtual_step),
        jvp: raw.jvp.unwrap_or(start.jvp),
        meta_bn: raw.meta_bn.unwrap_or(start.meta_bn),
        meta_loss: raw.meta_loss.unwrap_or(start.meta_loss),
    };
    check_times(at, &resolved, epochs)?;
    Ok(resolved)
}

fn check_times(at: &At, mpcl: &MpclRecipe, epochs: usize) -> Result<(), Problem> {
    let threshold = mpcl.t_th(epochs);
    if threshold >= epochs {
        return Err(at.key("t_th_frac").conflict(
            format!(
                "T_th = ⌈{} · {epochs}⌉ = {threshold} of {epochs} epochs: the contrast would never begin",
                mpcl.t_th_frac
            ),
            "lower `t_th_frac` or raise `epochs`; for cross-entropy alone use `method: {ce: {}}`",
        ));
    }
    let left = epochs - threshold;
    if mpcl.lambda_ramp_epochs > left {
        return Err(at.key("lambda_ramp_epochs").range(
            mpcl.lambda_ramp_epochs,
            format!("at most {left}"),
            "the epochs after T_th",
        ));
    }
    Ok(())
}

fn meta_network(at: &At, raw: RawMetaNetwork, start: MetaNetworkRecipe) -> Result<MetaNetworkRecipe, Problem> {
    Ok(MetaNetworkRecipe {
        residual: raw.residual.unwrap_or(start.residual),
        hidden: at.count("hidden", raw.hidden, start.hidden, 0..=65536, "a width; 0 follows the features")?,
        max_angle_deg: at.real(
            "max_angle_deg",
            raw.max_angle_deg,
            start.max_angle_deg,
            Span::above(0.0, 180.0),
            "an angle in degrees; 180 bounds nothing",
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

fn ema(at: &At, raw: Option<RawEma>, preset: Preset) -> Result<Ema, Problem> {
    let raw = raw.unwrap_or_default();
    let start = defaults::ema(preset);
    let momentum = raw.momentum.unwrap_or(start.momentum);
    let momentum_at = at.key("momentum");
    match momentum {
        EmaMomentum::Fixed(m) => {
            momentum_at.key("fixed").in_span(m, Span::below(0.0, 1.0), "m of Eq. 1; the paper takes 0.999")?
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
            "prototypes of the sphere are renormalised, so a division by 1 − m^t changes nothing",
            "leave out `debias`, or set `space: raw`",
        ));
    }
    Ok(Ema { momentum, order: raw.order.unwrap_or(start.order), space, debias })
}
