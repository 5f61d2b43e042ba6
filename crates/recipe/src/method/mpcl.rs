//! `mpcl`: meta-prototype contrastive learning. Row numbers are those of mpcl_mpfa.md §5.

use serde::{Deserialize, Serialize};

use super::Stage1;
use super::ema::{self, Ema, RawEma};
use super::meta_network::{self, MetaNetworkRecipe, RawMetaNetwork};
use crate::check::{At, Problem, Span};
use crate::data::MetaSource;
use crate::preset::Preset;
use crate::settings::Settings;

/// Settings of MPCL.
///
/// `preset: paper_literal` starts from Eqs. 1 to 8 to the letter instead of the defaults: prototypes of raw features
/// (row 1), EMA only before T_th (row 6), a plain, not residual, meta-network (row 10) stepped by plain SGD at a
/// constant rate of 0.1 (row 11; the paper gives no β, MetaSAug uses 0.1), α_lr kept in the gradient (Eq. 7).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct MpclRecipe {
    /// `meta`: the paper. `empirical`: the control without a meta-network. Default `meta`.
    pub prototypes: Prototypes,
    /// λ of L_CE + λ·L_PC, in [0, 100]. Default 0.5 (row 34).
    pub lambda: f64,
    /// Epochs over which λ rises linearly from 0 after T_th, at most the epochs after T_th. Default 0.
    pub lambda_ramp_epochs: usize,
    /// τ in (0, 100]. Default 0.07 (row 34).
    pub tau: f64,
    /// T_th = ⌈t_th_frac · epochs⌉, in [0, 1], and T_th < epochs. Default 0.2 (row 8).
    pub t_th_frac: f64,
    /// Contrast against empirical prototypes before T_th. Default false (row 9).
    pub pc_warm: bool,
    /// How the empirical prototypes are tracked.
    pub ema: Ema,
    /// Go on tracking after T_th. Default true (row 6); literal false.
    pub ema_after_tth: bool,
    /// C(·; Θ).
    pub meta_network: MetaNetworkRecipe,
    /// Meta batch size, 0 to 65536; 0 = batch_size. Default 0 (row 33).
    pub meta_batch: usize,
    /// Default `crop_flip` (row 33).
    pub meta_aug: MetaAug,
    /// Update Θ every this many steps, 1 to 10000. Default 1.
    pub meta_every: usize,
    /// Default `unit` (§4.3); literal `with_lr`.
    pub meta_scale: MetaScale,
    /// Default `sgd` (§4.3; Eq. 6).
    pub virtual_step: VirtualStep,
    /// Default `forward` (§4.4 a).
    pub jvp: Jvp,
    /// Batch norm in the virtual and meta forwards. Default `batch` (§4.6).
    pub meta_bn: MetaBn,
    /// Loss on the meta batch. Default `ce` (row 12; Eq. 7).
    pub meta_loss: MetaLoss,
}

impl MpclRecipe {
    /// T_th = ⌈t_th_frac · epochs⌉: the 0-based epoch at which the contrast begins.
    ///
    /// A product that is a whole number but for rounding counts as that number: 0.07 · 100 is 7, not 8.
    pub fn t_th(&self, epochs: usize) -> usize {
        let product = self.t_th_frac * epochs as f64;
        let whole = product.round();
        if (product - whole).abs() < 1e-9 { whole as usize } else { product.ceil() as usize }
    }
}

/// Which prototypes the features are contrasted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Prototypes {
    /// The empirical prototypes c.
    Empirical,
    /// c' = C(c; Θ).
    Meta,
}

/// What happens to a meta image (row 33).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MetaAug {
    /// The train transform's crop and flip, without AutoAugment and Cutout.
    CropFlip,
    /// The evaluation transform.
    None,
}

/// Whether α_lr stays in ∇Θ (§4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MetaScale {
    /// α_lr is dropped; Adam's eps is 1e-8.
    Unit,
    /// α_lr is kept; Adam's eps is 1e-12.
    WithLr,
}

/// Ŵ of Eq. 6 (§4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum VirtualStep {
    /// W − α_lr·g.
    Sgd,
    /// With momentum and weight decay.
    Momentum,
    /// The same in Nesterov's form.
    Nesterov,
}

/// How u̇ is computed (§4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Jvp {
    /// Forward mode, exact.
    Forward,
    /// Central difference.
    Central,
}

/// Batch norm in the virtual and meta forwards (§4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MetaBn {
    /// Batch statistics, running ones untouched.
    Batch,
    /// Running statistics.
    Running,
}

/// Loss on the meta batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MetaLoss {
    /// Cross-entropy (Eq. 7).
    Ce,
    /// On logits shifted by log N_k of the training set.
    BalancedSoftmax,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMpcl {
    /// What the settings start from. Default `defaults`.
    pub preset: Option<Preset>,
    pub prototypes: Option<Prototypes>,
    pub lambda: Option<f64>,
    pub lambda_ramp_epochs: Option<usize>,
    pub tau: Option<f64>,
    pub t_th_frac: Option<f64>,
    pub pc_warm: Option<bool>,
    pub ema: Option<RawEma>,
    pub ema_after_tth: Option<bool>,
    pub meta_network: Option<RawMetaNetwork>,
    pub meta_batch: Option<usize>,
    pub meta_aug: Option<MetaAug>,
    pub meta_every: Option<usize>,
    pub meta_scale: Option<MetaScale>,
    pub virtual_step: Option<VirtualStep>,
    pub jvp: Option<Jvp>,
    pub meta_bn: Option<MetaBn>,
    pub meta_loss: Option<MetaLoss>,
}

/// Settings of the meta-network, which the empirical control does not read.
const META_ONLY: &[&str] = &[
    "meta_network",
    "meta_batch",
    "meta_aug",
    "meta_every",
    "meta_scale",
    "virtual_step",
    "jvp",
    "meta_bn",
    "meta_loss",
];

impl Settings<Stage1> for MpclRecipe {
    type Raw = RawMpcl;

    fn resolve(at: &At, raw: RawMpcl, beside: &Stage1) -> Result<Self, Problem> {
        let preset = raw.preset.unwrap_or_default();
        let start = defaults(preset);
        let prototypes = raw.prototypes.unwrap_or(start.prototypes);
        if prototypes == Prototypes::Meta && beside.data.meta_source == MetaSource::None {
            return Err(at.key("prototypes").conflict(
                "the meta-network learns from a meta set, but `data.meta_source` is `none`",
                "set `data.meta_source` to `metasaug` or `lt_balanced_draws`, or use `prototypes: empirical`",
            ));
        }
        let resolved = Self {
            prototypes,
            lambda: at.real(
                "lambda",
                raw.lambda,
                start.lambda,
                Span::closed(0.0, 100.0),
                "λ; the paper tries 0.1 to 0.9",
            )?,
            lambda_ramp_epochs: raw.lambda_ramp_epochs.unwrap_or(start.lambda_ramp_epochs),
            tau: at.real(
                "tau",
                raw.tau,
                start.tau,
                Span::above(0.0, 100.0),
                "τ, a temperature; the paper uses 0.07",
            )?,
            t_th_frac: at.real(
                "t_th_frac",
                raw.t_th_frac,
                start.t_th_frac,
                Span::closed(0.0, 1.0),
                "T_th as a share of the epochs",
            )?,
            pc_warm: raw.pc_warm.unwrap_or(start.pc_warm),
            ema: ema::resolve(&at.key("ema"), raw.ema, preset)?,
            ema_after_tth: raw.ema_after_tth.unwrap_or(start.ema_after_tth),
            meta_network: meta_network::resolve(
                &at.key("meta_network"),
                raw.meta_network.unwrap_or_default(),
                start.meta_network,
            )?,
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
        check_times(at, &resolved, beside.epochs)?;
        Ok(resolved)
    }

    fn without_effect(&self) -> &'static [&'static str] {
        match self.prototypes {
            Prototypes::Meta => &[],
            Prototypes::Empirical => META_ONLY,
        }
    }
}

/// MPCL before its recipe is laid over it.
fn defaults(preset: Preset) -> MpclRecipe {
    let defaults = MpclRecipe {
        prototypes: Prototypes::Meta,
        lambda: 0.5,
        lambda_ramp_epochs: 0,
        tau: 0.07,
        t_th_frac: 0.2,
        pc_warm: false,
        ema: ema::defaults(preset),
        ema_after_tth: true,
        meta_network: meta_network::defaults(preset),
        meta_batch: 0,
        meta_aug: MetaAug::CropFlip,
        meta_every: 1,
        meta_scale: MetaScale::Unit,
        virtual_step: VirtualStep::Sgd,
        jvp: Jvp::Forward,
        meta_bn: MetaBn::Batch,
        meta_loss: MetaLoss::Ce,
    };
    match preset {
        Preset::Defaults => defaults,
        Preset::PaperLiteral => MpclRecipe {
            ema_after_tth: false,          // row 6: Algorithm 1 updates c before T_th only
            meta_scale: MetaScale::WithLr, // Eq. 7 differentiates through Eq. 6 as it stands
            ..defaults
        },
    }
}

fn check_times(at: &At, mpcl: &MpclRecipe, epochs: usize) -> Result<(), Problem> {
    let threshold = mpcl.t_th(epochs);
    if threshold >= epochs {
        return Err(at.key("t_th_frac").conflict(
            format!(
                "T_th = ⌈{} · {epochs}⌉ = {threshold} of {epochs} epochs: the contrastive loss would never start",
                mpcl.t_th_frac
            ),
            "lower `t_th_frac` or raise `epochs`; for cross-entropy only, use `method: {ce: {}}`",
        ));
    }
    if threshold == 0 && !mpcl.ema_after_tth {
        return Err(at.key("t_th_frac").conflict(
            "T_th = 0, and prototypes are not updated after T_th (`ema_after_tth: false`): no prototype would ever exist",
            "raise `t_th_frac`, or set `ema_after_tth: true`; for cross-entropy only, use `method: {ce: {}}`",
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

#[cfg(test)]
mod tests {
    use crate::read_str;

    /// Without a prototype there is no contrast: the method would be cross-entropy, and the report would call it MPCL.
    #[test]
    fn prototypes_that_are_never_tracked_are_refused() {
        let read = |mpcl: &str| {
            let text = format!(
                "data: {{dataset: fashion_mnist}}\nrepresentations: {{r: {{epochs: 20, method: {{mpcl: {{{mpcl}}}}}}}}}\n\
                 classifiers: {{joint: }}\n"
            );
            read_str(&text, "never", &[]).map(drop).map_err(|error| error.to_string())
        };
        for never in ["t_th_frac: 0, ema_after_tth: false", "preset: paper_literal, t_th_frac: 0"] {
            let error = read(never).expect_err(never);
            assert!(error.contains("t_th_frac") && error.contains("no prototype would ever exist"), "{error}");
        }
        for some in ["t_th_frac: 0", "t_th_frac: 0.1, ema_after_tth: false", "preset: paper_literal"] {
            read(some).expect(some);
        }
    }
}
