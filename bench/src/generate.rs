//! Our feature generation: one epoch of balanced, shuffled rows by MPFA's law.

use std::sync::Arc;

use anyhow::{Result, bail};
use longtail_classifier::ClassifierError;
use longtail_classifier::generate::calibration::{Calibration, scale_prototypes};
use longtail_classifier::generate::{
    BalancedEpoch, BaseRows, ClassFactors, ClassStore, EpochMemory, FeatureModel, LowRankSampler, Remainder, RowPlan,
    Tukey, normalize_rows,
};
use longtail_ops::philox_normals;
use longtail_recipe::ClassifierRecipe;

use crate::case::{Absent, Case, Repetition, timed};

const BATCH: usize = 128;
const RECIPE: &str = "recipe: speed\ndata: {dataset: cifar100}\n\
    representations: {ce: {method: {ce: {}}, backbone: {cifar_resnet: 32}}}\nclassifiers: {mpfa: {mpfa: {}}}\n";

/// Rows of each class: exponential from `largest` to `smallest`, in the class's place to the power of `bend`/100.
fn class_counts(classes: usize, largest: usize, smallest: usize, bend: usize) -> Vec<usize> {
    let factor = smallest as f64 / largest as f64;
    let place = |class: usize| class as f64 / classes.saturating_sub(1).max(1) as f64;
    (0..classes)
        .map(|class| (largest as f64 * factor.powf(place(class).powf(bend as f64 / 100.0))).round() as usize)
        .collect()
}

/// Seconds are of 1000 generated rows. The real rows of the epoch and its shuffle are in them; what is computed once from the
/// real rows (means, factors, neighbours) is not.
pub fn mpfa(case: &Case) -> Result<Repetition> {
    let (classes, dim) = (case.number("classes")?, case.number("dim")?);
    let counts = class_counts(classes, case.number("largest")?, case.number("smallest")?, case.number_or("bend", 100)?);
    let most = case.number_or("batches", usize::MAX)?;
    let labels: Vec<u32> = counts.iter().enumerate().flat_map(|(class, &n)| vec![class as u32; n]).collect();
    let mut features = vec![0f32; labels.len() * dim];
    philox_normals([1, 2], 0, 0, &mut features);
    for (row, &label) in features.chunks_exact_mut(dim).zip(&labels) {
        for (at, value) in row.iter_mut().enumerate() {
            *value = value.abs() + 0.3 * ((label as usize * 31 + at * 17) % 7) as f32;
        }
    }
    let recipe = longtail_recipe::read_str(RECIPE, "speed.yaml", &[])?;
    let ClassifierRecipe::Mpfa(mpfa) = recipe.classifier("mpfa")? else { bail!("the recipe above names mpfa") };
    normalize_rows(&mut features, dim);
    let plain = ClassStore::from_vec(features, &labels, classes, dim)?;
    let means = scale_prototypes(&plain.means(), &plain, mpfa.proto_scale, mpfa.proto_clamp)?;
    let plain = Arc::new(plain);
    let base = BaseRows::new(plain.clone(), Tukey { lambda: mpfa.tukey, keep_norm: mpfa.tukey_renorm })?;
    let factors = ClassFactors::new(plain, means.clone())?;
    let laws = Calibration::new(mpfa, &base, &means, &factors).laws(&vec![0.4; classes]);
    let model = FeatureModel { base, means, factors };
    let plan = RowPlan::new(&counts, mpfa.tail, mpfa.count, Remainder::Distinct, 0, "speed", 0);
    let memory = EpochMemory::new(&model, &laws, plan.len(), BATCH, rayon::current_num_threads());
    // Of the rows handed out, this share is generated: in a whole epoch to the row, in a part of it nearly.
    let share = plan.len() as f64 / (plan.len() + labels.len()) as f64;
    let mut epoch = 0u32;
    #[cfg(feature = "cuda")]
    let mut device = device(case, &model)?;
    #[cfg(not(feature = "cuda"))]
    if case.is_on_gpu() {
        return Err(Absent("this build has no CUDA".to_owned()).into());
    }
    Ok(Box::new(move || {
        epoch += 1;
        let mut rows = 0;
        let secs = timed(|| {
            let sampler = LowRankSampler::new(&model, &laws, &plan, [epoch, 0])?;
            let order = (0, "speed/order", u64::from(epoch));
            let batches = BalancedEpoch::new(&model, sampler, &plan, true, BATCH, memory.block_rows, Some(most), order);
            #[cfg(feature = "cuda")]
            let batches = match &mut device {
                Some(on_cuda) => batches.drawn_by(on_cuda),
                None => batches,
            };
            rows = 0;
            let mut last = None;
            for batch in batches {
                let (features, labels) = batch?;
                rows += labels.len();
                last = Some(std::hint::black_box(features));
            }
            // Of a GPU all work is done once the last number is here.
            if let Some(features) = last {
                features.narrow(0, 0, 1)?.to_device(&candle_core::Device::Cpu)?;
            }
            Ok::<(), ClassifierError>(())
        })?;
        anyhow::ensure!(rows >= plan.len().min(most.saturating_mul(BATCH)), "{rows} rows of {}", plan.len());
        Ok(secs * 1000.0 / (rows as f64 * share))
    }))
}

/// What draws rows on the GPU that has the model; nothing for the CPU.
#[cfg(feature = "cuda")]
fn device(case: &Case, model: &FeatureModel) -> Result<Option<longtail_classifier::generate::OnCuda>> {
    use longtail_training::Compute;
    if !case.is_on_gpu() {
        return Ok(None);
    }
    let compute =
        Compute::open(longtail_artifact::Device::Cuda(0), "classifier").map_err(|error| Absent(error.to_string()))?;
    compute.prepare(case.word("precision")? == "tf32").map_err(|error| Absent(error.to_string()))?;
    Ok(longtail_classifier::generate::OnCuda::new(&compute, model)?)
}

#[cfg(test)]
mod tests {
    use super::class_counts;

    #[test]
    fn class_counts_fall_from_the_largest_to_the_smallest() {
        assert_eq!(class_counts(3, 400, 4, 100), [400, 40, 4]);
        assert_eq!(class_counts(5, 400, 4, 50), [400, 40, 15, 7, 4], "√¼ = ½, √½ and √¾");
        assert_eq!(class_counts(1, 400, 4, 100), [400]);
    }
}
