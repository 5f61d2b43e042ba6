//! The unit sphere: features over their norm, and how a direction of the features moves them there.

use longtail_training::Scalar;

/// Smallest norm that a row is divided by.
const MIN_NORM: f64 = 1e-12;

/// Rows `u_i = z_i/‖z_i‖` with the norms they had.
#[derive(Debug, Clone)]
pub struct UnitRows<T> {
    /// `(n, d)` row-major.
    pub rows: Vec<T>,
    /// `(n)`, each at least 1e-12.
    pub norms: Vec<T>,
    dim: usize,
}

impl<T: Scalar> UnitRows<T> {
    /// Normalises `features` (n, d).
    pub fn of(features: &[T], dim: usize) -> Self {
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
        Self { rows, norms, dim }
    }

    /// The directional derivative of the unit rows: `u̇ = (I − uuᵀ)·ż/‖z‖`.
    ///
    /// # Shapes
    /// - `features_dot`: ż, (n, d)  - returns u̇, (n, d), orthogonal to u row by row
    /// # Source
    /// mpcl_mpfa.md §4.2.
    pub fn tangent(&self, features_dot: &[T]) -> Vec<T> {
        let mut tangent = features_dot.to_vec();
        let units = self.rows.chunks_exact(self.dim);
        for ((row, unit), norm) in tangent.chunks_exact_mut(self.dim).zip(units).zip(&self.norms) {
            let along = T::of(row.iter().zip(unit).map(|(dot, unit)| dot.wide() * unit.wide()).sum());
            row.iter_mut().zip(unit).for_each(|(dot, unit)| *dot = (*dot - along * *unit) / *norm);
        }
        tangent
    }
}

/// The cosine of each pair of rows.
///
/// # Shapes
/// - `left`, `right`: `(n, d)`, no zero rows  - returns `(n)` in [−1, 1] but for rounding
pub fn row_cosines<T: Scalar>(left: &[T], right: &[T], dim: usize) -> Vec<f64> {
    let dot = |a: &[T], b: &[T]| -> f64 { a.iter().zip(b).map(|(a, b)| a.wide() * b.wide()).sum() };
    left.chunks_exact(dim)
        .zip(right.chunks_exact(dim))
        .map(|(a, b)| dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt()).max(MIN_NORM))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_four_five() {
        let unit = UnitRows::of(&[3.0f64, 4.0, 0.0, 2.0], 2);
        assert_eq!((unit.norms, unit.rows), (vec![5.0, 2.0], vec![0.6, 0.8, 0.0, 1.0]));
    }

    #[test]
    fn a_direction_along_the_feature_does_not_move_it() {
        let unit = UnitRows::of(&[3.0f64, 4.0], 2);
        let still = unit.tangent(&[6.0, 8.0]);
        assert!(still.iter().all(|value| value.abs() < 1e-15), "{still:?}");
        // (4, −3) is orthogonal: it is only divided by the norm.
        let moved = unit.tangent(&[4.0, -3.0]);
        assert!((moved[0] - 0.8).abs() < 1e-15 && (moved[1] + 0.6).abs() < 1e-15, "{moved:?}");
    }

    #[test]
    fn the_tangent_is_the_derivative() {
        let (z, dot) = ([0.3f64, -1.2, 0.7], [0.5, 0.1, -0.9]);
        let at = |t: f64| UnitRows::of(&[z[0] + t * dot[0], z[1] + t * dot[1], z[2] + t * dot[2]], 3).rows;
        let (plus, minus, exact) = (at(1e-6), at(-1e-6), UnitRows::of(&z, 3).tangent(&dot));
        for index in 0..3 {
            assert!((exact[index] - (plus[index] - minus[index]) / 2e-6).abs() < 1e-9);
        }
    }

    #[test]
    fn cosines_of_rows() {
        assert_eq!(row_cosines(&[1.0f64, 0.0, 0.0, 2.0], &[5.0, 0.0, 3.0, 0.0], 2), vec![1.0, 0.0]);
    }
}
