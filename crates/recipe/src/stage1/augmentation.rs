//! How training images are varied.

use serde::{Deserialize, Serialize};

use super::SMALL_SIDE;
use crate::check::{At, Problem};
use crate::data::DataRecipe;

/// What happens to a training image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Augmentation {
    /// Normalise only.
    None,
    /// Zero-padded random crop (pad 4) and horizontal flip (protocol.md §1.3).
    Basic,
    /// `basic`, CIFAR-10 AutoAugment, Cutout 1×16. Three channels only.
    AutoaugmentCutout,
    /// A random crop of 8 to 100 % of the area and aspect 3/4 to 4/3, resized, and a horizontal flip. Photo sets only
    /// (protocol.md §2).
    RandomResizedCrop,
    /// The same, then brightness, contrast and saturation each changed by up to 40 % in random order (cRT's recipe,
    /// protocol.md §2). Photo sets only.
    RandomResizedCropJitter,
}

pub(super) fn resolve(at: &At, given: Option<Augmentation>, data: &DataRecipe) -> Result<Augmentation, Problem> {
    let (dataset, side) = (data.dataset, data.image_side());
    let (channels, photos) = (dataset.channels(), dataset.is_photo_set());
    let default = match channels {
        _ if photos => Augmentation::RandomResizedCropJitter,
        3 => Augmentation::AutoaugmentCutout,
        _ => Augmentation::Basic,
    };
    let augmentation = given.unwrap_or(default);
    let (for_photos, for_pixels) = match augmentation {
        Augmentation::None => (true, true),
        Augmentation::RandomResizedCrop | Augmentation::RandomResizedCropJitter => (true, false),
        Augmentation::Basic | Augmentation::AutoaugmentCutout => (false, true),
    };
    if photos && !for_photos && side > SMALL_SIDE {
        return Err(at.conflict(
            format!(
                "this augmentation, a crop with 4 pixels of padding, is for images of 32 pixels, but the images of \
                 `{}` are resized to {side} pixels",
                dataset.name()
            ),
            format!(
                "use `random_resized_crop_jitter`, `random_resized_crop` or `none`, or set `data.image_side` to {SMALL_SIDE} or less"
            ),
        ));
    }
    if !photos && !for_pixels {
        return Err(at.conflict(
            format!(
                "a random resized crop is for photographs, but the images of `{}` are stored as pixels of one size",
                dataset.name()
            ),
            if channels == 3 { "use `autoaugment_cutout`, `basic` or `none`" } else { "use `basic` or `none`" },
        ));
    }
    if augmentation == Augmentation::AutoaugmentCutout && channels != 3 {
        return Err(at.conflict(
            format!("AutoAugment's colour operations need three channels, but `{}` has {channels}", dataset.name()),
            "use `basic` or `none`",
        ));
    }
    Ok(augmentation)
}
