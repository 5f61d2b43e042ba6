//! Batches that batch norm cannot learn from: one value a channel has no variance, and the network would be trained on zeros.

use longtail_artifact::counted;
use longtail_backbone::Network;
use longtail_recipe::{MetaBn, RepresentationMethod, RepresentationRecipe, set_representation};

use crate::RepresentationError;
use crate::passes::{MicroBatch, meta_batch};

/// Looks at every size of batch of `variant`, and of part of a batch (`micro_batch`), that training on `images` images will see. A warning where
/// one is a single image of several pixels: its statistics are those of that image alone.
///
/// # Errors
/// [`RepresentationError::OneValue`] where one would give batch norm a single value a channel.
pub(crate) fn check(
    variant: &str,
    recipe: &RepresentationRecipe,
    images: usize,
    network: &Network<f32>,
) -> Result<Option<String>, RepresentationError> {
    let micro = MicroBatch::new(recipe.micro_batch, recipe.batch_size);
    let is_single = |n: usize| micro.parts(n).iter().any(|part| part.len() == 1);
    let (batch_size, last) = (recipe.batch_size, images % recipe.batch_size);
    let uses_meta_statistics = match &recipe.method {
        RepresentationMethod::Mpcl(mpcl) => mpcl.meta_bn == MetaBn::Batch,
        _ => false,
    };
    let (which, hint) = if is_single(last) && !recipe.drop_last {
        let which =
            format!("the last batch of an epoch ({} in batches of {batch_size})", counted(images, "training image"));
        (which, last_batch_hint(variant, images, batch_size))
    } else if is_single(meta_batch(recipe)) && uses_meta_statistics {
        let two = set_representation(variant, "method.mpcl.meta_batch", 2);
        ("a meta batch (`meta_batch: 1`)".to_owned(), format!("take 2 or more: {two}, or 0 for batch_size"))
    } else {
        return Ok(None);
    };
    if network.fewest_norm_pixels() > 1 {
        return Ok(Some(format!(
            "{which} is a single image, so batch norm takes its statistics from that image alone: {hint}"
        )));
    }
    let (network, side) = (network.architecture().to_string(), network.image().height);
    Err(RepresentationError::OneValue { which, network, side, hint })
}

/// The nearest size that leaves no single image over.
fn last_batch_hint(variant: &str, images: usize, batch_size: usize) -> String {
    if images == 1 {
        return "train on two images or more".to_owned();
    }
    let fits = |size: &usize| images % size != 1;
    let larger = (batch_size + 1..=images).find(fits);
    let smaller = (2..batch_size).rev().find(fits);
    let nearest = match (larger, smaller) {
        (Some(larger), Some(smaller)) if batch_size - smaller < larger - batch_size => smaller,
        (larger, smaller) => larger.or(smaller).unwrap_or(images),
    };
    let dropped =
        if images > batch_size { ", or leave that image out of each epoch with `drop_last: true`" } else { "" };
    format!("{} leaves none over{dropped}", set_representation(variant, "batch_size", nearest))
}

#[cfg(test)]
mod tests {
    use longtail_backbone::{Architecture, ImageShape};
    use longtail_recipe::read_str;

    use super::*;

    fn checked(
        backbone: &str,
        (method, more): (&str, &str),
        images: usize,
    ) -> Result<Option<String>, RepresentationError> {
        let text = format!(
            "data: {{dataset: image_folder, image_side: 32}}\n\
             representations: {{r: {{method: {{{method}}}, batch_size: 16{more}}}}}\nclassifiers: {{joint: }}\n"
        );
        let recipe = read_str(&text, "small", &[]).unwrap_or_else(|error| panic!("{error}"));
        let image = ImageShape { height: 32, width: 32, channels: 3 };
        let architecture: Architecture = backbone.parse().expect("known");
        let network = Network::new(&architecture, image).expect("builds");
        check("r", recipe.representation("r").expect("there"), images, &network)
    }

    #[test]
    fn one_value_a_channel_is_refused_before_training() {
        let ce = ("ce: {}", "");
        let error = checked("resnet50", ce, 33).expect_err("33 = 2·16 + 1");
        assert!(error.to_string().contains("33 training images in batches of 16"), "{error}");
        assert!(error.to_string().contains("`resnet50` shrinks an image of 32 pixels to 1"), "{error}");
        let hint = error.hint().expect("a hint");
        assert!(
            hint.starts_with("--set representations.r.batch_size=17 leaves none over")
                && hint.contains("drop_last: true"),
            "{hint}"
        );
        assert_eq!(checked("resnet50", ce, 34).expect("two are left over"), None);
        assert_eq!(checked("resnet50", ce, 32).expect("none is left over"), None);
        assert_eq!(checked("resnet50", ("ce: {}", ", drop_last: true"), 33).expect("it is dropped"), None);
        assert!(checked("resnet50", ce, 1).is_err(), "the only batch");
        assert!(checked("resnet50", ("ce: {}", ", micro_batch: 4"), 33).is_err(), "a batch of one has one part");
        let error = checked("resnet50", ("ce: {}", ", micro_batch: 2"), 49 + 16).expect_err("4·16 + 1");
        assert!(error.hint().is_some());
        let meta = ("mpcl: {meta_batch: 1}", "");
        let error = checked("resnet50", meta, 32).expect_err("one meta image");
        let hint = error.hint().expect("a hint");
        assert!(error.to_string().contains("meta_batch: 1"), "{error}");
        assert!(hint.contains("--set representations.r.method.mpcl.meta_batch=2"), "{hint}");
        assert_eq!(
            checked("resnet50", ("mpcl: {meta_batch: 1, meta_bn: running}", ""), 32).expect("no batch statistics"),
            None
        );
        assert_eq!(
            checked("resnet50", ("mpcl: {meta_batch: 1, prototypes: empirical}", ""), 32).expect("no meta batch"),
            None
        );
    }

    #[test]
    fn one_image_of_several_pixels_is_a_warning() {
        let warning = checked("resnet32", ("ce: {}", ""), 33).expect("8 by 8 pixels are left").expect("a warning");
        assert!(warning.contains("single image") && warning.contains("batch_size=17"), "{warning}");
        assert_eq!(checked("resnet32", ("ce: {}", ""), 40).expect("eight are left over"), None);
    }

    #[test]
    fn the_size_that_is_named_leaves_none_over() {
        for images in 2..200 {
            for batch_size in 2..70 {
                let hint = last_batch_hint("r", images, batch_size);
                let size = hint.split(['=', ' ']).nth(2).and_then(|size| size.parse::<usize>().ok()).expect("a number");
                assert!(size >= 2 && images % size != 1, "{images} in {batch_size}: {hint}");
            }
        }
    }
}
