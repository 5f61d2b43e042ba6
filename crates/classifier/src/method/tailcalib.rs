//! `tailcalib` and `tailcalib_x`: balanced features from calibrated Gaussians, then a cosine head.

use std::sync::Arc;

use longtail_recipe::{CountRule, TailCalibRecipe, TailRule};
use longtail_training::{Compute, TrainedPart};
use serde_json::Map;

use super::base::{Context, Fitted, Method, cosine_head};
use super::generation::{Generation, GenerationSettings};
use crate::ClassifierError;
use crate::data::FitData;
use crate::generate::tailcalib::tailcalib_model;
use crate::generate::{ClassStore, FeatureModel, FeatureTransform, Remainder, RowLaws};
use crate::journal::Journal;
use crate::scoring::ScoringHead;
use crate::train::{Batches, RowSource, TrainPlan, train_head};

/// Scale of the cosine head.
const HEAD_SCALE: f64 = 16.0;

/// TailCalib, or TailCalibX with `every_epoch`: new rows each epoch, from the epoch's augmented view where stage 2 dumped
/// views, and ⌊N/batch⌋ steps an epoch.
///
/// # Source
/// Vigneswaran et al. 2021: `TailCalib.py`, `TailCalibX.py`. The Gaussians are the official code's exactly. Different here:
/// the head (16·cos, no bias, from stage 1's unit rows, where theirs normalises along the wrong axis and has a bias and a
/// learned scale), the last epoch (theirs keeps the best, with test as validation), V views in turn (theirs augments anew),
/// and a class of one image (theirs divides by zero).
#[derive(Debug, Clone, Copy)]
pub struct TailCalib<'a> {
    /// Settings from the recipe.
    pub recipe: &'a TailCalibRecipe,
    /// Draws new rows every epoch, as TailCalibX does.
    pub every_epoch: bool,
}

impl TailCalib<'_> {
    /// What a feature goes through: L2, Tukey without its former norm, L2.
    pub fn transform(&self) -> FeatureTransform {
        FeatureTransform { l2: true, tukey: self.recipe.tukey, tukey_keep_norm: false }
    }
}

impl TailCalib<'_> {
    /// How rows are generated in training.
    pub fn generation(&self, seed: u64) -> GenerationSettings {
        GenerationSettings {
            seed,
            prefix: "tailcalib",
            tail: TailRule::BelowMax,
            count: CountRule::Exact,
            remainder: Remainder::WithReplacement,
            normalize: true,
            batch_size: self.recipe.training.batch_size,
            every_epoch: self.every_epoch,
            may_cache: true,
        }
    }

    /// Rows, means, covariance factors and the laws of generated rows.
    ///
    /// # Errors
    /// A negative feature under Tukey, or LAPACK's failures.
    pub fn model(&self, data: &FitData) -> Result<(FeatureModel, RowLaws), ClassifierError> {
        tailcalib_model(Arc::new(unit_rows(&data.train, self.transform())?), self.recipe)
    }
}

impl Method for TailCalib<'_> {
    fn name(&self) -> &'static str {
        if self.every_epoch { "tailcalib_x" } else { "tailcalib" }
    }

    fn fit(&self, data: &FitData, context: &mut Context<'_>) -> Result<Fitted, ClassifierError> {
        let transform = self.transform();
        let plan = TrainPlan {
            head: cosine_head(&data.head, HEAD_SCALE)?,
            part: TrainedPart::All,
            training: &self.recipe.training,
            transform,
            groups: context.groups,
            compute: context.compute.clone(),
        };
        let settings = self.generation(context.seed);
        let (model, laws) = self.model(data)?;
        let mut source =
            CalibratedRows { method: *self, data, generation: Generation::new(settings, model, laws), settings };
        let result = train_head(&plan, data, &mut source, context.journal)?;
        let head = ScoringHead::Trained { head: result.head, transform };
        Ok(Fitted::new(head, Map::new(), result.val_accuracy))
    }
}

fn unit_rows(store: &ClassStore, transform: FeatureTransform) -> Result<ClassStore, ClassifierError> {
    store.try_map(|rows, dim| {
        transform.first(rows, dim);
        Ok(())
    })
}

struct CalibratedRows<'a> {
    method: TailCalib<'a>,
    data: &'a FitData,
    generation: Generation,
    settings: GenerationSettings,
}

impl CalibratedRows<'_> {
    /// Batches of an epoch.
    fn steps(&self) -> usize {
        let batch = self.settings.batch_size;
        let steps = if self.method.every_epoch {
            self.data.train.len() / batch
        } else {
            // every class has N_1 rows once balanced
            self.data.num_classes() * self.data.train.counts().into_iter().max().unwrap_or(0) / batch
        };
        steps.max(1)
    }
}

impl RowSource for CalibratedRows<'_> {
    fn rows_per_epoch(&self) -> usize {
        (self.steps() * self.settings.batch_size).min(self.generation.rows_per_epoch())
    }

    fn batches(
        &mut self,
        epoch: usize,
        compute: &Compute,
        journal: &mut dyn Journal,
    ) -> Result<Batches<'_>, ClassifierError> {
        if self.method.every_epoch
            && let Some(view) = self.data.views.of_epoch(epoch)
        {
            let rows = unit_rows(&view?, self.method.transform())?;
            let (model, laws) = tailcalib_model(Arc::new(rows), self.method.recipe)?;
            self.generation.replace(model, laws);
        }
        let steps = self.steps();
        Ok(Box::new(self.generation.epoch(epoch, Some(steps), compute, journal)?))
    }
}
