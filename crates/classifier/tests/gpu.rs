//! Rows drawn on a device against the CPU's: on an emulated one everywhere a C++ compiler is.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{mpfa, tailcalib, toy_data};
use longtail_classifier::generate::gpu::{GpuModel, GpuSampler};
use longtail_classifier::generate::tailcalib::tailcalib_model;
use longtail_classifier::generate::{FeatureModel, LowRankSampler, Remainder, RowLaws, RowPlan, SamplerScratch};
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

#[test]
fn rows_on_an_emulated_device_are_the_cpus() {
    match Emulated::compile(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(driver) => every_law(&driver),
        Err(why) => println!("skipped: {why}"),
    }
}

#[cfg(feature = "cuda")]
#[test]
fn rows_on_a_real_gpu_are_the_cpus() {
    use longtail_ops::gpu::{Cuda, CudaSettings};
    match Cuda::open(0, CudaSettings { tf32: false }) {
        Ok(driver) => every_law(&driver),
        Err(why) => println!("skipped: {why}"),
    }
}
