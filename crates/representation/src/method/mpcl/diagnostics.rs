//! What mpcl_mpfa.md §9 asks to be logged: the signs of a meta-network that pulls features to places of its own.

use longtail_training::{EpochMeter, Scalar, scalar_value};

use crate::RepresentationError;
use crate::objective::{Contrast, Losses};
use crate::prototype_loss::prototype_loss;
use crate::unit_features::{UnitRows, row_cosines};

/// L_meta before the virtual step costs a forward, so it is measured on every that many updates of Θ.
pub(crate) const LOSS_BEFORE_EVERY: u64 = 50;

/// Names the step's losses, the agreement of c' with c, and the pull of L_PC on the features to `meter`.
pub(super) fn log_losses<T: Scalar>(
    loss: &Losses,
    contrast: Option<&Contrast<'_, T>>,
    features: &[T],
    labels: &[u32],
    empirical: &[T],
    has_meta_prototypes: bool,
    meter: &mut EpochMeter,
) -> Result<(), RepresentationError> {
    let images = labels.len() as f64;
    meter.add("train/ce", "nats", loss.classification, images);
    let (Some(contrast), Some(value)) = (contrast, loss.contrast) else { return Ok(()) };
    let dim = empirical.len() / contrast.seen.classes().len();
    meter.add("train/pc", "nats", value, images);
    meter.add("train/log_classes", "nats", (contrast.seen.classes().len() as f64).ln(), images);
    meter.add("train/lambda", "1", contrast.lambda, images);
    meter.add("train/pc_pull", "1", pull(contrast, features, labels, dim)?, images);
    if has_meta_prototypes {
        if let Some(value) = contrast_value(contrast, empirical, features, labels, dim)? {
            meter.add("train/pc_empirical", "nats", value, images);
        }
        let cosines = row_cosines(contrast.prototypes, empirical, dim);
        meter.add("meta/cos_mean", "1", cosines.iter().sum::<f64>() / cosines.len() as f64, images);
        meter.add("meta/cos_min", "1", cosines.iter().copied().fold(f64::INFINITY, f64::min), images);
    }
    Ok(())
}

/// L_PC under the empirical prototypes.
fn contrast_value<T: Scalar>(
    contrast: &Contrast<'_, T>,
    empirical: &[T],
    features: &[T],
    labels: &[u32],
    dim: usize,
) -> Result<Option<f64>, RepresentationError> {
    let features = T::constant(features, &[labels.len(), dim])?;
    let prototypes = T::constant(empirical, &[contrast.seen.classes().len(), dim])?;
    let loss = prototype_loss(&features, labels, &prototypes, contrast.seen, contrast.tau)?;
    Ok(loss.map(|loss| scalar_value::<T>(&loss)).transpose()?)
}

/// Mean over images of ‖∂ℓ_i/∂u_i‖, ℓ_i the image's share of L_PC: its part along the sphere, which is what moves features.
fn pull<T: Scalar>(
    contrast: &Contrast<'_, T>,
    features: &[T],
    labels: &[u32],
    dim: usize,
) -> Result<f64, RepresentationError> {
    let unit = T::variable(&UnitRows::of(features, dim).rows, &[labels.len(), dim])?;
    let prototypes = T::constant(contrast.prototypes, &[contrast.seen.classes().len(), dim])?;
    let Some(loss) = prototype_loss(&unit, labels, &prototypes, contrast.seen, contrast.tau)? else {
        return Ok(0.0);
    };
    let store = loss.backward()?;
    let gradient = match store.get(&unit) {
        Some(gradient) => T::values(gradient)?,
        None => return Ok(0.0),
    };
    // L_PC is a mean: the sum of row norms is the mean of the norms of the images' own gradients.
    Ok(gradient.chunks_exact(dim).map(|row| row.iter().map(|g| g.wide().powi(2)).sum::<f64>().sqrt()).sum())
}
