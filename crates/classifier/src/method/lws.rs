//! `lws`: one learned scale per class on stage 1's frozen linear head.

use longtail_recipe::LwsRecipe;
use longtail_training::{HeadForm, HeadShape, HeadWeights, TrainedPart};
use serde_json::Map;

use super::base::{Context, Fitted, Method};
use super::crt::SampledRows;
use crate::ClassifierError;
use crate::data::FitData;
use crate::generate::FeatureTransform;
use crate::sampler::RowSampler;
use crate::scoring::ScoringHead;
use crate::train::{TrainPlan, train_head};

/// Learnable weight scaling: `(z·Wᵀ + b) ⊙ s`, s from ones; the bias is scaled too.
///
/// # Source
/// Kang et al. 2020 (CB): `cls_lws.yaml`. Different here: as for `crt`.
#[derive(Debug, Clone, Copy)]
pub struct Lws<'a> {
    /// Settings from the recipe.
    pub recipe: &'a LwsRecipe,
}

impl Method for Lws<'_> {
    fn name(&self) -> &'static str {
        "lws"
    }

    fn fit(&self, data: &FitData, context: &mut Context<'_>) -> Result<Fitted, ClassifierError> {
        let (HeadForm::Linear, Some(bias)) = (data.head.shape.form, data.head.bias()) else {
            return Err(ClassifierError::Head {
                method: "lws",
                why: "rescales the rows and bias of a linear head",
                found: data.head.shape.form.name(),
            });
        };
        let shape = HeadShape { form: HeadForm::ScaledLinear, ..data.head.shape };
        let ones = vec![1f32; data.num_classes()];
        let head = HeadWeights::new(shape, [data.head.weight(), bias, &ones].concat())?;
        let training = &self.recipe.training;
        let sampler =
            RowSampler::new(self.recipe.sampler, training.batch_size, training.epochs, context.seed, "lws/rows");
        let plan = TrainPlan {
            head,
            part: TrainedPart::ClassScales,
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
