//! The two directions in which rows differ most.

use longtail_linalg::{LinalgError, eigh};
use ndarray::Array2;
use rayon::prelude::*;

/// A plane through a cloud of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// `(dim)`.
    mean: Vec<f64>,
    /// Two unit vectors, `(dim)` each; zero where the rows do not differ in a second direction.
    axes: [Vec<f64>; 2],
    /// The parts of the rows' variance along them.
    pub explained: [f64; 2],
}

impl Pca {
    /// The plane of the two largest principal components of `rows`.
    ///
    /// The eigenvectors u of the Gram matrix of the centred rows X give the axes `Xᵀu / √λ`; its size is the number of rows,
    /// which is smaller than their dimension. An axis points to where its largest entry is positive.
    ///
    /// # Shapes
    /// - `rows`: `(n, dim)` f64, finite, n at least 1
    /// # Errors
    /// LAPACK's.
    /// # Source
    /// Compared with scikit-learn's `PCA(2)` in `tests/golden/plot`.
    pub fn fit(rows: &[f64], dim: usize) -> Result<Self, LinalgError> {
        let rows: Vec<&[f64]> = rows.chunks_exact(dim.max(1)).collect();
        let n = rows.len();
        let mut mean = vec![0.0; dim];
        for row in &rows {
            mean.iter_mut().zip(*row).for_each(|(sum, x)| *sum += x);
        }
        mean.iter_mut().for_each(|sum| *sum /= n as f64);
        let centred: Vec<Vec<f64>> =
            rows.iter().map(|row| row.iter().zip(&mean).map(|(x, m)| x - m).collect()).collect();
        let gram: Vec<f64> =
            centred.par_iter().flat_map_iter(|a| centred.iter().map(|b| dot(a, b)).collect::<Vec<_>>()).collect();
        let gram = Array2::from_shape_vec((n, n), gram).expect("n rows of n products");
        let total: f64 = gram.diag().sum();
        // Rows that are equal up to rounding do not differ in any direction.
        let least = total * 1e-12 + n as f64 * dot(&mean, &mean) * 1e-24;
        let (values, vectors) = eigh(gram.view())?;
        let mut explained = [0.0; 2];
        let axes = [1, 2].map(|rank| {
            let mut axis = vec![0.0; dim];
            // Ascending; what is below rounding is no direction.
            let Some(place) = n.checked_sub(rank).filter(|place| values[*place] > least) else { return axis };
            explained[rank - 1] = values[place] / total;
            for (weight, row) in vectors.column(place).iter().zip(&centred) {
                axis.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
            }
            let largest = axis.iter().copied().fold(0.0f64, |most, x| if x.abs() > most.abs() { x } else { most });
            let scale = largest.signum() / values[place].sqrt();
            axis.iter_mut().for_each(|x| *x *= scale);
            axis
        });
        Ok(Self { mean, axes, explained })
    }

    /// Where rows lie on the plane.
    ///
    /// # Shapes
    /// - `rows`: `(n, dim)` - returns: `(n, 2)`
    pub fn project(&self, rows: &[f64]) -> Vec<[f64; 2]> {
        let of = |row: &[f64]| {
            let centred: Vec<f64> = row.iter().zip(&self.mean).map(|(x, m)| x - m).collect();
            [dot(&centred, &self.axes[0]), dot(&centred, &self.axes[1])]
        };
        rows.chunks_exact(self.mean.len().max(1)).map(of).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_cloud_is_found_again() {
        // (±3, 0) and (0, ±1) along (0.6, 0.8, 0) and (0, 0, 1), around (5, 5, 5).
        let rows: Vec<f64> = [[1.8, 2.4, 0.0], [-1.8, -2.4, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]
            .iter()
            .flatten()
            .map(|x| x + 5.0)
            .collect();
        let pca = Pca::fit(&rows, 3).expect("converges");
        assert!((pca.explained[0] - 0.9).abs() < 1e-12 && (pca.explained[1] - 0.1).abs() < 1e-12);
        let wanted = [[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        for (found, wanted) in pca.project(&rows).iter().zip(wanted) {
            assert!((found[0] - wanted[0]).abs() < 1e-12 && (found[1] - wanted[1]).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn rows_on_a_line_or_on_one_point_have_no_second_axis() {
        let line = Pca::fit(&[0.0, 0.0, 1.0, 1.0, 2.0, 2.0], 2).expect("converges");
        assert!((line.explained[0] - 1.0).abs() < 1e-12 && line.explained[1] == 0.0);
        assert!(line.project(&[3.0, 3.0]).iter().flatten().all(|x| x.is_finite()));
        let point = Pca::fit(&[1.0, 2.0, 1.0, 2.0], 2).expect("converges");
        assert_eq!(point.project(&[1.0, 2.0]), [[0.0, 0.0]]);
        // A third of a third: the mean is one rounding off.
        let rounded = Pca::fit(&[1.0 / 3.0; 21], 3).expect("converges");
        assert_eq!(rounded.explained, [0.0, 0.0]);
    }
}
