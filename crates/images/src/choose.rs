//! The transform of a recipe: for stored pixels or for photos, for training, for scoring, for the meta set.

use longtail_ops::gpu::Placement;
use longtail_recipe::{Augmentation, DataRecipe, MetaAug};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::error::TransformError;
use crate::photo::{ColorJitter, PhotoSpec, PhotoTransform};
use crate::shape::ImageShape;
use crate::transform::{EvalTransform, Scratch, TrainTransform};

/// Any of the transforms, for loaders that take all.
#[derive(Debug, Clone)]
pub enum Transform {
    /// Of stored pixels, with random augmentation.
    Train(TrainTransform),
    /// Of stored pixels, without.
    Eval(EvalTransform),
    /// Of photos.
    Photo(Box<PhotoTransform>),
}

impl Transform {
    /// What a training image goes through.
    ///
    /// # Errors
    /// An augmentation or statistics that do not fit the images.
    pub fn train(augmentation: Augmentation, data: &DataRecipe, shape: ImageShape) -> Result<Self, TransformError> {
        let Some(spec) = photo_spec(data)? else {
            return Ok(TrainTransform::new(augmentation, &data.normalize, shape)?.into());
        };
        match augmentation {
            Augmentation::None => Ok(PhotoTransform::eval(&spec).into()),
            Augmentation::RandomResizedCrop => Ok(PhotoTransform::train(&spec, None).into()),
            Augmentation::RandomResizedCropJitter => {
                Ok(PhotoTransform::train(&spec, Some(ColorJitter::default())).into())
            }
            // As for stored pixels, once the photo is brought to its size.
            other => {
                let shape = ImageShape { height: spec.side, width: spec.side, channels: 3 };
                let pixels = TrainTransform::new(other, &data.normalize, shape)?;
                Ok(PhotoTransform::train_pixels(&spec, pixels).into())
            }
        }
    }

    /// What an image that is scored goes through: no augmentation.
    ///
    /// # Errors
    /// Statistics that do not fit the images.
    pub fn eval(data: &DataRecipe, shape: ImageShape) -> Result<Self, TransformError> {
        Ok(match photo_spec(data)? {
            Some(spec) => PhotoTransform::eval(&spec).into(),
            None => EvalTransform::new(&data.normalize, shape)?.into(),
        })
    }

    /// What a meta image goes through: the geometry of the training transform (crop and flip, or a random resized crop and
    /// flip) without changes of colour; nothing random with `none`, or where training has nothing random
    /// (mpcl_mpfa.md §5 row 33).
    ///
    /// # Errors
    /// Statistics that do not fit the images.
    pub fn meta(
        meta_aug: MetaAug,
        augmentation: Augmentation,
        data: &DataRecipe,
        shape: ImageShape,
    ) -> Result<Self, TransformError> {
        match (meta_aug, augmentation) {
            (MetaAug::None, _) | (MetaAug::CropFlip, Augmentation::None) => Self::eval(data, shape),
            (MetaAug::CropFlip, Augmentation::RandomResizedCrop | Augmentation::RandomResizedCropJitter) => {
                Self::train(Augmentation::RandomResizedCrop, data, shape)
            }
            (MetaAug::CropFlip, Augmentation::Basic | Augmentation::AutoaugmentCutout) => {
                Self::train(Augmentation::Basic, data, shape)
            }
        }
    }

    /// Writes one image of stored pixels to `out`; `rng` is asked for only where there is augmentation.
    ///
    /// # Panics
    /// If a slice has another length than an image, or the transform is for photos.
    pub fn apply(&self, image: &[u8], rng: impl FnOnce() -> ChaCha8Rng, scratch: &mut Scratch, out: &mut [f32]) {
        match self {
            Self::Train(transform) => transform.apply(image, &mut rng(), scratch, out),
            Self::Eval(transform) => transform.apply(image, out),
            Self::Photo(_) => unreachable!("loaders apply photo transforms to photos only"),
        }
    }

    /// Whether nothing but moving, mirroring and normalising is done to stored pixels.
    pub fn only_places(&self) -> bool {
        match self {
            Self::Train(transform) => transform.only_places(),
            Self::Eval(_) => true,
            Self::Photo(_) => false,
        }
    }

    /// What [`Transform::apply`] does to image `index`, but for normalising, for a device that holds the images.
    ///
    /// # Panics
    /// If it does more than that: [`Transform::only_places`].
    pub fn placement(&self, index: u32, rng: impl FnOnce() -> ChaCha8Rng) -> Placement {
        assert!(self.only_places(), "pixels that are changed have no placement");
        match self {
            Self::Train(transform) => transform.placement(index, rng),
            Self::Eval(_) | Self::Photo(_) => Placement::of(index),
        }
    }

    /// What is done, for a dump's metadata.
    pub fn describe(&self) -> Value {
        match self {
            Self::Train(transform) => transform.describe(),
            Self::Eval(transform) => transform.describe(),
            Self::Photo(transform) => transform.describe(),
        }
    }
}

impl From<TrainTransform> for Transform {
    fn from(transform: TrainTransform) -> Self {
        Self::Train(transform)
    }
}

impl From<EvalTransform> for Transform {
    fn from(transform: EvalTransform) -> Self {
        Self::Eval(transform)
    }
}

impl From<PhotoTransform> for Transform {
    fn from(transform: PhotoTransform) -> Self {
        Self::Photo(Box::new(transform))
    }
}

/// The recipe's settings of photos, or `None` for stored pixels.
fn photo_spec(data: &DataRecipe) -> Result<Option<PhotoSpec>, TransformError> {
    let Some(photo) = &data.photo else { return Ok(None) };
    let three = |values: &[f32]| -> Result<[f32; 3], TransformError> {
        let problem = || format!("{} numbers for three channels", values.len());
        values.try_into().map_err(|_| TransformError { what: "normalize", problem: problem() })
    };
    Ok(Some(PhotoSpec {
        side: photo.image_side,
        resize_short: photo.resize_short,
        decode: photo.decode,
        exif: photo.exif_orientation,
        mean: three(&data.normalize.mean)?,
        std: three(&data.normalize.std)?,
    }))
}
