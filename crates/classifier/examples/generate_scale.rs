//! Feature generation at the scale of a published data set, on random features: seconds, processor seconds and peak memory.
//!
//! `cargo run --release -p longtail-classifier --example generate_scale -- imagenet_lt` (or `inaturalist2018`, whose counts are
//! an approximation: 8142 classes from 1000 to 2 images, 437,513 in all). A number behind it is how many batches of 512 are drawn
//! instead of a whole epoch. `RAYON_NUM_THREADS` sets the threads.

use std::sync::Arc;
use std::time::Instant;

use longtail_classifier::ClassifierError;
use longtail_classifier::generate::calibration::{Calibration, scale_prototypes};
use longtail_classifier::generate::{
    BalancedEpoch, BaseRows, ClassFactors, ClassStore, EpochMemory, FeatureModel, LowRankSampler, Remainder, RowPlan,
    Tukey, normalize_rows,
};
use longtail_ops::philox_normals;
use longtail_recipe::ClassifierRecipe;

const BATCH: usize = 512;
const DIM: usize = 2048;
const RECIPE: &str = "recipe: scale\ndata: {dataset: imagenet_lt}\n\
    representations: {ce: {method: {ce: {}}, backbone: resnet50}}\nclassifiers: {mpfa: {mpfa: {}}}\n";
const IMAGENET_LT: &str = include_str!("../../datasets/data/imagenet_lt_class_counts.txt");

/// Counts that fall like a power of the class's place, with iNaturalist's ends and total.
fn inaturalist() -> Vec<usize> {
    let (classes, total) = (8142usize, 437_513usize);
    let counts = |power: f64| -> Vec<usize> {
        let place = |class: usize| 1.0 - class as f64 / (classes - 1) as f64;
        (0..classes).map(|class| (2.0 + 998.0 * place(class).powf(power)) as usize).collect()
    };
    let (mut low, mut high) = (1.0, 100.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if counts(middle).iter().sum::<usize>() > total { low = middle } else { high = middle }
    }
    counts(low)
}

/// A value of `/proc/self/status` in MiB, 0 where there is none.
fn status(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or(": 0 kB");
    line.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// Processor seconds of this process, user and system.
fn processor_secs() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> =
        text.rsplit(')').next().unwrap_or_default().split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // The state letter does not parse and drops out, so that user and system time are numbers 10 and 11 after the name.
    (fields.get(10).unwrap_or(&0.0) + fields.get(11).unwrap_or(&0.0)) / 100.0
}

/// Non-negative random features around a mean of their class.
fn store(counts: &[usize]) -> Result<ClassStore, ClassifierError> {
    let labels: Vec<u32> = counts.iter().enumerate().flat_map(|(class, &n)| vec![class as u32; n]).collect();
    let mut features = vec![0f32; labels.len() * DIM];
    for ((number, row), &label) in features.chunks_exact_mut(DIM).enumerate().zip(&labels) {
        philox_normals([1, 2], number as u64, 0, row);
        for (at, value) in row.iter_mut().enumerate() {
            *value = value.abs() + 0.3 * ((label as usize * 31 + at * 17) % 7) as f32;
        }
    }
    normalize_rows(&mut features, DIM);
    ClassStore::from_vec(features, &labels, counts.len(), DIM)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let set = std::env::args().nth(1).unwrap_or_else(|| "imagenet_lt".to_owned());
    let counts: Vec<usize> = match set.as_str() {
        "imagenet_lt" => IMAGENET_LT
            .lines()
            .filter(|line| !line.starts_with('#'))
            .flat_map(str::split_whitespace)
            .filter_map(|word| word.parse().ok())
            .collect(),
        "inaturalist2018" => inaturalist(),
        other => return Err(format!("no counts for `{other}`: imagenet_lt or inaturalist2018").into()),
    };
    let recipe = longtail_recipe::read_str(RECIPE, "scale.yaml", &[])?;
    let ClassifierRecipe::Mpfa(mpfa) = recipe.classifier("mpfa")? else { return Err("not mpfa".into()) };
    let steps = std::env::args().nth(2).map(|steps| steps.parse::<usize>()).transpose()?;
    let began = Instant::now();
    let plain = store(&counts)?;
    println!("{set}: {} real rows of {DIM} made in {:.1} s", plain.len(), began.elapsed().as_secs_f64());
    let began = Instant::now();
    let means = scale_prototypes(&plain.means(), &plain, mpfa.proto_scale, mpfa.proto_clamp)?;
    let plain = Arc::new(plain);
    let base = BaseRows::new(plain.clone(), Tukey { lambda: mpfa.tukey, keep_norm: mpfa.tukey_renorm })?;
    let factors = ClassFactors::new(plain, means.clone())?;
    let laws = Calibration::new(mpfa, &base, &means, &factors).laws(&vec![0.4; counts.len()]);
    let model = FeatureModel { base, means, factors };
    let plan = RowPlan::new(&counts, mpfa.tail, mpfa.count, Remainder::Distinct, 0, "scale", 0);
    println!("prepared in {:.1} s (once a run)", began.elapsed().as_secs_f64());
    let threads = rayon::current_num_threads();
    let memory = EpochMemory::new(&model, &laws, plan.len(), BATCH, threads);
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    println!(
        "plan: {} generated rows, workspace {:.0} MiB ({} rows at a time), inputs {:.0} MiB; all rows at once would be {:.0} MiB",
        plan.len(),
        mib(memory.workspace_bytes),
        memory.block_rows,
        mib(memory.resident_bytes),
        mib(memory.materialised_bytes),
    );
    let (began, used) = (Instant::now(), processor_secs());
    let sampler = LowRankSampler::new(&model, &laws, &plan, [7, 0])?;
    let order = (0, "scale/order", 0);
    let batches = BalancedEpoch::new(&model, sampler, &plan, true, BATCH, memory.block_rows, steps, order);
    let (mut rows, mut check) = (0, 0f64);
    for batch in batches {
        let (features, labels) = batch?;
        rows += labels.len();
        check += f64::from(features.get(0)?.get(0)?.to_scalar::<f32>()?);
    }
    println!(
        "{}: {rows} rows (of {} generated and {} real) in {:.1} s, {:.1} processor seconds on {threads} threads; peak {:.0} MiB (check {check:.6})",
        if steps.is_some() { "part of an epoch" } else { "one epoch" },
        plan.len(),
        model.base.len(),
        began.elapsed().as_secs_f64(),
        processor_secs() - used,
        status("VmHWM"),
    );
    Ok(())
}
