//! Times one generation of balanced rows, and the head's training on them, at CIFAR-100-LT's scale, or another.
//!
//! `cargo run --release -p longtail-classifier --example generation_speed -- [CLASSES] [LARGEST CLASS] [DIM] [ROWS AT MOST]`

use std::sync::Arc;
use std::time::Instant;

use longtail_classifier::ClassifierError;
use longtail_classifier::generate::calibration::{Calibration, scale_prototypes};
use longtail_classifier::generate::{
    BalancedEpoch, ClassFactors, ClassStore, EpochMemory, FeatureModel, LowRankSampler, Remainder, RowPlan,
    normalize_rows, tukey_rows,
};
use longtail_ops::philox_normals;
use longtail_recipe::ClassifierRecipe;
use longtail_training::{HeadTrainer, HeadWeights};

const RECIPE: &str = "recipe: speed\ndata: {dataset: cifar100}\n\
    representations: {ce: {method: {ce: {}}, backbone: {resnet: 32}}}\nclassifiers: {mpfa: {mpfa: {}}}\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<Vec<usize>, _>>()?;
    let number = |at: usize, default: usize| numbers.get(at).copied().unwrap_or(default);
    let (classes, largest, dim, limit) = (number(0, 100), number(1, 490), number(2, 64), number(3, usize::MAX));
    let profile = |class: usize| largest as f64 * 0.01f64.powf(class as f64 / (classes.max(2) - 1) as f64);
    let counts: Vec<usize> = (0..classes).map(|class| (profile(class) as usize).max(1)).collect();
    let labels: Vec<u32> = counts.iter().enumerate().flat_map(|(class, &count)| vec![class as u32; count]).collect();
    let mut features = vec![0f32; labels.len() * dim];
    philox_normals([1, 2], 0, 0, &mut features);
    for (at, value) in features.iter_mut().enumerate() {
        *value = value.abs() + 0.3 * ((labels[at / dim] as usize * 31 + at % dim * 17) % 7) as f32;
    }
    let recipe = longtail_recipe::read_str(RECIPE, "speed.yaml", &[])?;
    let ClassifierRecipe::Mpfa(mpfa) = recipe.classifier("mpfa")? else {
        return Err("the recipe above names mpfa".into());
    };
    let started = Instant::now();
    let plain = ClassStore::new(&features, &labels, classes, dim)?.try_map(|rows, dim| {
        normalize_rows(rows, dim);
        Ok::<(), ClassifierError>(())
    })?;
    let base = plain.try_map(|rows, dim| tukey_rows(rows, dim, mpfa.tukey, mpfa.tukey_renorm))?;
    let means = scale_prototypes(&plain.means(), &plain, mpfa.proto_scale, mpfa.proto_clamp)?;
    let factors = ClassFactors::new(Arc::new(plain), means.clone())?;
    let calibration = Calibration::new(mpfa, &base, &means, &factors);
    let laws = calibration.laws(&vec![0.4; classes]);
    println!("once: rows, prototypes, factors, neighbours in {:.3} s", started.elapsed().as_secs_f64());
    let model = FeatureModel { base, means, factors };
    let plan = RowPlan::new(&counts, mpfa.tail, mpfa.count, Remainder::Distinct, 0, "speed", 0);
    let memory = EpochMemory::new(&model, laws.bytes(), plan.len(), 128, rayon::current_num_threads());
    println!("{} real rows, {} generated; {memory:?}", labels.len(), plan.len());
    for epoch in 0..4 {
        let started = Instant::now();
        let sampler = LowRankSampler::new(&model, &laws, &plan, [epoch, 0])?;
        let order = (0, "speed/order", u64::from(epoch));
        let steps = Some(limit / 128);
        let batches = BalancedEpoch::new(&model, sampler, &plan, true, 128, memory.block_rows, steps, order);
        let rows: usize = batches.map(|(_, labels)| labels.len()).sum();
        println!("an epoch of {rows} shuffled rows in {:.3} s", started.elapsed().as_secs_f64());
    }
    let mut trainer = HeadTrainer::new(HeadWeights::cosine(model.means.clone(), classes, 16.0)?, Default::default())?;
    let sampler = LowRankSampler::new(&model, &laws, &plan, [9, 0])?;
    let order = (0, "speed/order", 9);
    let batches = BalancedEpoch::new(&model, sampler, &plan, true, 128, memory.block_rows, Some(limit / 128), order)
        .collect::<Vec<_>>();
    let started = Instant::now();
    trainer.train_epoch(0, 0.01, batches.iter().map(|(features, labels)| (&features[..], &labels[..])))?;
    println!("training the head on them in {:.3} s", started.elapsed().as_secs_f64());
    Ok(())
}
