//! L_tr = L_CE + λ·L_PC on one forward's features: its value, and its gradient with respect to all weights.

use longtail_backbone::{Network, Tape};
use longtail_training::{ClassificationLoss, Head, HeadShape, Scalar, scalar_value};

use crate::RepresentationError;
use crate::prototype_loss::prototype_loss;
use crate::prototypes::SeenClasses;

/// What features are contrasted against; constants here.
#[derive(Debug, Clone)]
pub struct Contrast<'a, T> {
    /// c or c' of the seen classes, (K_seen, d).
    pub prototypes: &'a [T],
    /// Which classes those are.
    pub seen: &'a SeenClasses,
    /// λ now, at least 0.
    pub lambda: f64,
    /// τ.
    pub tau: f64,
}

/// The losses of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Losses {
    /// L_CE, nats.
    pub classification: f64,
    /// L_PC, nats, where there was a contrast and a sample of a seen class.
    pub contrast: Option<f64>,
}

impl Losses {
    /// L_CE + λ·L_PC.
    pub fn total(&self, lambda: f64) -> f64 {
        self.classification + self.contrast.map_or(0.0, |contrast| lambda * contrast)
    }

    /// Adds a part's losses, each by the part's share of it.
    pub fn add(&mut self, part: &Self, share: Share) {
        self.classification += share.classification * part.classification;
        if let Some(contrast) = part.contrast {
            *self.contrast.get_or_insert(0.0) += share.contrast * contrast;
        }
    }
}

/// What a part of a batch weighs in the means over the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// In L_CE.
    pub classification: f64,
    /// In L_PC.
    pub contrast: f64,
}

impl Share {
    /// Of the whole batch.
    pub const WHOLE: Self = Self { classification: 1.0, contrast: 1.0 };
}

/// The loss's parts and its gradient at the features and the head.
#[derive(Debug, Clone)]
pub struct LossAtFeatures<T> {
    /// Values.
    pub losses: Losses,
    /// ∂L/∂z, (n, d).
    pub features_gradient: Vec<T>,
    /// ∂L/∂w^C, flat.
    pub head_gradient: Vec<T>,
}

/// L_CE + λ·L_PC as one candle graph over features and head, and its gradient.
///
/// # Shapes
/// - `features`: z, (n, d)  - `labels`: (n)  - `head_weights`: w^C, flat
/// # Errors
/// If sizes or labels do not fit.
pub fn loss_at_features<T: Scalar>(
    head: &HeadShape,
    head_weights: &[T],
    features: &[T],
    labels: &[u32],
    loss: &ClassificationLoss,
    contrast: Option<&Contrast<'_, T>>,
) -> Result<LossAtFeatures<T>, RepresentationError> {
    part_loss_at_features(head, head_weights, features, labels, loss, contrast, Share::WHOLE)
}

/// [`loss_at_features`] of a part of a batch: the values are the part's own means, the gradients are by `share` those of the
/// whole batch's.
///
/// # Errors
/// If sizes or labels do not fit.
pub fn part_loss_at_features<T: Scalar>(
    head: &HeadShape,
    head_weights: &[T],
    features: &[T],
    labels: &[u32],
    loss: &ClassificationLoss,
    contrast: Option<&Contrast<'_, T>>,
    share: Share,
) -> Result<LossAtFeatures<T>, RepresentationError> {
    let dim = head.feature_dim;
    let features = T::variable(features, &[labels.len(), dim])?;
    let head = Head::variables(head, head_weights)?;
    let classification = loss.forward(&head.logits(&features)?, labels)?;
    let mut total = (&classification * share.classification)?;
    let mut contrast_value = None;
    if let Some(contrast) = contrast {
        let prototypes = T::constant(contrast.prototypes, &[contrast.seen.classes().len(), dim])?;
        if let Some(value) = prototype_loss(&features, labels, &prototypes, contrast.seen, contrast.tau)? {
            contrast_value = Some(scalar_value::<T>(&value)?);
            total = (total + (value * (contrast.lambda * share.contrast))?)?;
        }
    }
    let store = total.backward()?;
    let features_gradient = match store.get(&features) {
        Some(gradient) => T::values(gradient)?,
        None => vec![T::ZERO; labels.len() * dim],
    };
    Ok(LossAtFeatures {
        losses: Losses { classification: scalar_value::<T>(&classification)?, contrast: contrast_value },
        features_gradient,
        head_gradient: head.gradient::<T>(&store)?,
    })
}

/// Back through the backbone: the gradient of all weights, in their order.
///
/// # Errors
/// If sizes do not fit.
pub fn weights_gradient<T: Scalar>(
    network: &mut Network<T>,
    weights: &[T],
    tape: &Tape<T>,
    loss: &LossAtFeatures<T>,
    gradient: &mut Vec<T>,
) -> Result<(), RepresentationError> {
    let backbone = weights.len() - loss.head_gradient.len();
    gradient.resize(weights.len(), T::ZERO);
    let (backbone_gradient, head_gradient) = gradient.split_at_mut(backbone);
    network.backward(&weights[..backbone], tape, &loss.features_gradient, backbone_gradient)?;
    head_gradient.copy_from_slice(&loss.head_gradient);
    Ok(())
}
