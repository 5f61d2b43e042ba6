//! A batch through the network in parts (`micro_batch`): one part's tape at a time, gradients summed over the parts.
//!
//! Losses are those of the whole batch: a part's share of a mean is what its images weigh in it. Batch norm normalises each
//! part by that part's own mean and variance, and running statistics move once a part.

use std::ops::Range;

use longtail_backbone::{Network, NormMode, Tape};
use longtail_ops::axpy;
use longtail_recipe::{Prototypes, RepresentationMethod, RepresentationRecipe};
use longtail_training::{ClassificationLoss, HeadShape, Scalar};

use crate::RepresentationError;
use crate::method::LabelledImages;
use crate::model::Model;
use crate::objective::{Contrast, Losses, Share, part_loss_at_features, weights_gradient};

/// How a batch is cut; the recipe's `micro_batch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MicroBatch {
    /// Most images in a part.
    most: usize,
    /// Batches of the usual size are cut, so that no tape outlives its pass.
    cuts: bool,
}

impl MicroBatch {
    /// Nothing is cut.
    pub const WHOLE: Self = Self { most: usize::MAX, cuts: false };

    /// For batches of up to `batch_size` images; `most` 0 cuts nothing.
    pub fn new(most: usize, batch_size: usize) -> Self {
        match most {
            0 => Self::WHOLE,
            most => Self { most, cuts: batch_size > most },
        }
    }

    /// Whether one tape serves all passes, which are then run again for each use.
    pub fn cuts(self) -> bool {
        self.cuts
    }

    /// The fewest parts of `n` images that are as equal as can be and no larger than allowed, but that no part of several is
    /// a single image: batch norm needs two.
    pub fn parts(self, n: usize) -> Vec<Range<usize>> {
        let count = n.div_ceil(self.most.max(1)).min((n / 2).max(1));
        (0..count).map(|part| part * n / count..(part + 1) * n / count).filter(|part| !part.is_empty()).collect()
    }

    /// Images of the largest part of a batch of `n`.
    pub fn largest(self, n: usize) -> usize {
        self.parts(n).iter().map(ExactSizeIterator::len).max().unwrap_or(0)
    }
}

/// Images of a meta batch; 0 where the method has none.
pub(crate) fn meta_batch(recipe: &RepresentationRecipe) -> usize {
    match &recipe.method {
        RepresentationMethod::Mpcl(mpcl) if mpcl.prototypes == Prototypes::Meta && mpcl.meta_batch > 0 => {
            mpcl.meta_batch
        }
        RepresentationMethod::Mpcl(mpcl) if mpcl.prototypes == Prototypes::Meta => recipe.batch_size,
        RepresentationMethod::Mpcl(_) | RepresentationMethod::Ce(_) => 0,
    }
}

/// Images of the largest part that training sends through the network.
pub(crate) fn largest_part(recipe: &RepresentationRecipe) -> usize {
    let micro = MicroBatch::new(recipe.micro_batch, recipe.batch_size);
    micro.largest(recipe.batch_size).max(micro.largest(meta_batch(recipe)))
}

/// Which forward passes a walk over the parts runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// All.
    Fresh,
    /// The same batch, weights and mode went through this tape last, the running statistics are not to move a second time, and
    /// where nothing is cut the tape still holds it.
    Again,
}

/// Sees a part's forward pass on the tape, and which images of the batch it holds.
type Visit<'a, T> = dyn FnMut(&mut Network<T>, &Tape<T>, Range<usize>) -> Result<(), RepresentationError> + 'a;

/// What a batch is trained on.
pub struct Objective<'a, T> {
    /// The head's form.
    pub head: &'a HeadShape,
    /// L_CE.
    pub loss: &'a ClassificationLoss,
    /// L_PC.
    pub contrast: Option<&'a Contrast<'a, T>>,
}

/// A gradient of all weights, and room for that of one part.
#[derive(Debug)]
pub struct GradientSum<T> {
    /// ∂L/∂W of the whole batch, flat.
    pub sum: Vec<T>,
    part: Vec<T>,
}

impl<T> Default for GradientSum<T> {
    fn default() -> Self {
        Self { sum: Vec::new(), part: Vec::new() }
    }
}

impl<T> GradientSum<T> {
    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        (self.sum.capacity() + self.part.capacity()) * size_of::<T>()
    }
}

/// One batch, at some weights.
pub struct Pass<'a, T: Scalar> {
    /// Runs the backbone.
    pub network: &'a mut Network<T>,
    /// W or Ŵ, the head's last.
    pub weights: &'a [T],
    /// Of the batch norms.
    pub running: &'a mut [T],
    /// Images and labels.
    pub batch: &'a LabelledImages<T>,
    /// Batch norm's.
    pub mode: NormMode,
    /// How the batch is cut.
    pub micro: MicroBatch,
}

impl<'a, T: Scalar> Pass<'a, T> {
    /// At the model's own weights.
    pub fn of(model: &'a mut Model<T>, batch: &'a LabelledImages<T>, mode: NormMode, micro: MicroBatch) -> Self {
        Self { network: &mut model.network, weights: &model.weights, running: &mut model.running, batch, mode, micro }
    }

    fn backbone(&self) -> &'a [T] {
        &self.weights[..self.network.params().len()]
    }

    /// The parts in order, each with its forward pass on `tape`.
    ///
    /// # Errors
    /// If sizes do not fit, or those of `visit`.
    pub fn each(
        &mut self,
        walk: Walk,
        tape: &mut Tape<T>,
        visit: &mut Visit<'_, T>,
    ) -> Result<(), RepresentationError> {
        let (weights, image) = (self.backbone(), self.network.image().len());
        let mode = match (walk, self.mode) {
            (Walk::Again, NormMode::Batch { .. }) => NormMode::Batch { track: false },
            (_, mode) => mode,
        };
        let parts = self.micro.parts(self.batch.labels.len());
        let still_there = walk == Walk::Again && !self.micro.cuts() && parts.len() == 1;
        for part in parts {
            if !still_there {
                let images = &self.batch.images[part.start * image..part.end * image];
                self.network.forward(weights, self.running, images, part.len(), mode, tape)?;
            }
            visit(self.network, tape, part)?;
        }
        Ok(())
    }

    /// The losses of the whole batch; their gradient into `gradient` and the features (n, d) into `features` where wanted.
    ///
    /// # Errors
    /// If sizes or labels do not fit.
    pub fn losses(
        &mut self,
        walk: Walk,
        tape: &mut Tape<T>,
        objective: &Objective<'_, T>,
        mut gradient: Option<&mut GradientSum<T>>,
        mut features: Option<&mut Vec<T>>,
    ) -> Result<Losses, RepresentationError> {
        let (weights, labels) = (self.weights, &self.batch.labels);
        let head_weights = &weights[self.network.params().len()..];
        let mut total = Losses::default();
        if let Some(features) = &mut features {
            features.clear();
        }
        self.each(walk, tape, &mut |network, tape, part| {
            let here = &labels[part.clone()];
            let share = Share {
                classification: objective.loss.weight_of(here) / objective.loss.weight_of(labels),
                contrast: part.len() as f64 / labels.len() as f64,
            };
            let Objective { head, loss, contrast } = *objective;
            let at = part_loss_at_features(head, head_weights, tape.features(), here, loss, contrast, share)?;
            total.add(&at.losses, share);
            if let Some(features) = &mut features {
                features.extend_from_slice(tape.features());
            }
            let Some(gradient) = &mut gradient else { return Ok(()) };
            if part.start == 0 {
                return weights_gradient(network, weights, tape, &at, &mut gradient.sum);
            }
            weights_gradient(network, weights, tape, &at, &mut gradient.part)?;
            axpy(&mut gradient.sum, T::ONE, &gradient.part);
            Ok(())
        })?;
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_equal_and_never_a_single_image() {
        let parts = |most, n| MicroBatch::new(most, n).parts(n).iter().map(ExactSizeIterator::len).collect::<Vec<_>>();
        assert_eq!(parts(0, 7), [7]);
        assert_eq!(parts(7, 7), [7]);
        assert_eq!(parts(4, 8), [4, 4]);
        assert_eq!(parts(4, 9), [3, 3, 3]);
        assert_eq!(parts(32, 33), [16, 17]);
        assert_eq!(parts(2, 5), [2, 3]);
        assert_eq!(parts(2, 3), [3]);
        assert_eq!(parts(2, 1), [1]);
        assert_eq!(parts(5, 0), Vec::<usize>::new());
        for (most, n) in [(3, 100), (7, 50), (64, 1000)] {
            let parts = MicroBatch::new(most, n).parts(n);
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start) && parts.iter().all(|p| p.len() <= most));
            assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, n));
        }
    }
}
