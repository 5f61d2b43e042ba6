//! How long a stage may take that never ran here: roughly, from rates that were measured elsewhere.

use longtail_recipe::{
    Backbone, DataRecipe, MetaSource, Prototypes, Recipe, RepresentationMethod, RepresentationRecipe,
};

use super::{Images, parameters};
use crate::cli::Stage;
use crate::plan::Job;

/// Where the rates below were measured; the plan says so.
pub const HARDWARE: &str = "2 cores of an AMD EPYC with AVX-512 (results/bench-cpu.jsonl)";

/// Images a second, of images with sides of `side` pixels.
struct Rates {
    side: f64,
    /// In a training step of cross-entropy.
    step: f64,
    /// In the dump of features.
    features: f64,
}

/// `results/bench-cpu.jsonl`, two threads: ResNet-32 at 32 pixels, batch 128; ResNet-50 and ResNeXt-50 at 224, batch 8. Others
/// by their multiplications: depth for CIFAR networks; 7.8 and 11.5 against ResNet-50's 4.1 billion for 101 and 152 layers.
fn rates(backbone: Backbone) -> Rates {
    let resnet50 = |share: f64| Rates { side: 224.0, step: 5.30 * share, features: 21.4 * share };
    match backbone {
        Backbone::CifarResnet(depth) | Backbone::CifarResnetTwoHeaded(depth) => {
            let share = 30.0 / (depth.max(3) - 2) as f64;
            Rates { side: 32.0, step: 596.0 * share, features: 1864.0 * share }
        }
        Backbone::Resnext50 => Rates { side: 224.0, step: 4.76, features: 15.9 },
        Backbone::Resnet101 => resnet50(4.1 / 7.8),
        Backbone::Resnet152 => resnet50(4.1 / 11.5),
        Backbone::Resnet50 => resnet50(1.0),
    }
}

/// What a step costs however few pixels its images have: the optimiser moves every weight, and each pass reads them all. The rates have it
/// in them at their own side. Measured with ResNet-50 of 24 million weights at 32 pixels, in batches of 2: 0.2 s.
const STEP_SECS_A_WEIGHT: f64 = 9e-9;
/// What stage 1 takes before its first step and after its last: weights are drawn, written and hashed. Measured with the same: 2 s.
const ENDS_SECS_A_WEIGHT: f64 = 8e-8;
/// A program starts, reads lists and opens the images.
const START_SECS: f64 = 0.2;

/// What a bi-level step costs more than a plain one: 10 forwards to 3 (mpcl_mpfa.md §4.5; measured 3.3 with ResNet-32).
const BILEVEL_EXTRA: f64 = 7.0 / 3.0;
/// A step with activation checkpointing runs the forward once more: 4 to 3.
const CHECKPOINTING: f64 = 4.0 / 3.0;

/// Seconds of a job on [`HARDWARE`]; None for stages whose time no such rate tells.
pub fn rough_secs(recipe: &Recipe, job: &Job, images: &Images) -> Option<f64> {
    let representation = recipe.representations.get(&job.variant)?;
    let rates = rates(representation.backbone);
    let pixels = (recipe.data.image_side() as f64 / rates.side).powi(2);
    let weights = parameters(representation.backbone) as f64;
    match job.stage {
        Stage::Representation => {
            let epochs = representation.epochs as f64;
            let of_pixels = images.train as f64 * pixels / rates.step;
            let steps = images.train.div_ceil(representation.batch_size as u64) as f64;
            let of_weights = steps * weights * STEP_SECS_A_WEIGHT * (1.0 - pixels).max(0.0);
            let validation = validated(&recipe.data, images) as f64 * pixels / rates.features;
            let an_epoch = (of_pixels + of_weights) * cost_of_a_step(representation) + validation;
            Some(epochs * an_epoch + weights * ENDS_SECS_A_WEIGHT + START_SECS)
        }
        Stage::Features => {
            let rows = images.train * (1 + recipe.features.views as u64) + images.val.max(images.meta) + images.test;
            Some(rows as f64 * pixels / rates.features + weights * STEP_SECS_A_WEIGHT + START_SECS)
        }
        _ => None,
    }
}

/// Images of the validation pass behind each epoch: see `Split` in `datasets`.
fn validated(data: &DataRecipe, images: &Images) -> u64 {
    match data.meta_source {
        MetaSource::Metasaug if images.val > 0 => images.val.saturating_sub(images.meta),
        MetaSource::Metasaug if !data.dataset.is_photo_set() => images.meta,
        _ => images.val,
    }
}

/// Against a plain step of cross-entropy, on the average over the epochs.
fn cost_of_a_step(representation: &RepresentationRecipe) -> f64 {
    let bilevel = match &representation.method {
        RepresentationMethod::Mpcl(mpcl) if mpcl.prototypes == Prototypes::Meta => {
            (1.0 - mpcl.t_th_frac) * BILEVEL_EXTRA / mpcl.meta_every as f64
        }
        RepresentationMethod::Mpcl(_) | RepresentationMethod::Ce(_) => 0.0,
    };
    (1.0 + bilevel) * if representation.activation_checkpointing { CHECKPOINTING } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(text: &str, stage: Stage, variant: &str) -> f64 {
        let recipe = longtail_recipe::read_str(text, "mine.yaml", &[]).expect("a sound recipe");
        let images = Images::of(&recipe.data, Some(std::path::Path::new("nowhere"))).expect("published");
        let job = Job { stage, variant: variant.to_owned(), method: None };
        rough_secs(&recipe, &job, &images).expect("a rate is known") / 86_400.0
    }

    #[test]
    fn imagenet_lt_takes_what_its_recipe_says() {
        let text = "data: {dataset: imagenet_lt}\nrepresentation_defaults: {epochs: 90}\n\
                    representations: {ce: {method: {ce: {}}}, mpcl: {method: {mpcl: {}}}}\nclassifiers: {joint: }";
        // 90 · 115,846 / 4.76 s = 25.35 days; after 18 of the 90 epochs a step costs 10/3: × (0.2 + 0.8 · 10/3). Behind each epoch 10,000
        // images are scored at 15.9 a second: 0.655 days together.
        assert!((days(text, Stage::Representation, "ce") - 26.01).abs() < 0.01);
        assert!((days(text, Stage::Representation, "mpcl") - 73.33).abs() < 0.02);
        // 185,846 images at 15.9 a second.
        assert!((days(text, Stage::Features, "ce") - 0.1353).abs() < 1e-3);
    }

    #[test]
    fn smaller_images_and_shallower_networks_take_less() {
        let text = |side: usize, backbone: &str| {
            format!(
                "data: {{dataset: imagenet_lt, image_side: {side}}}\nrepresentation_defaults: {{backbone: {backbone}}}\n\
                 representations: {{ce: {{method: {{ce: {{}}}}}}}}\nclassifiers: {{joint: }}"
            )
        };
        let of = |side, backbone| days(&text(side, backbone), Stage::Representation, "ce");
        // A quarter, and what steps cost by their weights: 200 epochs of 453 steps (batches of 256), three quarters of 0.216 s each.
        let of_weights = 200.0 * 453.0 * 0.75 * 0.216 / 86_400.0;
        assert!((of(112, "resnet50") - of(224, "resnet50") / 4.0 - of_weights).abs() < 1e-3);
        assert!(of(224, "resnet152") > of(224, "resnet101") && of(224, "resnet101") > of(224, "resnet50"));
    }

    /// Measured on 2 cores: 39 images of 32 pixels. The rate at 224 pixels alone would say 0.15 s an epoch.
    #[test]
    fn a_large_network_on_a_small_folder_takes_seconds() {
        let of = |backbone: &str, epochs: usize, batch_size: usize| {
            let text = format!(
                "data: {{dataset: image_folder, image_side: 32, meta_source: none}}\nrepresentations: {{ce: {{method: {{ce: {{}}}}, \
                 backbone: {backbone}, epochs: {epochs}, batch_size: {batch_size}}}}}\nclassifiers: {{joint: }}"
            );
            let recipe = longtail_recipe::read_str(&text, "mine.yaml", &[]).expect("a sound recipe");
            let images = Images { train: 40, val: 8, meta: 0, test: 10, classes: 2 };
            let job = Job { stage: Stage::Representation, variant: "ce".to_owned(), method: None };
            rough_secs(&recipe, &job, &images).expect("a rate is known")
        };
        let [one, four] = [of("resnet50", 1, 2), of("resnet50", 4, 2)];
        assert!((4.0..10.0).contains(&one) && (12.0..24.0).contains(&four), "{one} {four}");
        assert!((2.0..5.0).contains(&of("resnet50", 1, 40)));
        let small = of("{cifar_resnet: 32}", 1, 40);
        assert!((0.2..0.6).contains(&small), "{small}");
    }
}
