//! What every method of stage 3 is: something that turns features into a classifier without seeing the test set.

use longtail_recipe::{ClassifierRecipe, ShotGroups};
use longtail_training::{Compute, HeadWeights};
use serde_json::{Map, Value};

use super::{crt::Crt, joint::Joint, lws::Lws, mpfa::Mpfa, ncm::Ncm, tailcalib::TailCalib, tau_norm::TauNorm};
use crate::ClassifierError;
use crate::data::FitData;
use crate::generate::normalize_rows;
use crate::journal::Journal;
use crate::scoring::ScoringHead;

/// The run around a method.
pub struct Context<'a> {
    /// The recipe's seed.
    pub seed: u64,
    /// Shot groups, for what is logged.
    pub groups: ShotGroups,
    /// Metrics, progress and checkpoints.
    pub journal: &'a mut dyn Journal,
    /// Where heads are trained and rows drawn; a GPU is prepared.
    pub compute: Compute,
}

/// A fitted classifier. Only a method makes one; the test set opens against it alone.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Fitted {
    /// The classifier.
    pub head: ScoringHead,
    /// Hyper-parameters that the method found, by name: chosen on validation data, or adapted to the meta set.
    pub chosen: Map<String, Value>,
    /// Those that it would have chosen, had the recipe given several.
    pub given: Map<String, Value>,
    /// Top-1 accuracy on validation data, a fraction; none without validation data.
    pub val_accuracy: Option<f64>,
}

impl Fitted {
    pub(super) fn new(head: ScoringHead, chosen: Map<String, Value>, val_accuracy: Option<f64>) -> Self {
        Self { head, chosen, given: Map::new(), val_accuracy }
    }
}

/// One method of stage 3.
pub trait Method {
    /// The method's name in recipes and errors.
    fn name(&self) -> &'static str;

    /// Trains or adjusts a head.
    ///
    /// # Errors
    /// What the data lacks for this method, a loss that is not finite, or [`ClassifierError::Interrupted`].
    fn fit(&self, data: &FitData, context: &mut Context<'_>) -> Result<Fitted, ClassifierError>;
}

/// The method that a recipe asks for.
pub fn method(recipe: &ClassifierRecipe) -> Box<dyn Method + '_> {
    match recipe {
        ClassifierRecipe::Joint(_) => Box::new(Joint),
        ClassifierRecipe::Crt(recipe) => Box::new(Crt { recipe }),
        ClassifierRecipe::Lws(recipe) => Box::new(Lws { recipe }),
        ClassifierRecipe::TauNorm(recipe) => Box::new(TauNorm { recipe }),
        ClassifierRecipe::Ncm(recipe) => Box::new(Ncm { recipe }),
        ClassifierRecipe::Tailcalib(recipe) => Box::new(TailCalib { recipe, every_epoch: false }),
        ClassifierRecipe::TailcalibX(recipe) => Box::new(TailCalib { recipe, every_epoch: true }),
        ClassifierRecipe::Mpfa(recipe) => Box::new(Mpfa { recipe }),
    }
}

/// A cosine head of the given scale from stage 1's rows, unit-normalised; a bias is dropped.
///
/// # Errors
/// Never for a head that was read from a file: sizes fit.
///
/// # Source
/// mpcl_mpfa.md §3 step 7 and §5 row 12.
pub(super) fn cosine_head(stage1: &HeadWeights, scale: f64) -> Result<HeadWeights, ClassifierError> {
    let mut weight = stage1.weight().to_vec();
    normalize_rows(&mut weight, stage1.shape.feature_dim);
    Ok(HeadWeights::cosine(weight, stage1.shape.num_classes, scale)?)
}
