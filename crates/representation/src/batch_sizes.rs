//! How many images go through the network at once.

use longtail_recipe::{Prototypes, RepresentationMethod, RepresentationRecipe};
use longtail_training::step::MicroBatch;

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
