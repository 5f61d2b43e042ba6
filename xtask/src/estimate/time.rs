//! How long a stage may take that never ran here: roughly, from rates that were measured elsewhere.

use longtail_recipe::{Backbone, Prototypes, Recipe, RepresentationMethod, RepresentationRecipe};

use super::Images;
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

/// What a bi-level step costs more than a plain one: 10 forwards to 3 (mpcl_mpfa.md §4.5; measured 3.3 with ResNet-32).
const BILEVEL_EXTRA: f64 = 7.0 / 3.0;
/// A step with activation checkpointing runs the forward once more: 4 to 3.
const CHECKPOINTING: f64 = 4.0 / 3.0;

/// Seconds of a job on [`HARDWARE`]; None for stages whose time no such rate tells.
pub fn rough_secs(recipe: &Recipe, job: &Job, images: &Images) -> Option<f64> {
    let representation = recipe.representations.get(&job.variant)?;
    let rates = rates(representation.backbone);
    let pixels = (recipe.data.image_side() as f64 / rates.side).powi(2);
    match job.stage {
        Stage::Representation => {
            let passes = representation.epochs as f64 * images.train as f64;
            Some(passes * pixels / rates.step * cost_of_a_step(representation))
        }
        Stage::Features => {
            let rows = images.train * (1 + recipe.features.views as u64) + images.val.max(images.meta) + images.test;
            Some(rows as f64 * pixels / rates.features)
        }
        _ => None,
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
        // 90 · 115,846 / 4.76 s = 25.35 days; after 18 of the 90 epochs a step costs 10/3: × (0.2 + 0.8 · 10/3).
        assert!((days(text, Stage::Representation, "ce") - 25.35).abs() < 0.01);
        assert!((days(text, Stage::Representation, "mpcl") - 72.67).abs() < 0.02);
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
        assert!((of(112, "resnet50") * 4.0 - of(224, "resnet50")).abs() < 1e-6);
        assert!(of(224, "resnet152") > of(224, "resnet101") && of(224, "resnet101") > of(224, "resnet50"));
    }
}
