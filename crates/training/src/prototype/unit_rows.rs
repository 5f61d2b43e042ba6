//! The unit sphere: features over their norm, and how a direction of the features moves them there.

use candle_core::{Device, Tensor};
use longtail_backbone::by_float;
use longtail_backbone::host::read;

use crate::{Scalar, TrainingError};

/// Smallest norm that a row is divided by.
const MIN_NORM: f64 = 1e-12;

/// Rows `u_i = z_i/‖z_i‖` with the norms they had, as constants. Norms are summed in f64.
#[derive(Debug, Clone)]
pub struct UnitRows {
    /// u, `(n, d)`.
    pub rows: Tensor,
    /// `(n)`, each at least 1e-12.
    pub norms: Tensor,
}

impl UnitRows {
    /// Normalises the rows of `features`.
    ///
    /// # Shapes
    /// - `features`: z, (n, d), contiguous
    /// # Errors
    /// If the tensor is no matrix of f32 or f64.
    pub fn of(features: &Tensor) -> Result<Self, TrainingError> {
        let (n, dim) = features.dims2()?;
        #[cfg(feature = "cuda")]
        if features.device().is_cuda() {
            use longtail_backbone::device::{read, write};
            let (rows, norms) = (features.zeros_like()?, Tensor::zeros(n, features.dtype(), features.device())?);
            read(features, |driver, features| {
                write(&rows, |_, rows| {
                    write(&norms, |_, norms| longtail_ops::gpu::gpu_unit_rows(driver, features, dim, rows, norms))
                })
            })????;
            return Ok(Self { rows, norms });
        }
        let (rows, norms) = by_float!(features, T => {
            let (rows, norms) = read(features, |features: &[T]| unit_rows(features, dim))?;
            (Tensor::from_vec(rows, (n, dim), &Device::Cpu)?, Tensor::from_vec(norms, n, &Device::Cpu)?)
        });
        Ok(Self { rows, norms })
    }

    /// The directional derivative of the unit rows: `u̇ = (I − uuᵀ)·ż/‖z‖`.
    ///
    /// # Shapes
    /// - `features_dot`: ż, (n, d)  - returns u̇, (n, d), orthogonal to u row by row
    /// # Errors
    /// If sizes or types do not fit.
    /// # Source
    /// mpcl_mpfa.md §4.2.
    pub fn tangent(&self, features_dot: &Tensor) -> Result<Tensor, TrainingError> {
        let (n, dim) = self.rows.dims2()?;
        TrainingError::check_size("direction of the features", features_dot.elem_count(), n * dim)?;
        #[cfg(feature = "cuda")]
        if features_dot.device().is_cuda() {
            use longtail_backbone::device::{read, write};
            let tangent = features_dot.zeros_like()?;
            read(features_dot, |driver, dot| {
                read(&self.rows, |_, rows| {
                    read(&self.norms, |_, norms| {
                        write(&tangent, |_, to| {
                            longtail_ops::gpu::gpu_unit_rows_tangent(driver, dot, rows, norms, dim, 1.0, false, to)
                        })
                    })
                })
            })?????;
            return Ok(tangent);
        }
        Ok(by_float!(features_dot, T => {
            let tangent = read(features_dot, |dot: &[T]| read(&self.rows, |rows: &[T]| {
                read(&self.norms, |norms: &[T]| tangent(dot, rows, norms, dim))
            }))???;
            Tensor::from_vec(tangent, (n, dim), &Device::Cpu)?
        }))
    }
}

/// Unit rows and norms of a row-major matrix.
pub(crate) fn unit_rows<T: Scalar>(features: &[T], dim: usize) -> (Vec<T>, Vec<T>) {
    let mut rows = features.to_vec();
    let norms = rows
        .chunks_exact_mut(dim)
        .map(|row| {
            let square: f64 = row.iter().map(|value| value.wide() * value.wide()).sum();
            let norm = T::of(square.sqrt().max(MIN_NORM));
            row.iter_mut().for_each(|value| *value /= norm);
            norm
        })
        .collect();
    (rows, norms)
}

fn tangent<T: Scalar>(features_dot: &[T], rows: &[T], norms: &[T], dim: usize) -> Vec<T> {
    let mut tangent = features_dot.to_vec();
    for ((row, unit), norm) in tangent.chunks_exact_mut(dim).zip(rows.chunks_exact(dim)).zip(norms) {
        let along = T::of(row.iter().zip(unit).map(|(dot, unit)| dot.wide() * unit.wide()).sum());
        row.iter_mut().zip(unit).for_each(|(dot, unit)| *dot = (*dot - along * *unit) / *norm);
    }
    tangent
}

/// The cosine of each pair of rows, in f64.
///
/// # Shapes
/// - `left`, `right`: `(n, d)`, no zero rows  - returns `(n)` in [−1, 1] but for rounding
/// # Errors
/// If shapes do not fit.
pub fn row_cosines(left: &Tensor, right: &Tensor) -> Result<Tensor, TrainingError> {
    let (left, right) = (left.to_dtype(candle_core::DType::F64)?, right.to_dtype(candle_core::DType::F64)?);
    let dots = |a: &Tensor, b: &Tensor| -> candle_core::Result<Tensor> { (a * b)?.sum(1) };
    let norms = (dots(&left, &left)?.sqrt()? * dots(&right, &right)?.sqrt()?)?;
    Ok((dots(&left, &right)? / norms.maximum(MIN_NORM)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(values: &[f64], dim: usize) -> Tensor {
        f64::constant(values, &[values.len() / dim, dim]).expect("a matrix")
    }

    fn values(tensor: &Tensor) -> Vec<f64> {
        f64::values(tensor).expect("f64")
    }

    #[test]
    fn three_four_five() {
        let unit = UnitRows::of(&matrix(&[3.0, 4.0, 0.0, 2.0], 2)).expect("a matrix");
        assert_eq!((values(&unit.norms), values(&unit.rows)), (vec![5.0, 2.0], vec![0.6, 0.8, 0.0, 1.0]));
    }

    #[test]
    fn a_direction_along_the_feature_does_not_move_it() {
        let unit = UnitRows::of(&matrix(&[3.0, 4.0], 2)).expect("a matrix");
        let still = values(&unit.tangent(&matrix(&[6.0, 8.0], 2)).expect("sizes fit"));
        assert!(still.iter().all(|value| value.abs() < 1e-15), "{still:?}");
        // (4, −3) is orthogonal: it is only divided by the norm.
        let moved = values(&unit.tangent(&matrix(&[4.0, -3.0], 2)).expect("sizes fit"));
        assert!((moved[0] - 0.8).abs() < 1e-15 && (moved[1] + 0.6).abs() < 1e-15, "{moved:?}");
    }

    #[test]
    fn the_tangent_is_the_derivative() {
        let (z, dot) = ([0.3f64, -1.2, 0.7], [0.5, 0.1, -0.9]);
        let unit = |z: &[f64]| UnitRows::of(&matrix(z, 3)).expect("a matrix");
        let at = |t: f64| values(&unit(&[z[0] + t * dot[0], z[1] + t * dot[1], z[2] + t * dot[2]]).rows);
        let (plus, minus) = (at(1e-6), at(-1e-6));
        let exact = values(&unit(&z).tangent(&matrix(&dot, 3)).expect("sizes fit"));
        for index in 0..3 {
            assert!((exact[index] - (plus[index] - minus[index]) / 2e-6).abs() < 1e-9);
        }
    }

    #[test]
    fn cosines_of_rows() {
        let cosines = row_cosines(&matrix(&[1.0, 0.0, 0.0, 2.0], 2), &matrix(&[5.0, 0.0, 3.0, 0.0], 2));
        assert_eq!(values(&cosines.expect("shapes fit")), vec![1.0, 0.0]);
    }
}
