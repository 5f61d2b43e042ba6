//! From stored bytes to the normalised f32 pixels that a network sees.
//!
//! One image at a time, `(H, W, C)` in and out. A transform is a function of the image and of one random stream: it holds
//! no state, so images can be made in any order and on any thread.

mod autoaugment;
mod crop_flip;
mod cutout;
pub mod pillow;
mod pixel_table;

use longtail_ops::gpu::Placement;
use longtail_ops::{below, uniform};
use longtail_recipe::{Augmentation, Normalize};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

pub use autoaugment::{AutoAugment, Operation, SUB_POLICIES, SubPolicy, level};
pub use crop_flip::{CropFlip, PAD};
pub use cutout::{CUTOUT_SIDE, CutoutBox};
pub use pixel_table::PixelTable;

use crate::error::TransformError;
use crate::shape::ImageShape;
use pillow::RgbImage;

/// Buffers that a transform reuses between images; they carry nothing from one image to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    image: RgbImage,
    spare: RgbImage,
}

/// What is done to a training image (protocol.md §1.3).
#[derive(Debug, Clone)]
pub struct TrainTransform {
    augmentation: Augmentation,
    table: PixelTable,
    shape: ImageShape,
    policy: Option<AutoAugment>,
}

impl TrainTransform {
    /// - `None`: normalise.
    /// - `Basic`: crop with zero padding, flip, normalise.
    /// - `AutoaugmentCutout`: crop, flip, CIFAR-10's AutoAugment policy, Cutout, normalise.
    ///
    /// # Errors
    /// Another number of means or deviations than channels, a deviation that is not positive, or AutoAugment for images
    /// without three channels.
    pub fn new(augmentation: Augmentation, normalize: &Normalize, shape: ImageShape) -> Result<Self, TransformError> {
        Self::with_statistics(augmentation, &normalize.mean, &normalize.std, shape)
    }

    /// [`TrainTransform::new`] from bare numbers.
    ///
    /// # Errors
    /// As [`TrainTransform::new`].
    pub fn with_statistics(
        augmentation: Augmentation,
        mean: &[f32],
        std: &[f32],
        shape: ImageShape,
    ) -> Result<Self, TransformError> {
        let table = PixelTable::new(mean, std, shape.channels)?;
        let policy = match augmentation {
            Augmentation::AutoaugmentCutout if shape.channels != 3 => {
                return Err(TransformError {
                    what: "augmentation",
                    problem: format!(
                        "`autoaugment_cutout` is defined for three channels, these images have {}; use `basic`",
                        shape.channels
                    ),
                });
            }
            Augmentation::AutoaugmentCutout => Some(AutoAugment::new(shape)),
            _ => None,
        };
        Ok(Self { augmentation, table, shape, policy })
    }

    /// Writes one augmented, normalised image to `out`.
    ///
    /// Draws, in this order and always all of them: crop row, crop column, flip; then for `AutoaugmentCutout` those of
    /// [`AutoAugment::apply`], and Cutout's row and column.
    ///
    /// # Shapes
    /// - `image`: `(H, W, C)` u8  - `out`: `(H, W, C)` f32
    ///
    /// # Panics
    /// If a slice has another length.
    pub fn apply(&self, image: &[u8], rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [f32]) {
        if self.augmentation == Augmentation::None {
            return self.table.normalize(image, out);
        }
        let crop = CropFlip::draw(rng);
        let Some(policy) = &self.policy else {
            return crop.normalize(image, self.shape, &self.table, out);
        };
        scratch.image.resize(self.shape.width, self.shape.height);
        crop.copy(image, self.shape, &mut scratch.image.pixels);
        policy.apply(rng, &mut scratch.image, &mut scratch.spare);
        CutoutBox::draw(rng, self.shape).fill(self.shape, &mut scratch.image.pixels);
        self.table.normalize(&scratch.image.pixels, out);
    }

    /// Whether nothing but moving, mirroring and normalising is done: not with `AutoaugmentCutout`.
    pub(crate) fn only_places(&self) -> bool {
        self.policy.is_none()
    }

    /// What [`TrainTransform::apply`] does to image `index` with the same stream, where it only places.
    pub(crate) fn placement(&self, index: u32, rng: impl FnOnce() -> ChaCha8Rng) -> Placement {
        match self.augmentation {
            Augmentation::None => Placement::of(index),
            Augmentation::Basic
            | Augmentation::AutoaugmentCutout
            | Augmentation::RandomResizedCrop
            | Augmentation::RandomResizedCropJitter => CropFlip::draw(&mut rng()).placement(index),
        }
    }

    /// What is done, for a dump's metadata.
    pub fn describe(&self) -> Value {
        let steps = match self.augmentation {
            Augmentation::None => json!([]),
            Augmentation::AutoaugmentCutout => {
                json!([{"crop_pad_zero": PAD}, {"flip": 0.5}, "autoaugment_cifar10", {"cutout_zero": CUTOUT_SIDE}])
            }
            Augmentation::Basic | Augmentation::RandomResizedCrop | Augmentation::RandomResizedCropJitter => {
                json!([{"crop_pad_zero": PAD}, {"flip": 0.5}])
            }
        };
        json!({"steps": steps, "normalize": self.table.describe()})
    }
}

/// What is done to an image that is scored: normalise, nothing else.
#[derive(Debug, Clone)]
pub struct EvalTransform {
    table: PixelTable,
}

impl EvalTransform {
    /// # Errors
    /// Another number of means or deviations than channels, or a deviation that is not positive.
    pub fn new(normalize: &Normalize, shape: ImageShape) -> Result<Self, TransformError> {
        Self::with_statistics(&normalize.mean, &normalize.std, shape)
    }

    /// [`EvalTransform::new`] from bare numbers.
    ///
    /// # Errors
    /// As [`EvalTransform::new`].
    pub fn with_statistics(mean: &[f32], std: &[f32], shape: ImageShape) -> Result<Self, TransformError> {
        Ok(Self { table: PixelTable::new(mean, std, shape.channels)? })
    }

    /// Writes one normalised image to `out`.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn apply(&self, image: &[u8], out: &mut [f32]) {
        self.table.normalize(image, out);
    }

    /// What is done, for a dump's metadata.
    pub fn describe(&self) -> Value {
        json!({"steps": [], "normalize": self.table.describe()})
    }
}

/// A fair coin: true for `u < 0.5`.
fn coin(rng: &mut ChaCha8Rng) -> bool {
    uniform(rng) < 0.5
}

/// One of `0..n`.
fn index_below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    below(rng, n as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREY: ImageShape = ImageShape { height: 28, width: 28, channels: 1 };

    #[test]
    fn autoaugment_wants_colour() {
        let error = TrainTransform::with_statistics(Augmentation::AutoaugmentCutout, &[0.5], &[0.5], GREY);
        assert!(error.expect_err("grey").to_string().contains("defined for three channels, these images have 1"));
    }

    #[test]
    fn none_is_the_evaluation_transform() {
        let train = TrainTransform::with_statistics(Augmentation::None, &[0.5], &[0.25], GREY).expect("valid");
        let eval = EvalTransform::with_statistics(&[0.5], &[0.25], GREY).expect("valid");
        let image: Vec<u8> = (0..784).map(|i| (i % 256) as u8).collect();
        let (mut first, mut second) = (vec![0.0; 784], vec![0.0; 784]);
        train.apply(&image, &mut longtail_ops::stream(0, "t", 0, 0), &mut Scratch::default(), &mut first);
        eval.apply(&image, &mut second);
        assert_eq!(first, second);
        assert_eq!((first[0], first[255]), (-2.0, 2.0));
    }
}
