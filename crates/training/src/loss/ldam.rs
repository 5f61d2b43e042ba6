//! LDAM: margins that grow as a class gets rarer; with DRW, class weights from an epoch on.

use candle_core::Tensor;
use longtail_recipe::LdamRecipe;

use super::{ClassificationLoss, CrossEntropy, class_balanced};
use crate::TrainingError;
use crate::step::StepAt;

/// `CE(s·(η_i − m_y·e_y))`, or `CE(η_i − s·m_y·e_y)`, weighted by class from DRW's epoch on.
///
/// `m_k = m_max·(N_k / min_j N_j)^{−1/4}`: the largest margin, `m_max`, is the smallest class's.
///
/// # Source
/// Cao et al. 2019, Eq. 13 and Algorithm 1; LDAM-DRW `losses.py`, `cifar_train.py`.
#[derive(Debug, Clone)]
pub struct Ldam {
    /// Margin m of each class, `(K,)`.
    margins: Vec<f64>,
    /// Scale s that the shifted logits are multiplied by.
    scale: f64,
    /// Whether s multiplies the logits too.
    scale_logits: bool,
    plain: CrossEntropy,
    /// DRW's first epoch, and the loss from there on.
    deferred: Option<(usize, CrossEntropy)>,
}

impl Ldam {
    /// For classes of `class_counts` training images, (K).
    ///
    /// # Errors
    /// If a class has no training image: its margin would be infinite.
    pub fn new(recipe: &LdamRecipe, smoothing: f64, class_counts: &[u32]) -> Result<Self, TrainingError> {
        if let Some(class) = class_counts.iter().position(|&count| count == 0) {
            return Err(TrainingError::EmptyClass { class, why: "LDAM" });
        }
        let fewest = class_counts.iter().copied().min().unwrap_or(1);
        let margin = |count: u32| recipe.max_margin * (f64::from(count) / f64::from(fewest)).powf(-0.25);
        let deferred = match &recipe.drw {
            None => None,
            Some(drw) => Some((drw.from_epoch, class_balanced(class_counts, drw.beta)?.with_smoothing(smoothing))),
        };
        Ok(Self {
            margins: class_counts.iter().map(|&count| margin(count)).collect(),
            scale: recipe.scale,
            scale_logits: recipe.scale_logits,
            plain: CrossEntropy::default().with_smoothing(smoothing),
            deferred,
        })
    }

    /// Margin m of each class, `(K,)`.
    pub fn margins(&self) -> &[f64] {
        &self.margins
    }

    /// What the shifted logits go through.
    fn cross_entropy(&self, at: &StepAt) -> &CrossEntropy {
        match &self.deferred {
            Some((from, weighted)) if at.epoch >= *from => weighted,
            _ => &self.plain,
        }
    }
}

impl ClassificationLoss for Ldam {
    fn forward(&self, logits: &Tensor, labels: &[u32], at: &StepAt) -> Result<Tensor, TrainingError> {
        let (rows, classes) = logits.dims2()?;
        TrainingError::check_size("margins", self.margins.len(), classes)?;
        TrainingError::check_size("labels", labels.len(), rows)?;
        TrainingError::check_labels(labels, classes)?;
        let mut margins = vec![0.0; rows * classes];
        for (row, &label) in labels.iter().enumerate() {
            margins[row * classes + label as usize] = self.scale * self.margins[label as usize];
        }
        let margins = Tensor::from_vec(margins, (rows, classes), logits.device())?.to_dtype(logits.dtype())?;
        let logits = if self.scale_logits { (logits * self.scale)? } else { logits.clone() };
        self.cross_entropy(at).forward(&(logits - margins)?, labels, at)
    }

    fn weight_of(&self, labels: &[u32], at: &StepAt) -> f64 {
        self.cross_entropy(at).weight_of(labels, at)
    }
}
