//! How photos become images of one size.

use serde::{Deserialize, Serialize};

use super::{Dataset, RawData};
use crate::check::{At, Problem};

/// From photos of any size to the images that a network sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PhotoRecipe {
    /// Height and width in pixels, 32 to 1024. Default 224.
    pub image_side: usize,
    /// The short side in pixels before the evaluation crop, `image_side` to 4096. Default `image_side`·256/224, rounded:
    /// 256 for 224 (protocol.md §2).
    pub resize_short: usize,
    /// How a JPEG is decoded. Default `exact`.
    pub decode: Decode,
    /// What is done with EXIF's orientation. Default `ignore`.
    pub exif_orientation: ExifOrientation,
    /// What happens to an image that cannot be decoded. Default `fail`.
    pub on_bad_image: OnBadImage,
    /// Read the pack that `cargo xtask data pack` wrote instead of the files. Default false.
    pub packed: bool,
}

/// How a JPEG is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Decode {
    /// In full, as Pillow does.
    Exact,
    /// At a half, a quarter or an eighth of the size where the crop stays at least as large as the image: faster, and
    /// other pixels.
    Scaled,
}

/// What is done with EXIF's orientation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExifOrientation {
    /// Nothing, as in torchvision and every published recipe.
    Ignore,
    /// The image is turned as its camera says.
    Apply,
}

/// What happens to an image that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnBadImage {
    /// Whatever needs it stops, and names its path and its line in the list.
    Fail,
    /// It is left out. All images are decoded once before training (hours for a large set), so that counts and order are
    /// fixed.
    Skip,
}

/// `None` for data sets whose images have one size already; they refuse every setting of photos.
pub(super) fn resolve(at: &At, dataset: Dataset, raw: &RawData) -> Result<Option<PhotoRecipe>, Problem> {
    if !dataset.is_photo_set() {
        let given = [
            ("image_side", raw.image_side.is_some()),
            ("resize_short", raw.resize_short.is_some()),
            ("decode", raw.decode.is_some()),
            ("exif_orientation", raw.exif_orientation.is_some()),
            ("on_bad_image", raw.on_bad_image.is_some()),
            ("packed", raw.packed.is_some()),
        ];
        return match given.iter().find(|(_, given)| *given) {
            None => Ok(None),
            Some((key, _)) => Err(at.key(key).conflict(
                format!("`{key}` is for photographs, but the images of `{}` are stored as pixels of one size", dataset.name()),
                format!(
                    "leave out `{key}`, or use a data set of photographs: `imagenet_lt`, `inaturalist2018`, `image_folder`"
                ),
            )),
        };
    }
    let image_side = at.count(
        "image_side",
        raw.image_side,
        224,
        32..=1024,
        "height and width of the network's input; an ImageNet network halves it five times",
    )?;
    let resize_short = at.count(
        "resize_short",
        raw.resize_short,
        (image_side * 256 + 112) / 224,
        image_side..=4096,
        "the crop of image_side is taken from it",
    )?;
    Ok(Some(PhotoRecipe {
        image_side,
        resize_short,
        decode: raw.decode.unwrap_or(Decode::Exact),
        exif_orientation: raw.exif_orientation.unwrap_or(ExifOrientation::Ignore),
        on_bad_image: raw.on_bad_image.unwrap_or(OnBadImage::Fail),
        packed: raw.packed.unwrap_or(false),
    }))
}
