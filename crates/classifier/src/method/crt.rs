//! `crt`: a fresh linear head on frozen features, trained with class-balanced sampling.

use longtail_ops::stream;
use longtail_recipe::CrtRecipe;
use longtail_training::{Compute, HeadForm, HeadShape, HeadWeights, TrainedPart};
use serde_json::Map;

use super::base::{Context, Fitted, Method};
use crate::ClassifierError;
use crate::data::FitData;
use crate::generate::{ClassStore, FeatureTransform};
use crate::journal::Journal;
use crate::sampler::RowSampler;
use crate::scoring::ScoringHead;
use crate::train::{Batches, RowSource, TrainPlan, from_host, train_head};

/// Classifier re-training.
///
/// # Source
/// Kang et al. 2020 (CB): `cls_crt.yaml`, `run_networks.py`. Different here: features are dumped once in evaluation mode and
/// without augmentation, where CB keeps augmenting and keeps batch norm in training mode; epoch e of T runs at
/// lr/2·(1 + cos(πe/T)), e from 0, where CB steps its schedule first (e from 1).
#[derive(Debug, Clone, Copy)]
pub struct Crt<'a> {
    /// Settings from the recipe.
    pub recipe: &'a CrtRecipe,
}

impl Method for Crt<'_> {
    fn name(&self) -> &'static str {
        "crt"
    }

    fn fit(&self, data: &FitData, context: &mut Context<'_>) -> Result<Fitted, ClassifierError> {
        let shape = HeadShape { form: HeadForm::Linear, num_classes: data.num_classes(), feature_dim: data.dim() };
        let head = HeadWeights::new(shape, shape.init(&mut stream(context.seed, "crt/init", 0, 0)))?;
        let training = &self.recipe.training;
        let sampler =
            RowSampler::new(self.recipe.sampler, training.batch_size, training.epochs, context.seed, "crt/rows");
        let plan = TrainPlan {
            head,
            part: TrainedPart::All,
            training,
            transform: FeatureTransform::IDENTITY,
            groups: context.groups,
            compute: context.compute.clone(),
        };
        let mut source = SampledRows { sampler, store: &data.train };
        let result = train_head(&plan, data, &mut source, context.journal)?;
        let head = ScoringHead::Trained { head: result.head, transform: FeatureTransform::IDENTITY };
        Ok(Fitted::new(head, Map::new(), result.val_accuracy))
    }
}

/// Real rows in a sampler's order.
pub(super) struct SampledRows<'a> {
    pub sampler: RowSampler,
    pub store: &'a ClassStore,
}

impl RowSource for SampledRows<'_> {
    fn rows_per_epoch(&self) -> usize {
        self.sampler.rows(self.store)
    }

    fn batches(
        &mut self,
        epoch: usize,
        compute: &Compute,
        _journal: &mut dyn Journal,
    ) -> Result<Batches<'_>, ClassifierError> {
        Ok(from_host(self.sampler.batches(self.store, epoch), self.store.dim(), compute))
    }
}
