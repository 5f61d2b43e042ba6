//! Low-rank sampling against the dense formula, and that nothing but (seed, epoch, row) moves a bit (mpcl_mpfa.md §6.5).

mod common;

use std::sync::Arc;

use candle_core::Tensor;
use common::{mpfa, tailcalib, toy_data};
use longtail_classifier::ClassifierError;
use longtail_classifier::generate::tailcalib::tailcalib_model;
use longtail_classifier::generate::{
    BalancedEpoch, FeatureModel, LowRankSampler, OnHost, Remainder, RowLaws, RowPlan, SamplerScratch, covariance, mean,
    normalize_rows,
};
use longtail_classifier::method::mpfa::Mpfa;
use longtail_ops::{philox_normals, stream_words};
use longtail_recipe::{CountRule, MpfaRecipe, TailRule};

const COUNTS: [usize; 5] = [40, 21, 7, 2, 1];

fn mpfa_model(recipe: &MpfaRecipe, alpha: f64, dim: usize) -> (FeatureModel, RowLaws) {
    let (model, calibration) = Mpfa { recipe }.model(&toy_data(&COUNTS, dim)).expect("a model");
    let laws = calibration.laws(&[alpha; 5]);
    (model, laws)
}

/// A plan of `rows` rows, all from one source: the ceil rule on a store is of no use here, so sources are given by counts.
fn plan_for(model: &FeatureModel) -> RowPlan {
    RowPlan::new(&model.base.store().counts(), TailRule::BelowMax, CountRule::Exact, Remainder::Distinct, 9, "plan", 0)
}

/// Empirical mean and covariance of `draws` draws of the law of one generated row.
///
/// Each draw is the same generated row under another key, as another epoch has it.
fn moments(model: &FeatureModel, laws: &RowLaws, plan: &RowPlan, row: u32, draws: usize) -> (Vec<f64>, Vec<f64>) {
    let dim = model.base.dim();
    let (mut sum, mut squares) = (vec![0f64; dim], vec![0f64; dim * dim]);
    let center = mean(model, laws, plan.sources()[row as usize] as usize);
    let mut out = vec![0f32; dim];
    let mut scratch = SamplerScratch::default();
    for draw in 0..draws {
        let sampler = LowRankSampler::new(model, laws, plan, [draw as u32, 77]).expect("sizes fit");
        sampler.fill(&[row], &mut out, &mut scratch);
        for a in 0..dim {
            let from_center = f64::from(out[a]) - center[a];
            sum[a] += from_center;
            for b in 0..dim {
                squares[a * dim + b] += from_center * (f64::from(out[b]) - center[b]);
            }
        }
    }
    let count = draws as f64;
    (sum.iter().map(|total| total / count).collect(), squares.iter().map(|total| total / count).collect())
}

/// Empirical moments within five standard errors of the law's: Var(mean_a) = Σ_aa/n, Var(cov_ab) = (Σ_aa·Σ_bb + Σ_ab²)/n.
fn assert_distribution(what: &str, model: &FeatureModel, laws: &RowLaws, draws: usize) {
    let plan = plan_for(model);
    let dim = model.base.dim();
    let sources = plan.sources();
    // one row of every class that is generated
    for class in 1..COUNTS.len() {
        let row = sources.iter().position(|&s| model.base.labels()[s as usize] as usize == class).expect("generated");
        let source = sources[row] as usize;
        let (offset, got) = moments(model, laws, &plan, row as u32, draws);
        let want = covariance(model, laws, source);
        let count = draws as f64;
        for a in 0..dim {
            let error = 5.0 * (want[a * dim + a] / count).sqrt() + 1e-6;
            assert!(offset[a].abs() < error, "{what}: class {class}, mean {a} is off by {} > {error}", offset[a]);
            for b in 0..dim {
                let (aa, bb, ab) = (want[a * dim + a], want[b * dim + b], want[a * dim + b]);
                let error = 5.0 * ((aa * bb + ab * ab) / count).sqrt() + 1e-7;
                let found = got[a * dim + b];
                assert!(
                    (found - ab).abs() < error,
                    "{what}: class {class}, cov[{a},{b}] {found}, expected {ab} ± {error}"
                );
            }
        }
    }
}

#[test]
fn mpfa_rows_have_the_moments_of_equation_ten() {
    // d = 8: classes of 40 and 21 rows go by their R, those of 7, 2 and 1 by their rows
    for yaml in ["{}", "{beta_mode: abs_all, weights: softmax_over_m}"] {
        let (model, laws) = mpfa_model(&mpfa(yaml), 0.4, 8);
        assert_distribution(yaml, &model, &laws, 20_000);
    }
}

#[test]
fn tailcalib_rows_have_the_moments_of_the_official_code() {
    let data = toy_data(&COUNTS, 6);
    let unit = data
        .train
        .try_map(|rows, dim| {
            normalize_rows(rows, dim);
            Ok(())
        })
        .expect("unit rows");
    let (model, laws) =
        tailcalib_model(Arc::new(unit), &tailcalib("{tukey: 0.9, alpha: 0.2, neighbors: 3}")).expect("a model");
    assert_distribution("tailcalib", &model, &laws, 20_000);
}

#[test]
fn alpha_zero_is_the_own_class_and_alpha_one_the_neighbours() {
    let recipe = mpfa("{beta: 0.0}");
    let (model, laws) = mpfa_model(&recipe, 0.0, 8);
    let row = model.base.store().start(2);
    assert_eq!(mean(&model, &laws, row), model.base.row(row).into_iter().map(f64::from).collect::<Vec<f64>>());
    let own = model.factors.covariance(2);
    common::assert_close("own covariance", &covariance(&model, &laws, row), &own, 1e-12);
    assert_distribution("alpha 0", &model, &laws, 4_000);
    let (model, laws) = mpfa_model(&recipe, 1.0, 8);
    let own_weight = laws.components(row).find(|c| c.class == 2).map(|c| c.noise_weight);
    assert_eq!((laws.source_weight(row), own_weight), (0.0, Some(0.0)));
    assert_distribution("alpha 1", &model, &laws, 4_000);
}

#[test]
fn a_class_of_two_rows_has_noise_along_one_line() {
    // α = 0, β = 0, own mean as centre: rows of class 3 (two rows) leave z̃ along ±(z_1 − z_2) only
    let recipe = mpfa("{beta: 0.0, cov_center: mean, tukey: 1.0}");
    let (model, laws) = mpfa_model(&recipe, 0.0, 8);
    let rows = model.base.class_rows(3);
    let line: Vec<f64> = (0..8).map(|at| f64::from(rows[at]) - f64::from(rows[8 + at])).collect();
    let squared: f64 = line.iter().map(|v| v * v).sum();
    let plan = plan_for(&model);
    let generated: Vec<u32> =
        (0..plan.len() as u32).filter(|&row| model.base.labels()[plan.sources()[row as usize] as usize] == 3).collect();
    let sampler = LowRankSampler::new(&model, &laws, &plan, [1, 2]).expect("sizes fit");
    let mut out = vec![0f32; generated.len() * 8];
    sampler.fill(&generated, &mut out, &mut SamplerScratch::default());
    let mut longest = 0f64;
    for (row, &number) in out.chunks(8).zip(&generated) {
        let base = model.base.row(plan.sources()[number as usize] as usize);
        let noise: Vec<f64> = row.iter().zip(base).map(|(&y, z)| f64::from(y) - f64::from(z)).collect();
        let along: f64 = noise.iter().zip(&line).map(|(a, b)| a * b).sum::<f64>() / squared;
        let rest: f64 = noise.iter().zip(&line).map(|(n, l)| (n - along * l).powi(2)).sum::<f64>().sqrt();
        assert!(rest < 1e-6, "noise leaves the line by {rest}");
        longest = longest.max(along.abs());
    }
    assert!(longest > 0.1, "there is noise");
}

#[test]
fn the_gemm_form_is_the_explicit_one() {
    // y = mean + Σ n·(centred rows)ᵀe/√(N−1) + √v·ξ, with the very normals that Philox gives, in f64
    let (model, laws) = mpfa_model(&mpfa("{}"), 0.4, 64);
    assert!((0..5).all(|class| model.factors.rank(class) == COUNTS[class]), "all by rows");
    let plan = plan_for(&model);
    let (key, dim) = ([5, 6], 64);
    let numbers: Vec<u32> = (0..plan.len() as u32).collect();
    let mut out = vec![0f32; numbers.len() * dim];
    LowRankSampler::new(&model, &laws, &plan, key).expect("sizes fit").fill(
        &numbers,
        &mut out,
        &mut SamplerScratch::default(),
    );
    let plain = Mpfa { recipe: &mpfa("{tukey: 1.0}") }.model(&toy_data(&COUNTS, dim)).expect("a model").0.base;
    for &number in &numbers {
        let source = plan.sources()[number as usize] as usize;
        let mut want = mean(&model, &laws, source);
        for slot in 0..laws.slots() {
            let Some(component) = laws.component(source, slot) else { continue };
            let class = component.class as usize;
            let mut normals = vec![0f32; model.factors.rank(class)];
            philox_normals(key, u64::from(number), (slot as u64) << 32, &mut normals);
            let scale = f64::from(component.noise_weight) / (COUNTS[class].max(2) as f64 - 1.0).sqrt();
            for (z, &e) in plain.class_rows(class).chunks(dim).zip(&normals) {
                for at in 0..dim {
                    let centred = f64::from(z[at]) - f64::from(model.means[class * dim + at]);
                    want[at] += scale * centred * f64::from(e);
                }
            }
        }
        let mut normals = vec![0f32; dim];
        philox_normals(key, u64::from(number), (laws.slots() as u64) << 32, &mut normals);
        for at in 0..dim {
            want[at] += laws.diagonal_variance.sqrt() * f64::from(normals[at]);
        }
        let got = &out[number as usize * dim..(number as usize + 1) * dim];
        common::assert_close(&format!("row {number}"), got, &want, 1e-5);
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn normals_at_a_time_blocks_and_threads_change_no_bit() {
    for dim in [8, 24, 70] {
        let (model, laws) = mpfa_model(&mpfa("{}"), 0.4, dim);
        let plan = plan_for(&model);
        let key = stream_words(1, "noise");
        let numbers: Vec<u32> = (0..plan.len() as u32).collect();
        let sampler = LowRankSampler::new(&model, &laws, &plan, key).expect("sizes fit");
        let mut whole = vec![0f32; numbers.len() * dim];
        sampler.fill(&numbers, &mut whole, &mut SamplerScratch::default());
        for most_normals in [1, 100, 3000] {
            let mut out = vec![0f32; whole.len()];
            sampler.with_most_normals(most_normals).fill(&numbers, &mut out, &mut SamplerScratch::default());
            assert_eq!(bits(&out), bits(&whole), "d {dim}: {most_normals} normals at a time");
        }
        let mut scratch = SamplerScratch::default();
        for block in [1, 7, 50] {
            let mut out = Vec::new();
            for part in numbers.chunks(block) {
                let mut rows = vec![0f32; part.len() * dim];
                sampler.fill(part, &mut rows, &mut scratch);
                out.extend(rows);
            }
            assert_eq!(bits(&out), bits(&whole), "d {dim}: blocks of {block}");
        }
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let mut out = vec![0f32; whole.len()];
            pool.install(|| sampler.fill(&numbers, &mut out, &mut SamplerScratch::default()));
            assert_eq!(bits(&out), bits(&whole), "d {dim}: {threads} threads");
        }
    }
}

/// Batches as values.
fn on_host(batches: impl Iterator<Item = Result<(Tensor, Vec<u32>), ClassifierError>>) -> Vec<(Vec<f32>, Vec<u32>)> {
    let values = |rows: Tensor| rows.flatten_all().expect("a view").to_vec1::<f32>().expect("f32");
    batches.map(|batch| batch.map(|(rows, labels)| (values(rows), labels)).expect("drawn")).collect()
}

#[test]
fn an_epoch_is_balanced_and_its_block_size_changes_no_bit() {
    let (model, laws) = mpfa_model(&mpfa("{}"), 0.4, 8);
    let plan = plan_for(&model);
    let sampler = LowRankSampler::new(&model, &laws, &plan, [3, 4]).expect("sizes fit");
    let epoch = |block_rows, steps| {
        on_host(BalancedEpoch::new(&model, sampler, &plan, true, 16, block_rows, steps, (2, "order", 5)))
    };
    let whole = epoch(1 << 16, None);
    let labels: Vec<u32> = whole.iter().flat_map(|(_, labels)| labels.clone()).collect();
    for class in 0..5 {
        assert_eq!(labels.iter().filter(|&&label| label == class).count(), 40, "class {class}");
    }
    assert_eq!(whole.last().map(|(_, labels)| labels.len()), Some(200 % 16));
    for (features, labels) in &whole {
        assert_eq!(features.len(), labels.len() * 8);
        for row in features.chunks(8) {
            assert!((longtail_classifier::generate::norm(row) - 1.0).abs() < 1e-6);
        }
    }
    for block_rows in [1, 16, 48] {
        assert!(epoch(block_rows, None) == whole, "blocks of {block_rows}");
    }
    assert!(epoch(16, Some(3))[..] == whole[..3], "fewer steps are the first steps");
    for (skipped, block_rows) in [(1, 48), (4, 48), (12, 1 << 16), (13, 16)] {
        let batches = BalancedEpoch::new(&model, sampler, &plan, true, 16, block_rows, None, (2, "order", 5));
        assert!(on_host(batches.skip(skipped)) == whole[skipped..], "{skipped} batches are skipped");
    }
    let numbers: Vec<u32> = (0..plan.len() as u32).collect();
    let mut rows = vec![0f32; numbers.len() * 8];
    sampler.fill(&numbers, &mut rows, &mut SamplerScratch::default());
    let kept = BalancedEpoch::new(&model, sampler, &plan, true, 16, 48, None, (2, "order", 5));
    assert!(on_host(kept.drawn_by(OnHost::new(Some(&rows)))) == whole, "rows that were kept");
}
