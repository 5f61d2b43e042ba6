//! What a classification loss is, and the one that a recipe asks for.

use std::fmt::Debug;
use std::sync::Arc;

use candle_core::Tensor;
use longtail_recipe::Stage1Loss;

use super::{CrossEntropy, Ldam, balanced_softmax, class_balanced};
use crate::TrainingError;
use crate::step::{Seen, StepAt, Term};

/// A loss on the logits of a batch: a text over tensors, one file each.
pub trait ClassificationLoss: Debug + Send + Sync {
    /// The mean loss over the images, in nats: a scalar that can be differentiated once.
    ///
    /// # Shapes
    /// - `logits`: `(N, K)` f32 or f64, N at least 1  - `labels`: `(N,)` below K
    /// # Errors
    /// If sizes or labels do not fit.
    fn forward(&self, logits: &Tensor, labels: &[u32], at: &StepAt) -> Result<Tensor, TrainingError>;

    /// `Σ_i w_i`, what the mean divides by: the mean over a batch is that of its parts, weighted by this. Labels that the loss
    /// would refuse weigh nothing.
    fn weight_of(&self, labels: &[u32], at: &StepAt) -> f64;

    /// The loss as a term of a step's, of weight 1.
    ///
    /// # Errors
    /// As [`ClassificationLoss::forward`].
    fn term(&self, name: &'static str, seen: &Seen<'_>, at: &StepAt) -> Result<Term, TrainingError> {
        let value = self.forward(&seen.logits()?, seen.labels, at)?;
        let share = self.weight_of(seen.labels, at) / self.weight_of(seen.batch_labels, at);
        Ok(Term { name, value, share, weight: 1.0 })
    }
}

/// The stage-1 loss of a recipe, with label smoothing ε in [0, 1).
///
/// # Errors
/// If a class has no training image where the loss needs one.
pub fn from_recipe(
    loss: &Stage1Loss,
    smoothing: f64,
    class_counts: &[u32],
) -> Result<Arc<dyn ClassificationLoss>, TrainingError> {
    Ok(match loss {
        Stage1Loss::Ce => Arc::new(CrossEntropy::default().with_smoothing(smoothing)),
        Stage1Loss::BalancedSoftmax => Arc::new(balanced_softmax(class_counts)?.with_smoothing(smoothing)),
        Stage1Loss::ClassBalanced => Arc::new(class_balanced(class_counts, 0.9999)?.with_smoothing(smoothing)),
        Stage1Loss::Ldam(ldam) => Arc::new(Ldam::new(ldam, smoothing, class_counts)?),
    })
}
