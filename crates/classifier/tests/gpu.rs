//! Rows drawn and heads trained on a device against the CPU's: on an emulated one everywhere a C++ compiler is.

mod common;

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use common::{mpfa, tailcalib, toy_data};
use longtail_classifier::ClassifierError;
use longtail_classifier::generate::gpu::{GpuModel, GpuSampler};
use longtail_classifier::generate::tailcalib::tailcalib_model;
use longtail_classifier::generate::{
    BalancedEpoch, DrawRows, FeatureModel, LowRankSampler, Remainder, RowLaws, RowPlan, SamplerScratch,
};
use longtail_classifier::method::mpfa::Mpfa;
use longtail_ops::gpu::{Driver, Emulated, GpuVec};
use longtail_recipe::{CountRule, TailRule};

const COUNTS: [usize; 5] = [40, 21, 7, 2, 1];

/// Rows of every sort, shuffled enough: real ones between generated ones.
fn compare<D: Driver>(what: &str, driver: &D, model: &FeatureModel, laws: &RowLaws) {
    let counts = model.base.store().counts();
    let plan = RowPlan::new(&counts, TailRule::BelowMax, CountRule::Exact, Remainder::Distinct, 9, "plan", 0);
    let (total, dim) = ((model.base.len() + plan.len()) as u32, model.base.dim());
    let ids: Vec<u32> = (0..total).map(|i| (i * 37) % total).collect();
    assert!(total % 37 != 0, "37 goes through all");
    let sampler = LowRankSampler::new(model, laws, &plan, [5, 77]).expect("sizes fit");
    let there = GpuModel::new(driver, model).expect("room");
    for normalized in [false, true] {
        let mut exact = vec![0f32; ids.len() * dim];
        sampler.fill_rows(&ids, normalized, &mut exact, &mut SamplerScratch::default());
        let mut results = Vec::new();
        for most in [1 << 20, 64] {
            let mut drawn = GpuSampler::default().with_most_values(most);
            let mut out = GpuVec::zeros(driver, ids.len() * dim).expect("room");
            for _ in 0..2 {
                drawn.fill_rows(driver, &there, &sampler, &ids, normalized, out.view_mut()).expect("runs");
            }
            let found = out.to_vec(driver).expect("there");
            let largest = exact.iter().fold(0f32, |most, v| most.max(v.abs()));
            for (at, (found, exact)) in found.iter().zip(&exact).enumerate() {
                let off = (found - exact).abs();
                assert!(off <= 3e-6 * largest, "{what}: row {}: {found}, not {exact}", ids[at / dim]);
            }
            results.push(found);
        }
        let real = (0..ids.len()).find(|&row| (ids[row] as usize) < model.base.len()).expect("a real row");
        if !normalized {
            assert_eq!(results[0][real * dim..(real + 1) * dim], model.base.row(ids[real] as usize));
        }
    }
}

fn every_law<D: Driver>(driver: &D) {
    // Of 8 dimensions: classes of 40 and 21 rows go by their triangle, the others by their rows.
    for (dim, yaml) in [(8, "{}"), (8, "{beta_mode: abs_all, weights: softmax_over_m}"), (30, "{beta: 0.2}")] {
        let recipe = mpfa(yaml);
        let (model, calibration) = Mpfa { recipe: &recipe }.model(&toy_data(&COUNTS, dim)).expect("a model");
        compare(yaml, driver, &model, &calibration.laws(&[0.4; 5]));
    }
    let data = toy_data(&COUNTS, 6);
    let recipe = tailcalib("{tukey: 0.9, alpha: 0.2, neighbors: 3}");
    let (model, laws) = tailcalib_model(Arc::new(data.train), &recipe).expect("a model");
    assert!(laws.diagonal_variance + laws.shared_variance > 0.0, "noise of no class");
    compare("tailcalib", driver, &model, &laws);
    let mut laws = laws;
    (laws.diagonal_variance, laws.shared_variance) = (0.3, 0.2);
    compare("noise of both sorts", driver, &model, &laws);
}

/// Rows that a device drew, brought back.
struct Fetched<'a, D: Driver> {
    driver: &'a D,
    model: GpuModel<D>,
    sampler: GpuSampler<D>,
}

impl<D: Driver> DrawRows for Fetched<'_, D> {
    fn draw(&mut self, sampler: &LowRankSampler<'_>, ids: &[u32], normalized: bool) -> Result<Tensor, ClassifierError> {
        let dim = self.model.dim();
        let mut out = GpuVec::zeros(self.driver, ids.len() * dim)?;
        self.sampler.fill_rows(self.driver, &self.model, sampler, ids, normalized, out.view_mut())?;
        Ok(Tensor::from_vec(out.to_vec(self.driver)?, (ids.len(), dim), &Device::Cpu)?)
    }
}

/// An epoch that a device draws has the CPU's rows; gone on with inside a block, it has its own to the bit.
fn an_epoch<D: Driver>(driver: &D) {
    let recipe = mpfa("{}");
    let (model, calibration) = Mpfa { recipe: &recipe }.model(&toy_data(&COUNTS, 8)).expect("a model");
    let laws = calibration.laws(&[0.4; 5]);
    let counts = model.base.store().counts();
    let plan = RowPlan::new(&counts, TailRule::BelowMax, CountRule::Exact, Remainder::Distinct, 9, "plan", 0);
    let sampler = LowRankSampler::new(&model, &laws, &plan, [5, 77]).expect("sizes fit");
    let epoch = || BalancedEpoch::new(&model, sampler, &plan, true, 16, 48, None, (2, "order", 5));
    let drawer =
        || Fetched { driver, model: GpuModel::new(driver, &model).expect("room"), sampler: GpuSampler::default() };
    let values = |batches: &mut dyn Iterator<Item = Result<(Tensor, Vec<u32>), ClassifierError>>| {
        let values = |rows: Tensor| rows.flatten_all().expect("a view").to_vec1::<f32>().expect("f32");
        let batches = batches.map(|batch| batch.map(|(rows, labels)| (values(rows), labels)).expect("drawn"));
        batches.collect::<Vec<_>>()
    };
    let (exact, found) = (values(&mut epoch()), values(&mut epoch().drawn_by(drawer())));
    assert_eq!(exact.len(), found.len());
    for ((exact, labels), (found, same_labels)) in exact.iter().zip(&found) {
        assert_eq!(labels, same_labels);
        assert!(exact.iter().zip(found).all(|(a, b)| (a - b).abs() <= 3e-6), "{found:?}, not {exact:?}");
    }
    for skipped in [1, 4, 12] {
        let rest = values(&mut epoch().drawn_by(drawer()).skip(skipped));
        assert!(rest == found[skipped..], "{skipped} batches are skipped");
    }
}

#[test]
fn rows_on_an_emulated_device_are_the_cpus() {
    match Emulated::compile(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(driver) => {
            every_law(&driver);
            an_epoch(&driver);
        }
        Err(why) => println!("skipped: {why}"),
    }
}

/// Methods know no device, so that the CPU's tests are theirs; here is what a GPU alone can show: the same heads, to rounding.
#[cfg(feature = "cuda")]
mod on_a_real_gpu {
    use common::{classifier, recipe};
    use longtail_classifier::method::base::{Context, Fitted, method};
    use longtail_classifier::{FitData, MemoryJournal, ScoringHead};
    use longtail_ops::gpu::CudaSettings;
    use longtail_training::Compute;

    use super::*;

    const TRAINING: &str = "{epochs: 3, batch_size: 32, lr: 0.05, schedule: cosine}";

    /// Linear, scales alone, cosine on generated rows of each sort.
    fn methods() -> Vec<(&'static str, String)> {
        let of = |name: &'static str, more: &str| (name, format!("{{{name}: {{{more}training: {TRAINING}}}}}"));
        vec![
            of("crt", ""),
            of("lws", ""),
            of("tailcalib", ""),
            of("tailcalib_x", ""),
            of("mpfa", ""),
            of("mpfa", "regen: once, "),
            of("mpfa", "alpha: {adaptive: 0.2}, "),
            of("mpfa", "alpha: {search: {low: 0.1, high: 0.5, steps: 2}}, "),
        ]
    }

    fn fit(
        yaml: &str,
        data: &FitData,
        journal: &mut MemoryJournal,
        compute: &Compute,
    ) -> Result<Fitted, ClassifierError> {
        let recipe_of_method = classifier(yaml);
        let groups = recipe("{joint: {}}").data.shot_groups;
        method(&recipe_of_method).fit(data, &mut Context { seed: 11, groups, journal, compute: compute.clone() })
    }

    fn head(fitted: &Fitted) -> &[f32] {
        match &fitted.head {
            ScoringHead::Trained { head, .. } => &head.values,
            other => panic!("a trained head, not {other:?}"),
        }
    }

    fn every_method(gpu: &Compute) {
        let cpu = Compute::cpu();
        let data = toy_data(&[60, 30, 12, 5], 10);
        for (name, yaml) in methods() {
            let (mut of_cpu, mut of_gpu) = (MemoryJournal::default(), MemoryJournal::default());
            let exact = fit(&yaml, &data, &mut of_cpu, &cpu).expect("fits");
            let found = fit(&yaml, &data, &mut of_gpu, gpu).unwrap_or_else(|e| panic!("{name}: {e}"));
            let largest = head(&exact).iter().fold(0f32, |most, v| most.max(v.abs()));
            let off =
                head(&exact).iter().zip(head(&found)).fold(0f32, |most, (a, b)| most.max((a - b).abs())) / largest;
            println!("{yaml}: {off:.1e} off");
            assert!(off < 2e-5, "{yaml}: {off}");
            for series in [("train", "loss"), ("val", "accuracy_all")] {
                let (exact, found) = (of_cpu.series(series.0, series.1), of_gpu.series(series.0, series.1));
                assert_eq!(exact.len(), found.len(), "{yaml}");
                let near = exact.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-5 * a.abs().max(1.0));
                assert!(near, "{yaml}: {series:?} {found:?}, not {exact:?}");
            }
            // Stopped inside an epoch, and gone on with.
            let mut first = MemoryJournal { stop_after_steps: Some(6), ..MemoryJournal::default() };
            let stopped = fit(&yaml, &data, &mut first, gpu);
            assert!(matches!(stopped, Err(ClassifierError::Interrupted(_))), "{name}");
            let mut second = MemoryJournal::resumed_from(first.saved.take().expect("saved on stopping"));
            let resumed = fit(&yaml, &data, &mut second, gpu).expect("fits");
            assert_eq!(head(&resumed), head(&found), "{yaml}: the same bits");
        }
        let mut data = toy_data(&[60, 30, 12, 5], 10);
        data.train = data
            .train
            .try_map(|rows, _| {
                rows.iter_mut().for_each(|value| *value *= 1e38);
                Ok(())
            })
            .expect("finite");
        for compute in [gpu, &cpu] {
            let outcome = fit(&methods()[0].1, &data, &mut MemoryJournal::default(), compute);
            let words = outcome.expect_err("it leaves all numbers").to_string();
            assert!(words.contains("head/train_loss"), "{words}");
        }
    }

    #[test]
    fn rows_and_heads_are_the_cpus() {
        let opened = Compute::open(longtail_artifact::Device::Cuda(0), "classifier");
        let prepared = opened.and_then(|compute| {
            compute.prepare(false)?;
            Ok((compute.driver(CudaSettings { tf32: false })?, compute))
        });
        match prepared {
            Ok((driver, compute)) => {
                every_law(&driver);
                an_epoch(&driver);
                every_method(&compute);
            }
            Err(why) => println!("skipped: {why}"),
        }
    }
}
