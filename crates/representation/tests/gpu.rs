//! Stage 1 on a GPU: to the bit what it was before a stop, and the CPU's but for roundings.

use std::path::Path;
use std::sync::Arc;

use longtail_artifact::{BeginOptions, Device, ImageMatch, StageSpec};
use longtail_datasets::{DataSource, ImageSet, Split};
use longtail_ops::{below, stream};
use longtail_recipe::read_str;
use longtail_representation::RepresentationError;
use longtail_representation::stage;
use longtail_representation::train::Observer;
use longtail_training::Compute;

const RECIPE: &str = "
data: {dataset: cifar100, imbalance_factor: 5, meta_per_class: 2}
representation_defaults:
  {backbone: {cifar_resnet: 8}, augmentation: basic, epochs: 2, batch_size: 16, lr: 0.02, warmup_epochs: 1}
representations:
  ce: {method: {ce: {}}}
  parts: {micro_batch: 5, method: {ce: {}}, head: {cosine: 16.0}}
  meta: {method: {mpcl: {t_th_frac: 0.3, meta_batch: 12}}}
  sent: {augmentation: autoaugment_cutout, method: {mpcl: {t_th_frac: 0.3, meta_batch: 12}}}
  ldam: {method: {ce: {}}, head: normed_linear, loss: {ldam: {drw: {from_epoch: 1}}}}
  bf16: {cuda_precision: bf16, method: {mpcl: {t_th_frac: 0.3, meta_batch: 12}}}
classifiers: {joint: {joint: {}}}
";

/// Stops after that step.
struct Stop(Option<u64>);

impl Observer for Stop {
    fn start(&mut self, _total_steps: u64, _first_step: u64) {}

    fn stop_after(&mut self, step: u64) -> bool {
        self.0 == Some(step)
    }

    fn say(&mut self, _line: &str) {}
}

fn image_set(per_class: u64) -> ImageSet {
    let mut rng = stream(0, "test/images", 0, 0);
    let labels: Vec<u32> = (0..10 * per_class).map(|index| (index % 10) as u32).collect();
    let images = labels.iter().flat_map(|&label| (0..192).map(move |pixel| (label, pixel)));
    let images: Vec<u8> = images
        .map(|(label, pixel)| (below(&mut rng, 128) + if pixel / 3 % 10 == label { 127 } else { 0 }) as u8)
        .collect();
    ImageSet {
        images: images.into(),
        labels,
        height: 8,
        width: 8,
        channels: 3,
        num_classes: 10,
        class_names: (0..10).map(|class| class.to_string()).collect(),
    }
}

fn train(compute: &Compute, folder: &Path, variant: &str, stop: Option<u64>) -> Result<(), RepresentationError> {
    let recipe = read_str(RECIPE, "gpu", &[]).expect("the recipe is valid");
    let (train, test, hash) = (image_set(22), image_set(2), "synthetic".to_owned());
    let source = DataSource { train, test, hash, val_from: None, kept: None };
    let split = Split::draw(&recipe.data, &source).expect("every class keeps an image");
    let spec = StageSpec {
        stage: "representation",
        code_version: 1,
        recipe_part: recipe.representation_part(variant).expect("a variant of the recipe"),
        inputs: Vec::new(),
        device: if compute.device().is_cpu() { "cpu" } else { "cuda:0" }.into(),
        images: ImageMatch::Same,
    };
    let (source, options) = (Arc::new(source.train), BeginOptions::default());
    stage::run(&recipe, variant, &source, &split, folder, &spec, compute, options, &mut Stop(stop)).map(drop)
}

/// The means of that name, epoch by epoch.
fn means(folder: &Path, name: &str) -> Vec<f64> {
    let metrics = std::fs::read_to_string(folder.join("metrics.jsonl")).expect("metrics are there");
    let lines = metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    lines.filter(|line| line["name"] == name).filter_map(|line| line["value"].as_f64()).collect()
}

#[test]
fn training_on_a_real_gpu_resumes_to_the_bit_and_is_the_cpus() {
    let gpu = Compute::open(Device::Cuda(0), "representation");
    if let Err(why) = &gpu {
        println!("skipped: {why}");
    }
    let folder = || tempfile::tempdir().expect("a temporary folder");
    for variant in ["ce", "parts", "meta", "sent", "ldam", "bf16"] {
        let (straight, stopped, cpu) = (folder(), folder(), folder());
        train(&Compute::cpu(), cpu.path(), variant, None).expect("the CPU");
        let Ok(gpu) = &gpu else { continue };
        train(gpu, straight.path(), variant, None).expect("a straight run");
        for step in [3, 9] {
            let outcome = train(gpu, stopped.path(), variant, Some(step));
            assert!(matches!(outcome, Err(RepresentationError::Interrupted { .. })), "{outcome:?}");
        }
        train(gpu, stopped.path(), variant, None).expect("the rest");
        for file in ["backbone.safetensors", "head.safetensors", "prototypes.safetensors"] {
            let bytes = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(file)).expect("written");
            assert!(bytes(&straight) == bytes(&stopped), "{variant}: {file} differs after a stop");
        }
        let (here, there) = (means(cpu.path(), "ce"), means(straight.path(), "ce"));
        assert_eq!(here.len(), 2, "two epochs");
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < if variant == "bf16" { 0.1 } else { 0.02 } * a.abs();
        assert!(here.iter().zip(&there).all(near), "{variant}: {there:?} for {here:?}");
    }
}
