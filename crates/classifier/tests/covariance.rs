//! The covariance that sampling implies, without a random number: unit vectors pushed through the class factors give the
//! factors themselves, and their products, in f64, are compared with the dense formulas of mpcl_mpfa.md.

mod common;

use common::{mpfa, toy_data};
use longtail_classifier::generate::{ClassFactors, ClassStore, FeatureModel, normalize};
use longtail_classifier::method::mpfa::Mpfa;
use longtail_ops::{PANEL, Target, split_columns};
use longtail_recipe::MpfaRecipe;

/// Classes whose factor is a triangle (more rows than dimensions), their own rows, two rows, and one.
const COUNTS: [usize; 6] = [150, 90, 40, 12, 2, 1];
const TOLERANCE: f64 = 1e-5;

/// A_kᵀ `(rank, d)`: what `add_draws` makes of the unit vectors.
fn factor(factors: &ClassFactors, class: usize) -> Vec<f64> {
    let (rank, dim) = (factors.rank(class), factors.dim());
    let mut identity = vec![0f32; rank * rank];
    (0..rank).for_each(|at| identity[at * rank + at] = 1.0);
    let targets: Vec<Target> = (0..rank as u32).map(|row| Target { row, coefficient: 1.0 }).collect();
    let mut out = vec![0f32; rank * dim];
    let mut packed = Vec::new();
    for mut strip in split_columns(&mut out, dim, PANEL) {
        factors.add_draws(class, &targets, &identity, &mut strip, &mut packed);
    }
    out.into_iter().map(f64::from).collect()
}

/// `total += weight·A·Aᵀ`, `(d, d)`.
fn add_products(total: &mut [f64], weight: f64, factor: &[f64], dim: usize) {
    for row in factor.chunks_exact(dim) {
        for a in 0..dim {
            for b in 0..dim {
                total[a * dim + b] += weight * row[a] * row[b];
            }
        }
    }
}

/// Σ_k = 1/max(N_k − 1, 1) · Σ_i (z_i − ĉ_k)(z_i − ĉ_k)ᵀ (Eq. 9; §5 rows 15 and 27), in f64.
fn dense(store: &ClassStore, class: usize, center: &[f32]) -> Vec<f64> {
    let dim = store.dim();
    let mut total = vec![0f64; dim * dim];
    let divisor = (store.count(class) as f64 - 1.0).max(1.0);
    for row in store.class_rows(class).chunks_exact(dim) {
        let centred: Vec<f64> = row.iter().zip(center).map(|(&z, &c)| f64::from(z) - f64::from(c)).collect();
        add_products(&mut total, 1.0 / divisor, &centred, dim);
    }
    total
}

/// Every entry within `TOLERANCE` of the dense one, relative to √(Σ_aa·Σ_bb), the most that an entry can be.
fn assert_covariance(what: &str, found: &[f64], wanted: &[f64], dim: usize) {
    assert!((0..dim).all(|at| wanted[at * dim + at] > 0.0), "{what}: there is a variance everywhere");
    for a in 0..dim {
        for b in 0..dim {
            let size = (wanted[a * dim + a] * wanted[b * dim + b]).sqrt();
            let (found, wanted) = (found[a * dim + b], wanted[a * dim + b]);
            let error = (found - wanted).abs() / size;
            assert!(error < TOLERANCE, "{what}[{a}, {b}]: {found}, dense {wanted}: {error:.1e} of the scale");
        }
    }
}

fn model(recipe: &MpfaRecipe, dim: usize) -> (FeatureModel, longtail_classifier::generate::calibration::Calibration) {
    Mpfa { recipe }.model(&toy_data(&COUNTS, dim)).expect("a model")
}

#[test]
fn unit_vectors_through_the_factors_give_the_dense_covariance() {
    let recipe = mpfa("{}");
    for dim in [8, 64, 100] {
        let (model, _) = model(&recipe, dim);
        let store = model.base.store();
        for (class, &count) in COUNTS.iter().enumerate() {
            assert_eq!(model.factors.rank(class), count.min(dim));
            // The recipe's default centres are the prototypes, so that one row has a covariance too.
            let center = &model.means[class * dim..(class + 1) * dim];
            let wanted = dense(store, class, center);
            let mut found = vec![0f64; dim * dim];
            add_products(&mut found, 1.0, &factor(&model.factors, class), dim);
            assert_covariance(&format!("d {dim}, class {class}"), &found, &wanted, dim);
            let trace: f64 = (0..dim).map(|at| wanted[at * dim + at]).sum();
            assert!((model.factors.trace(class) - trace).abs() < TOLERANCE * trace, "trace of class {class}");
        }
    }
}

#[test]
fn the_law_of_a_row_has_the_dense_covariance_of_equation_ten() {
    // (1−α)²·Σ_c(i) + α²·Σ_j ω_ij·Σ_j + β·tr(Σ̄_head)/d·I, with α, β, M and the softmax written out here in f64.
    let (dim, alpha, beta, neighbors) = (64, 0.4, 0.05, 3);
    let (model, calibration) = model(&mpfa(&format!("{{beta: {beta}, neighbors: {neighbors}}}")), dim);
    let laws = calibration.laws(&[alpha; COUNTS.len()]);
    let store = model.base.store();
    let center = |class: usize| &model.means[class * dim..(class + 1) * dim];
    let sigma: Vec<Vec<f64>> = (0..COUNTS.len()).map(|class| dense(store, class, center(class))).collect();
    let factors: Vec<Vec<f64>> = (0..COUNTS.len()).map(|class| factor(&model.factors, class)).collect();
    let trace = |class: usize| (0..dim).map(|at| sigma[class][at * dim + at]).sum::<f64>();
    // Only the first class has more than 100 rows.
    let diagonal = beta * trace(0) / dim as f64;
    let unit = |values: &[f32]| {
        let mut values = values.to_vec();
        normalize(&mut values);
        values
    };
    for class in 1..COUNTS.len() {
        let row = store.start(class);
        let z = unit(&model.base.row(row));
        let cosine = |of: usize| z.iter().zip(unit(center(of))).map(|(&a, b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let mut near: Vec<(f64, usize)> = (0..class).map(|larger| (cosine(larger), larger)).collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        near.truncate(neighbors);
        let total: f64 = near.iter().map(|(cosine, _)| cosine.exp()).sum();
        let mut wanted: Vec<f64> = sigma[class].iter().map(|entry| (1.0 - alpha).powi(2) * entry).collect();
        for &(cosine, larger) in &near {
            let weight = alpha * alpha * cosine.exp() / total;
            wanted.iter_mut().zip(&sigma[larger]).for_each(|(sum, entry)| *sum += weight * entry);
        }
        let mut found = vec![0f64; dim * dim];
        for component in laws.components(row) {
            let weight = f64::from(component.noise_weight).powi(2);
            add_products(&mut found, weight, &factors[component.class as usize], dim);
        }
        for at in 0..dim {
            wanted[at * dim + at] += diagonal;
            found[at * dim + at] += laws.diagonal_variance;
        }
        assert_eq!(laws.components(row).count(), near.len() + 1, "own class and neighbours");
        assert_covariance(&format!("class {class}"), &found, &wanted, dim);
    }
}
