//! Mean and covariance of a row's law, written out. For tests, golden files and inspection: a d×d matrix per row is just what
//! sampling avoids.

use super::laws::RowLaws;
use super::low_rank::FeatureModel;

/// The mean of the rows generated from source `row`, `(d,)`.
pub fn mean(model: &FeatureModel, laws: &RowLaws, row: usize) -> Vec<f64> {
    let dim = model.base.dim();
    let weight = f64::from(laws.source_weight(row));
    let mut out: Vec<f64> = model.base.row(row).into_iter().map(|x| weight * f64::from(x)).collect();
    for component in laws.components(row) {
        let class = component.class as usize;
        for (total, &c) in out.iter_mut().zip(&model.means[class * dim..(class + 1) * dim]) {
            *total += f64::from(component.mean_weight) * f64::from(c);
        }
    }
    out
}

/// The covariance of the rows generated from source `row`, `(d, d)` row-major.
pub fn covariance(model: &FeatureModel, laws: &RowLaws, row: usize) -> Vec<f64> {
    let dim = model.base.dim();
    let mut out = vec![laws.shared_variance; dim * dim];
    for at in 0..dim {
        out[at * dim + at] += laws.diagonal_variance;
    }
    for component in laws.components(row) {
        let weight = f64::from(component.noise_weight).powi(2);
        for (total, entry) in out.iter_mut().zip(model.factors.covariance(component.class as usize)) {
            *total += weight * entry;
        }
    }
    out
}
