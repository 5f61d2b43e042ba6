//! How photos become images of one size.

use crate::check::{At, Problem};
use crate::raw::RawData;
use crate::resolved::{Dataset, Decode, ExifOrientation, OnBadImage, PhotoRecipe};

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
