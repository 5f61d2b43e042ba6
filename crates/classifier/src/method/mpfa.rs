//! `mpfa`: balanced features around calibrated meta-prototypes, then a cosine head.

use std::sync::Arc;

use longtail_recipe::{CovCenter, CovSpace, FeatNorm, MpfaPrototypes, MpfaRecipe, Regen};
use longtail_training::{Compute, HeadWeights, StateReader, StateWriter, TrainedPart};
use serde_json::{Map, json};

use super::alpha::{AlphaState, class_losses};
use super::base::{Context, Fitted, Method, cosine_head};
use super::generation::{Generation, GenerationSettings};
use crate::ClassifierError;
use crate::data::{FeatureSet, FitData};
use crate::generate::calibration::{Calibration, scale_prototypes};
use crate::generate::{BaseRows, ClassFactors, FeatureModel, FeatureTransform, Remainder, Tukey, tukey_rows};
use crate::journal::Journal;
use crate::scoring::ScoringHead;
use crate::train::{Batches, RowSource, TrainPlan, prepare, train_head};

/// Meta-prototype feature augmentation.
///
/// # Source
/// mpcl_mpfa.md §3 and §5 rows 13 to 30 and 38; the paper has no public code.
#[derive(Debug, Clone, Copy)]
pub struct Mpfa<'a> {
    /// Settings from the recipe.
    pub recipe: &'a MpfaRecipe,
}

impl Mpfa<'_> {
    /// What a feature goes through.
    pub fn transform(&self) -> FeatureTransform {
        FeatureTransform {
            l2: self.recipe.feat_norm != FeatNorm::None,
            tukey: self.recipe.tukey,
            tukey_keep_norm: self.recipe.tukey_renorm,
        }
    }

    /// Rows, scaled prototypes, covariance factors and neighbours: all that does not change with α.
    ///
    /// # Errors
    /// A prototype of zero length, a negative feature under Tukey, or LAPACK's failures.
    pub fn model(&self, data: &FitData) -> Result<(FeatureModel, Calibration), ClassifierError> {
        let (recipe, transform) = (self.recipe, self.transform());
        let plain = data.train.try_map(|rows, dim| {
            transform.first(rows, dim);
            Ok(())
        })?;
        let raw = match recipe.prototypes {
            MpfaPrototypes::Empirical => data.prototypes.empirical.clone(),
            MpfaPrototypes::ClassMean => plain.means(),
            MpfaPrototypes::Meta => data.prototypes.meta.clone(),
        };
        let prototypes = scale_prototypes(&raw, &plain, recipe.proto_scale, recipe.proto_clamp)?;
        let (noise_rows, tukey) = match recipe.cov_space {
            CovSpace::Tukey => {
                let rows = plain.try_map(|rows, dim| tukey_rows(rows, dim, transform.second()))?;
                (Arc::new(rows), Tukey::IDENTITY)
            }
            CovSpace::Raw => (Arc::new(plain), transform.second()),
        };
        let centers = match recipe.cov_center {
            CovCenter::Mean => noise_rows.means(),
            CovCenter::Proto => prototypes.clone(),
        };
        let base = BaseRows::new(noise_rows.clone(), tukey)?;
        let factors = ClassFactors::new(noise_rows, centers)?;
        let calibration = Calibration::new(recipe, &base, &prototypes, &factors);
        Ok((FeatureModel { base, means: prototypes, factors }, calibration))
    }
}

impl Method for Mpfa<'_> {
    fn name(&self) -> &'static str {
        "mpfa"
    }

    fn fit(&self, data: &FitData, context: &mut Context<'_>) -> Result<Fitted, ClassifierError> {
        let (recipe, transform) = (self.recipe, self.transform());
        let alpha = AlphaState::new(recipe.alpha, data.num_classes());
        self.check(data, &alpha)?;
        let (model, calibration) = self.model(data)?;
        let settings = self.generation(context.seed, &alpha);
        let laws = calibration.laws(alpha.values());
        let mut source = CalibratedRows {
            calibration,
            generation: Generation::new(settings, model, laws),
            meta: if alpha.is_adaptive() { Some(prepare(&data.meta, transform)?) } else { None },
            alpha,
        };
        let plan = TrainPlan {
            head: cosine_head(&data.head, recipe.head_scale)?,
            part: TrainedPart::All,
            training: &recipe.training,
            transform,
            groups: context.groups,
            compute: context.compute.clone(),
        };
        let result = train_head(&plan, data, &mut source, context.journal)?;
        let mut chosen = Map::new();
        if source.alpha.is_adaptive() {
            chosen.insert("alpha_per_class".to_owned(), json!(source.alpha.values()));
        } else if source.alpha.candidates().len() > 1 {
            // A fixed α was given, not chosen.
            chosen.insert("alpha".to_owned(), json!(source.alpha.candidates().get(result.trial)));
        }
        Ok(Fitted::new(ScoringHead::Trained { head: result.head, transform }, chosen, result.val_accuracy))
    }
}

impl Mpfa<'_> {
    /// How rows are generated in training.
    pub fn generation(&self, seed: u64, alpha: &AlphaState) -> GenerationSettings {
        GenerationSettings {
            seed,
            prefix: "mpfa",
            tail: self.recipe.tail,
            count: self.recipe.count,
            remainder: Remainder::Distinct,
            normalize: self.transform().l2,
            batch_size: self.recipe.training.batch_size,
            every_epoch: self.recipe.regen != Regen::Once,
            may_cache: !alpha.is_adaptive(),
        }
    }

    fn check(&self, data: &FitData, alpha: &AlphaState) -> Result<(), ClassifierError> {
        let missing =
            |what, set: &FeatureSet| Err(ClassifierError::NoData { method: "mpfa", what, path: set.path.clone() });
        if alpha.is_adaptive() && data.meta.labels.is_empty() {
            return missing("a meta set for `alpha: adaptive`", &data.meta);
        }
        if alpha.candidates().len() > 1 && data.val.labels.is_empty() {
            return missing("validation features for `alpha: search`", &data.val);
        }
        Ok(())
    }
}

struct CalibratedRows {
    calibration: Calibration,
    generation: Generation,
    alpha: AlphaState,
    meta: Option<FeatureSet>,
}

impl CalibratedRows {
    fn recalibrate(&mut self) {
        self.generation.laws = self.calibration.laws(self.alpha.values());
        self.generation.forget_rows();
    }
}

impl RowSource for CalibratedRows {
    fn trials(&self) -> usize {
        self.alpha.candidates().len()
    }

    fn rows_per_epoch(&self) -> usize {
        self.generation.rows_per_epoch()
    }

    fn begin_trial(&mut self, trial: usize) -> Result<(), ClassifierError> {
        self.alpha.begin_trial(trial);
        self.generation.begin_trial(trial, self.calibration.laws(self.alpha.values()));
        Ok(())
    }

    fn batches(
        &mut self,
        epoch: usize,
        compute: &Compute,
        journal: &mut dyn Journal,
    ) -> Result<Batches<'_>, ClassifierError> {
        let values = self.alpha.values();
        let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        for (name, value) in [("alpha_mean", mean), ("alpha_min", low), ("alpha_max", high)] {
            journal.scalar(epoch, "generate", name, value, "")?;
        }
        Ok(Box::new(self.generation.epoch(epoch, None, compute, journal)?))
    }

    fn after_epoch(
        &mut self,
        epoch: usize,
        head: &HeadWeights,
        journal: &mut dyn Journal,
    ) -> Result<(), ClassifierError> {
        let Some(meta) = &self.meta else {
            return Ok(());
        };
        let losses = class_losses(head, meta)?;
        let known: Vec<f64> = losses.iter().copied().filter(|loss| !loss.is_nan()).collect();
        journal.scalar(epoch, "meta", "class_loss_mean", known.iter().sum::<f64>() / known.len() as f64, "nats")?;
        self.alpha.update(losses);
        self.recalibrate();
        Ok(())
    }

    fn save(&self, state: &mut StateWriter) {
        self.alpha.save(state);
    }

    fn restore(&mut self, state: &mut StateReader) -> Result<(), ClassifierError> {
        self.alpha.restore(state)?;
        self.recalibrate();
        Ok(())
    }
}
