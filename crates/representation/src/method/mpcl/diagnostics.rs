//! What mpcl_mpfa.md §9 asks to be logged: the signs of a meta-network that pulls features to places of its own.

use candle_core::{DType, Tensor, Var};
use longtail_training::Log;
use longtail_training::prototype::{Contrast, UnitRows, prototype_loss, row_cosines};
use longtail_training::step::Losses;

use crate::RepresentationError;

/// L_meta before the virtual step costs a forward, so it is measured on every that many updates of Θ.
pub(super) const LOSS_BEFORE_EVERY: u64 = 50;

/// What a step found on its batch.
#[derive(Clone, Copy)]
pub(super) struct Measured<'a> {
    pub(super) losses: &'a Losses,
    /// z, (n, d).
    pub(super) features: &'a Tensor,
    pub(super) labels: &'a [u32],
}

/// Names the step's losses, the pull of L_PC on the features, and, beside `empirical` (c of the seen classes) where the contrast is
/// with meta-prototypes, their agreement to `log`.
pub(super) fn log_losses(
    of: Measured<'_>,
    contrast: Option<&Contrast<'_>>,
    empirical: Option<&Tensor>,
    log: &mut Log<'_>,
) -> Result<(), RepresentationError> {
    let images = of.labels.len() as f64;
    if let Some(value) = of.losses.get("train/ce") {
        log.add("train/ce", "nats", value, images)?;
    }
    let (Some(contrast), Some(value)) = (contrast, of.losses.get("train/pc")) else { return Ok(()) };
    log.add("train/pc", "nats", value, images)?;
    log.add("train/log_classes", "nats", (contrast.seen.classes().len() as f64).ln(), images)?;
    log.add("train/lambda", "1", contrast.lambda, images)?;
    log.add("train/pc_pull", "1", pull(contrast, of)?, images)?;
    if let Some(empirical) = empirical {
        if let Some(value) = prototype_loss(of.features, of.labels, empirical, contrast.seen, contrast.tau)? {
            log.add("train/pc_empirical", "nats", value, images)?;
        }
        let cosines = row_cosines(contrast.prototypes, empirical)?;
        let classes = Tensor::new(cosines.dim(0)? as f64, cosines.device())?;
        log.add("meta/cos_mean", "1", cosines.sum_all()?.div(&classes)?, images)?;
        log.add("meta/cos_min", "1", cosines.min(0)?, images)?;
    }
    Ok(())
}

/// Mean over images of ‖∂ℓ_i/∂u_i‖, ℓ_i the image's share of L_PC: its part along the sphere, which is what moves features. A scalar
/// of f64.
fn pull(contrast: &Contrast<'_>, of: Measured<'_>) -> Result<Tensor, RepresentationError> {
    let unit = Var::from_tensor(&UnitRows::of(of.features)?.rows)?;
    let loss = prototype_loss(&unit, of.labels, contrast.prototypes, contrast.seen, contrast.tau)?;
    let store = loss.map(|loss| loss.backward()).transpose()?;
    match store.as_ref().and_then(|store| store.get(&unit)) {
        // L_PC is a mean: the sum of row norms is the mean of the norms of the images' own gradients.
        Some(gradient) => Ok(gradient.to_dtype(DType::F64)?.sqr()?.sum(1)?.sqrt()?.sum_all()?),
        None => Ok(Tensor::new(0f64, of.features.device())?),
    }
}
