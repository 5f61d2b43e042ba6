//! TailCalib's calibration: each row borrows means and covariances from its nearest classes.

use std::sync::Arc;

use longtail_recipe::TailCalibRecipe;

use super::base_rows::BaseRows;
use super::class_store::ClassStore;
use super::factors::ClassFactors;
use super::laws::{Component, RowLaws};
use super::low_rank::FeatureModel;
use super::neighbors::nearest;
use super::transform::Tukey;
use crate::ClassifierError;

/// The variance that the official code adds to the diagonal so that its Cholesky succeeds; part of its distribution.
pub const DIAGONAL_VARIANCE: f64 = 1e-4;

/// Model and laws of TailCalib on unit-norm rows:
///
/// `mean = (x + Σ_j μ_j)/(k + 1)`, `cov = (1/k)·Σ_j Σ_j + α·11ᵀ + 1e-4·I`, j over the k classes nearest to the Tukey'd x (its own
/// class may be one), μ and Σ of the rows before Tukey.
///
/// With fewer than k classes, k is the number of classes.
///
/// # Errors
/// [`ClassifierError::NegativeFeature`] when λ < 1 meets a negative feature; LAPACK's failures.
///
/// # Source
/// TailCalib's `generate_points` and `calibrate_distribution`; here 1/max(N_k − 1, 1) where the official code divides by zero,
/// and low-rank sampling where it takes one Cholesky per row.
pub fn tailcalib_model(
    unit_rows: Arc<ClassStore>,
    recipe: &TailCalibRecipe,
) -> Result<(FeatureModel, RowLaws), ClassifierError> {
    let means = unit_rows.means();
    let factors = ClassFactors::new(unit_rows.clone(), means.clone())?;
    let base = BaseRows::new(unit_rows, Tukey { lambda: recipe.tukey, keep_norm: false })?;
    let neighbors = nearest(&base, &means, recipe.neighbors.min(base.num_classes()));
    let mut laws = RowLaws::new(base.len(), neighbors.per_row());
    laws.diagonal_variance = DIAGONAL_VARIANCE;
    laws.shared_variance = recipe.alpha;
    let count = neighbors.per_row() as f64;
    let components_of = |row: usize| -> Vec<Component> {
        neighbors
            .of(row)
            .map(|(class, _)| Component {
                class,
                mean_weight: (1.0 / (count + 1.0)) as f32,
                noise_weight: (1.0 / count).sqrt() as f32,
            })
            .collect()
    };
    for row in 0..base.len() {
        laws.set(row, (1.0 / (count + 1.0)) as f32, &components_of(row));
    }
    Ok((FeatureModel { base, means, factors }, laws))
}
