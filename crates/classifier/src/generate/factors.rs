//! A factor of each class's covariance: `Σ_k = F_kᵀ·F_k`, without a d×d matrix where the class has fewer rows than that.

use std::sync::Arc;

use longtail_ops::gemm_single;
use ndarray::ArrayView2;
use rayon::prelude::*;

use super::class_store::ClassStore;
use crate::ClassifierError;

/// How one class's factor is held.
#[derive(Debug, Clone)]
enum Factor {
    /// N_k ≤ d: the class's own rows, `F = (Z_k − 1·cᵀ)/√(N_k − 1)`, read where they lie.
    Rows { scale: f32 },
    /// N_k > d: the R of QR(F), `(d, d)`; `RᵀR = FᵀF` without jitter, for singular covariances too.
    Triangle(Vec<f32>),
}

/// Covariance factors of all classes, rows centred at given centres and scaled by `1/√max(N_k − 1, 1)`.
///
/// # Source
/// mpcl_mpfa.md §6.1–6.2 and §5 rows 15 and 27.
#[derive(Debug, Clone)]
pub struct ClassFactors {
    rows: Arc<ClassStore>,
    centers: Vec<f32>,
    factors: Vec<Factor>,
    traces: Vec<f64>,
}

impl ClassFactors {
    /// Factors of every class's covariance around `centers`.
    ///
    /// # Shapes
    /// - `rows`: N rows of K classes, d values each  - `centers`: `(K, d)`
    /// # Errors
    /// [`ClassifierError::Factor`] names the class with its N_k and d if LAPACK fails; [`ClassifierError::Shape`] for
    /// centres of another shape.
    pub fn new(rows: Arc<ClassStore>, centers: Vec<f32>) -> Result<Self, ClassifierError> {
        let (classes, dim) = (rows.num_classes(), rows.dim());
        if centers.len() != classes * dim {
            return Err(ClassifierError::Shape {
                what: "covariance centres".to_owned(),
                found: centers.len(),
                expected: classes * dim,
            });
        }
        longtail_linalg::init();
        let factors = (0..classes)
            .into_par_iter()
            .map(|class| {
                let center = &centers[class * dim..(class + 1) * dim];
                factor_class(&rows, class, center)
            })
            .collect::<Result<Vec<Factor>, ClassifierError>>()?;
        let traces = (0..classes)
            .map(|class| {
                let center = &centers[class * dim..(class + 1) * dim];
                let squared: f64 = rows
                    .class_rows(class)
                    .chunks_exact(dim)
                    .map(|row| {
                        row.iter().zip(center).map(|(&z, &c)| (f64::from(z) - f64::from(c)).powi(2)).sum::<f64>()
                    })
                    .sum();
                squared / degrees_of_freedom(rows.count(class))
            })
            .collect();
        Ok(Self { rows, centers, factors, traces })
    }

    /// Classes K.
    pub fn num_classes(&self) -> usize {
        self.factors.len()
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.rows.dim()
    }

    /// Standard normals that one draw of a class takes: min(N_k, d).
    pub fn rank(&self, class: usize) -> usize {
        match &self.factors[class] {
            Factor::Rows { .. } => self.rows.count(class),
            Factor::Triangle(_) => self.rows.dim(),
        }
    }

    /// tr Σ_k.
    pub fn trace(&self, class: usize) -> f64 {
        self.traces[class]
    }

    /// Rows of every class, `(K,)`.
    pub fn counts(&self) -> Vec<usize> {
        self.rows.counts()
    }

    /// `out = weight ⊙ (E·F_k)`: draws from N(0, Σ_k), one a row.
    ///
    /// Rows come out the same whatever other rows are in the call.
    ///
    /// # Shapes
    /// - `normals`: `(n, rank)` standard normals  - `out`: `(n, d)`, overwritten  - n a multiple of [`ROW_MULTIPLE`]
    pub fn draw(&self, class: usize, normals: &[f32], n: usize, out: &mut [f32]) {
        let (dim, rank) = (self.dim(), self.rank(class));
        debug_assert!(n.is_multiple_of(ROW_MULTIPLE), "callers pad to a multiple, so that gemm takes one path");
        let right: &[f32] = match &self.factors[class] {
            Factor::Rows { .. } => self.rows.class_rows(class),
            Factor::Triangle(r) => r,
        };
        gemm_single(n, dim, rank, 1.0, normals, (rank, 1), right, (dim, 1), 0.0, out, (dim, 1));
        if let Factor::Rows { scale } = self.factors[class] {
            // E·(Z − 1·cᵀ) = E·Z − (E·1)·cᵀ: no centred copy of the class.
            let center = &self.centers[class * dim..(class + 1) * dim];
            for (row, normals) in out.chunks_exact_mut(dim).zip(normals.chunks_exact(rank)) {
                let sum = normals.iter().map(|&e| f64::from(e)).sum::<f64>() as f32;
                for (value, &c) in row.iter_mut().zip(center) {
                    *value = (*value - sum * c) * scale;
                }
            }
        }
    }

    /// Σ_k written out, `(d, d)` row-major, in f64 from the rows. For tests and inspection.
    pub fn covariance(&self, class: usize) -> Vec<f64> {
        let dim = self.dim();
        let center = &self.centers[class * dim..(class + 1) * dim];
        let mut out = vec![0f64; dim * dim];
        for row in self.rows.class_rows(class).chunks_exact(dim) {
            let centred: Vec<f64> = row.iter().zip(center).map(|(&z, &c)| f64::from(z) - f64::from(c)).collect();
            for (line, &a) in out.chunks_exact_mut(dim).zip(&centred) {
                line.iter_mut().zip(&centred).for_each(|(total, &b)| *total += a * b);
            }
        }
        let divisor = degrees_of_freedom(self.rows.count(class));
        out.iter_mut().for_each(|total| *total /= divisor);
        out
    }

    /// Bytes held beside the rows themselves.
    pub fn bytes(&self) -> usize {
        let triangles: usize = self
            .factors
            .iter()
            .map(|factor| match factor {
                Factor::Rows { .. } => 0,
                Factor::Triangle(r) => r.len(),
            })
            .sum();
        4 * (triangles + self.centers.len())
    }
}

/// [`ClassFactors::draw`] takes this many rows at a time: short products would go another way through gemm, with other bits.
pub const ROW_MULTIPLE: usize = 8;

/// N − 1, and 1 for a class of one row.
pub fn degrees_of_freedom(count: usize) -> f64 {
    count.saturating_sub(1).max(1) as f64
}

fn factor_class(rows: &ClassStore, class: usize, center: &[f32]) -> Result<Factor, ClassifierError> {
    let (count, dim) = (rows.count(class), rows.dim());
    let scale = 1.0 / degrees_of_freedom(count).sqrt();
    if count <= dim {
        return Ok(Factor::Rows { scale: scale as f32 });
    }
    let centred: Vec<f64> = rows
        .class_rows(class)
        .chunks_exact(dim)
        .flat_map(|row| row.iter().zip(center).map(|(&z, &c)| (f64::from(z) - f64::from(c)) * scale))
        .collect();
    let view = ArrayView2::from_shape((count, dim), &centred).expect("count × dim values were collected");
    let r =
        longtail_linalg::qr_r(view).map_err(|source| ClassifierError::Factor { class, rows: count, dim, source })?;
    Ok(Factor::Triangle(r.iter().map(|&value| value as f32).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rows_have_one_noise_direction() {
        // rows (1, 0, 0) and (0, 1, 0) around their mean: F = ((½, −½, 0), (−½, ½, 0))
        let store = ClassStore::new(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], &[0, 0], 1, 3).expect("valid");
        let factors = ClassFactors::new(Arc::new(store), vec![0.5, 0.5, 0.0]).expect("factors");
        assert_eq!(factors.rank(0), 2);
        assert!((factors.trace(0) - 1.0).abs() < 1e-12);
        let mut normals = vec![0f32; ROW_MULTIPLE * 2];
        normals[..2].copy_from_slice(&[3.0, 1.0]);
        let mut out = vec![9f32; ROW_MULTIPLE * 3];
        factors.draw(0, &normals, ROW_MULTIPLE, &mut out);
        assert_eq!(&out[..3], &[1.0, -1.0, 0.0], "(3 − 1)/2 along (1, −1, 0)");
        assert_eq!(&out[3..], &[0.0; 21]);
    }

    #[test]
    fn more_rows_than_dimensions_give_a_triangle_with_the_same_covariance() {
        let features: Vec<f32> = (0..10).map(|i| ((i * 7) % 5) as f32).collect();
        let store = ClassStore::new(&features, &[0; 5], 1, 2).expect("valid");
        let centers = store.means();
        let factors = ClassFactors::new(Arc::new(store.clone()), centers.clone()).expect("factors");
        assert_eq!(factors.rank(0), 2);
        // rows of R come out when E is the identity
        let mut normals = vec![0f32; ROW_MULTIPLE * 2];
        (normals[0], normals[3]) = (1.0, 1.0);
        let mut r = vec![0f32; ROW_MULTIPLE * 2];
        factors.draw(0, &normals, ROW_MULTIPLE, &mut r);
        for a in 0..2 {
            for b in 0..2 {
                let got: f32 = (0..2).map(|row| r[row * 2 + a] * r[row * 2 + b]).sum();
                let want: f32 =
                    store.features().chunks(2).map(|z| (z[a] - centers[a]) * (z[b] - centers[b])).sum::<f32>() / 4.0;
                assert!((got - want).abs() < 1e-5, "{got} {want}");
            }
        }
    }

    #[test]
    fn a_class_of_one_row_has_a_divisor_of_one() {
        let store = ClassStore::new(&[1.0, 3.0], &[0], 1, 2).expect("valid");
        let factors = ClassFactors::new(Arc::new(store), vec![0.0, 0.0]).expect("factors");
        assert!((factors.trace(0) - 10.0).abs() < 1e-12, "around a prototype the single row still has a covariance");
    }
}
