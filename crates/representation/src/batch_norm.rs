//! Batches that batch norm cannot learn from: one value a channel has no variance, and the network would be trained on zeros.

use longtail_backbone::TensorNetwork;
use longtail_recipe::RepresentationRecipe;

use crate::RepresentationError;

/// Looks at every size of batch that training on `images` images will see. A warning where one is a single image of several pixels:
/// its statistics are those of that image alone.
///
/// # Errors
/// [`RepresentationError::OneValue`] where one would give batch norm a single value a channel.
pub(crate) fn check(
    variant: &str,
    recipe: &RepresentationRecipe,
    images: usize,
    network: &TensorNetwork,
) -> Result<Option<String>, RepresentationError> {
    let Some(single) = recipe.single_image_batch(variant, images) else { return Ok(None) };
    if network.fewest_norm_pixels() > 1 {
        return Ok(Some(format!("{}: {}", single.statistics_of_one(), single.hint)));
    }
    Err(RepresentationError::OneValue(single.one_value(network.image().height)))
}

#[cfg(test)]
mod tests {
    use longtail_backbone::{Architecture, ImageShape};
    use longtail_recipe::{Backbone, read_str};

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
        let network = TensorNetwork::new(&architecture, image, candle_core::DType::F32).expect("builds");
        check("r", recipe.representation("r").expect("there"), images, &network)
    }

    #[test]
    fn one_value_a_channel_is_refused_before_training() {
        let ce = ("ce: {}", "");
        let error = checked("resnet50", ce, 33).expect_err("33 = 2·16 + 1");
        assert!(error.to_string().contains("33 training images in batches of 16"), "{error}");
        assert!(error.to_string().contains("the network shrinks an image of 32 pixels to 1"), "{error}");
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

    /// The plan knows how small a network makes an image without building it.
    #[test]
    fn a_recipes_backbone_leaves_as_many_pixels_as_the_network() {
        for (backbone, sides) in [
            (Backbone::CifarResnet(8), &[28, 32, 33, 64][..]),
            (Backbone::CifarResnetTwoHeaded(14), &[32, 45]),
            (Backbone::Resnet50, &[32, 33, 64, 65]),
            (Backbone::Resnext50, &[32, 96]),
        ] {
            for &side in sides {
                let image = ImageShape { height: side, width: side, channels: 3 };
                let network =
                    TensorNetwork::new(&crate::architecture(backbone), image, candle_core::DType::F32).expect("builds");
                assert_eq!(network.fewest_norm_pixels(), backbone.fewest_pixels(side), "{backbone:?} of {side}");
                let parts = (2..70)
                    .flat_map(|n| (0..9).map(move |most| longtail_training::step::MicroBatch::new(most, 64).parts(n)));
                assert!(parts.flatten().all(|part| part.len() > 1), "a part of one image");
            }
        }
    }
}
