//! What a loss sees of a batch, and what it gives.

use candle_core::{DType, Tensor};

use crate::{Head, TrainingError};

/// A batch, or a part of one (`micro_batch`), on its way through a loss.
pub struct Seen<'a> {
    /// z, (n, d), differentiable.
    pub features: &'a Tensor,
    /// The head, differentiable.
    pub head: &'a Head,
    /// Classes of the part's images, (n).
    pub labels: &'a [u32],
    /// Classes of all images of the batch.
    pub batch_labels: &'a [u32],
}

impl Seen<'_> {
    /// The head's logits, (n, K).
    ///
    /// # Errors
    /// If sizes do not fit.
    pub fn logits(&self) -> Result<Tensor, TrainingError> {
        self.head.logits(self.features)
    }

    /// What the part's images are of the batch's, in (0, 1].
    pub fn share(&self) -> f64 {
        self.labels.len() as f64 / self.batch_labels.len() as f64
    }
}

/// One term of a loss: `weight · value`.
#[derive(Debug, Clone)]
pub struct Term {
    /// As it is logged, `train/ce` say.
    pub name: &'static str,
    /// The mean over the part's images, a scalar that can be differentiated.
    pub value: Tensor,
    /// What the part weighs in the mean over the batch; the shares of all parts sum to 1, or to less where images have no part
    /// in the term.
    pub share: f64,
    /// λ: what the term weighs in the loss.
    pub weight: f64,
}

/// A loss: the terms of a part of a batch. The batch's loss is the sum over its parts.
pub type Loss<'a> = dyn Fn(&Seen<'_>) -> Result<Vec<Term>, TrainingError> + 'a;

/// The terms of a whole batch, by name; values in f64 whatever the training's type is.
#[derive(Debug, Clone, Default)]
pub struct Losses {
    terms: Vec<BatchTerm>,
}

#[derive(Debug, Clone)]
struct BatchTerm {
    name: &'static str,
    value: Tensor,
    weight: f64,
}

impl Losses {
    /// Adds a part's terms.
    pub(super) fn add(&mut self, part: &[Term]) -> Result<(), TrainingError> {
        for term in part {
            let value = (term.value.detach().to_dtype(DType::F64)? * term.share)?;
            match self.terms.iter_mut().find(|known| known.name == term.name) {
                Some(known) => known.value = (&known.value + value)?,
                None => self.terms.push(BatchTerm { name: term.name, value, weight: term.weight }),
            }
        }
        Ok(())
    }

    /// The mean over the batch, a scalar of f64; none if no image had a part in it.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.terms.iter().find(|term| term.name == name).map(|term| &term.value)
    }

    /// `Σ weight · value`, a scalar of f64.
    ///
    /// # Errors
    /// If there is no term.
    pub fn total(&self) -> Result<Tensor, TrainingError> {
        let mut total: Option<Tensor> = None;
        for term in &self.terms {
            let weighted = (&term.value * term.weight)?;
            total = Some(match total {
                None => weighted,
                Some(total) => (total + weighted)?,
            });
        }
        total.ok_or_else(no_term)
    }
}

/// `Σ weight · share · value`: what a part adds to the batch's loss, differentiable.
pub(super) fn part_total(terms: &[Term]) -> Result<Tensor, TrainingError> {
    let mut total: Option<Tensor> = None;
    for term in terms {
        let weighted = (&term.value * (term.weight * term.share))?;
        total = Some(match total {
            None => weighted,
            Some(total) => (total + weighted)?,
        });
    }
    total.ok_or_else(no_term)
}

fn no_term() -> TrainingError {
    TrainingError::Unsupported { what: "a loss without a term", value: "give at least one".to_owned() }
}
