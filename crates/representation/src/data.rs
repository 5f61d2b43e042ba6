//! The loaders of stage 1. Test images are never among them.

use std::cell::RefCell;
use std::sync::Arc;

use longtail_backbone::ImageShape;
use longtail_datasets::{EvalLoader, ImageSet, Loader, LoaderOptions, MetaLoader, Split, StoredPixels, Transform};
use longtail_recipe::{DataRecipe, Prototypes, RepresentationMethod, RepresentationRecipe};
use longtail_training::{Feed, ImageBatch};

use crate::batch_sizes::largest_part;
use crate::method::MetaBatches;
use crate::{ImageFeed, RepresentationError};

/// Batches made ahead of the training step.
const PREFETCH: usize = 4;
/// Images per forward of a validation pass: this many, or as many as have this many values together, but at least 32; never
/// more than training has on one tape, so that validation takes no memory of its own. Changes no bit.
const VALIDATION_BATCH: (usize, usize) = (256, 256 * 64 * 64 * 3);

/// What stage 1 reads of a data set.
pub struct StageData {
    /// Training images in the sampler's order, augmented.
    pub train: Loader,
    /// Validation images, normalised only; may be empty.
    pub validation: EvalLoader,
    /// Meta batches, where the method asks for them.
    pub meta: Option<MetaLoader>,
    /// The images of all three, where a device can hold them.
    pub stored: Option<StoredPixels>,
    /// Shape of an image.
    pub image: ImageShape,
    /// Number of classes K.
    pub num_classes: usize,
}

impl StageData {
    /// Loaders over the training file `source`, cut by `split`, as `variant` takes them.
    ///
    /// # Errors
    /// If there is no training image, no meta image where the method needs them, or the augmentation does not fit the images.
    pub fn new(
        variant: &str,
        recipe: &RepresentationRecipe,
        data: &DataRecipe,
        seed: u64,
        source: &Arc<ImageSet>,
        split: &Split,
    ) -> Result<Self, RepresentationError> {
        if split.train.is_empty() {
            return Err(RepresentationError::NoTrainingImages);
        }
        if let Some(no_batch) = recipe.no_batch(variant, split.train.len()) {
            return Err(RepresentationError::NoBatch(no_batch));
        }
        let shape = source.shape();
        let plain = Transform::eval(data, shape)?;
        let options = LoaderOptions {
            sampler: recipe.sampler,
            batch_size: recipe.batch_size,
            drop_last: recipe.drop_last,
            total_epochs: recipe.epochs,
            seed,
            purpose: "representation/train",
            prefetch: PREFETCH,
        };
        let transform = Transform::train(recipe.augmentation, data, shape)?;
        let train = Loader::new(Arc::clone(source), split.train.clone(), transform, options)?;
        let batch = validation_batch(recipe, shape.len());
        let validation = EvalLoader::new(Arc::clone(source), split.val.clone(), plain, batch, PREFETCH)?;
        let meta = match &recipe.method {
            RepresentationMethod::Mpcl(mpcl) if mpcl.prototypes == Prototypes::Meta => {
                if split.meta.is_empty() {
                    return Err(RepresentationError::NoMetaSet);
                }
                let transform = Transform::meta(mpcl.meta_aug, recipe.augmentation, data, shape)?;
                let size = if mpcl.meta_batch == 0 { recipe.batch_size } else { mpcl.meta_batch };
                let purpose = "representation/meta";
                let loader = MetaLoader::new(Arc::clone(source), split, transform, size, seed, purpose)?;
                Some(loader)
            }
            RepresentationMethod::Mpcl(_) | RepresentationMethod::Ce(_) => None,
        };
        let stored = StoredPixels::new(source, &data.normalize)?;
        Ok(Self { train, validation, meta, stored, image: shape, num_classes: source.num_classes })
    }
}

/// Images of `values` numbers each in a forward of a validation pass.
fn validation_batch(recipe: &RepresentationRecipe, values: usize) -> usize {
    let (most, together) = VALIDATION_BATCH;
    (together / values.max(1)).clamp(32, most).min(largest_part(recipe))
}

/// The meta loader, on its way to where the model lies.
pub struct MetaImages {
    loader: MetaLoader,
    feed: RefCell<ImageFeed>,
}

impl MetaImages {
    /// `feed`: of this loader alone.
    pub fn new(loader: MetaLoader, feed: ImageFeed) -> Self {
        Self { loader, feed: RefCell::new(feed) }
    }
}

impl MetaBatches for MetaImages {
    fn batch(&self, index: u64) -> Result<ImageBatch, RepresentationError> {
        let mut feed = self.feed.borrow_mut();
        if feed.holds_images()
            && let Some(placed) = self.loader.placed(index)
        {
            return feed.placed(Feed::Side, placed);
        }
        // The next one is made meanwhile where this one is worked on elsewhere.
        let batch = if feed.works_elsewhere() { self.loader.batch_ahead(index)? } else { self.loader.batch(index)? };
        feed.batch(Feed::Side, batch)
    }
}

#[cfg(test)]
mod tests {
    use longtail_recipe::read_str;

    use super::*;

    #[test]
    fn validation_takes_no_more_images_at_once_than_training() {
        let of = |method: &str, rest: &str, side: usize| {
            let text = format!(
                "
data: {{dataset: fashion_mnist}}
representations: {{r: {{method: {{{method}}}, backbone: {{cifar_resnet: 8}}, {rest}}}}}
classifiers: {{joint: {{joint: {{}}}}}}
"
            );
            let recipe = read_str(&text, "validation", &[]).expect("the recipe is valid");
            validation_batch(recipe.representation("r").expect("there"), 3 * side * side)
        };
        assert_eq!(of("ce: {}", "batch_size: 1024", 32), 256);
        assert_eq!(of("ce: {}", "batch_size: 128", 32), 128);
        assert_eq!(of("ce: {}", "batch_size: 512", 224), 32);
        assert_eq!(of("ce: {}", "batch_size: 512, micro_batch: 8", 224), 8);
        assert_eq!(of("ce: {}", "batch_size: 9, micro_batch: 5", 224), 5);
        assert_eq!(of("mpcl: {meta_batch: 20}", "batch_size: 8", 224), 20);
        assert_eq!(of("mpcl: {prototypes: empirical}", "batch_size: 8", 224), 8);
    }
}
