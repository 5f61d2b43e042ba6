//! The list of methods.

use candle_core::DType;
use longtail_recipe::{RepresentationMethod, RepresentationRecipe};
use longtail_training::loss;

use super::{Ce, MetaBatches, Method, Mpcl, MpclSettings};
use crate::RepresentationError;

/// The method that a recipe asks for, on tensors of `dtype`.
///
/// # Errors
/// If it needs meta images and there are none.
pub fn build(
    recipe: &RepresentationRecipe,
    feature_dim: usize,
    class_counts: &[u32],
    meta: Option<Box<dyn MetaBatches>>,
    seed: u64,
    dtype: DType,
) -> Result<Box<dyn Method>, RepresentationError> {
    let loss = loss::from_recipe(&recipe.loss, recipe.label_smoothing, class_counts)?;
    match &recipe.method {
        RepresentationMethod::Ce(ce) => Ok(Box::new(Ce::new(&ce.ema, feature_dim, loss, class_counts, dtype)?)),
        RepresentationMethod::Mpcl(mpcl) => {
            let settings = MpclSettings::from_recipe(mpcl, loss, recipe.epochs, feature_dim, class_counts)?;
            Ok(Box::new(Mpcl::new(settings, meta, seed, dtype)?))
        }
    }
}
