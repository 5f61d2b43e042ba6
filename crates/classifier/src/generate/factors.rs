//! A factor of each class's covariance: `Σ_k = F_kᵀ·F_k`, without a d×d matrix where the class has fewer rows than that.

use std::ops::Range;
use std::sync::Arc;

use longtail_artifact::{Interrupted, interrupted};
use longtail_ops::{ColumnsMut, PANEL, Target};
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
    /// centres of another shape; [`ClassifierError::Interrupted`] between two classes.
    pub fn new(rows: Arc<ClassStore>, centers: Vec<f32>) -> Result<Self, ClassifierError> {
        Self::unless(&interrupted, rows, centers)
    }

    /// [`ClassFactors::new`], unless it is to `stop`, which is asked before each class: a thousand classes take minutes.
    fn unless(
        stop: &(dyn Fn() -> bool + Sync),
        rows: Arc<ClassStore>,
        centers: Vec<f32>,
    ) -> Result<Self, ClassifierError> {
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
                if stop() {
                    return Err(ClassifierError::Interrupted(Interrupted));
                }
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

    /// Number of classes K.
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

    /// Trace of the covariance Σ_k of a class.
    pub fn trace(&self, class: usize) -> f64 {
        self.traces[class]
    }

    /// Rows of every class, `(K,)`.
    pub fn counts(&self) -> Vec<usize> {
        self.rows.counts()
    }

    /// `y[t, columns] += c_t·(e_t·F_k)[columns]` for every target t with its normals e_t: adds draws from N(0, c²·Σ_k).
    ///
    /// Rows come out the same whatever other rows are in the call, and columns whatever other columns are in the strip.
    ///
    /// # Shapes
    /// - `normals`: `(targets.len(), rank)` standard normals  - `packed`: a buffer, kept between calls
    pub fn add_draws(
        &self,
        class: usize,
        targets: &[Target],
        normals: &[f32],
        strip: &mut ColumnsMut<'_>,
        packed: &mut Vec<f32>,
    ) {
        let rank = self.rank(class);
        let len = strip.packed_len(rank);
        if packed.len() < len {
            packed.resize(len, 0.0);
        }
        self.pack(class, strip.columns(), packed);
        strip.add_product(targets, normals, rank, packed);
    }

    /// F_k's columns as a product reads them, centred and scaled on the way: there is no centred copy of a class.
    fn pack(&self, class: usize, columns: Range<usize>, packed: &mut [f32]) {
        let (dim, rank) = (self.dim(), self.rank(class));
        let center = &self.centers[class * dim..(class + 1) * dim];
        let (source, scale) = match &self.factors[class] {
            Factor::Rows { scale } => (self.rows.class_rows(class), Some(*scale)),
            Factor::Triangle(r) => (r.as_slice(), None),
        };
        for (term, row) in source.chunks_exact(dim).enumerate() {
            for (panel, start) in columns.clone().step_by(PANEL).enumerate() {
                let end = columns.end.min(start + PANEL);
                let at = ColumnsMut::packed_at(rank, panel, term);
                let to = &mut packed[at..at + end - start];
                match scale {
                    None => to.copy_from_slice(&row[start..end]),
                    Some(scale) => {
                        for ((to, &z), &c) in to.iter_mut().zip(&row[start..end]).zip(&center[start..end]) {
                            *to = (z - c) * scale;
                        }
                    }
                }
            }
        }
    }

    /// F_k, `(rank, d)`, centred and scaled, behind what is in `out`.
    pub(super) fn append_factor(&self, class: usize, out: &mut Vec<f32>) {
        let dim = self.dim();
        let center = &self.centers[class * dim..(class + 1) * dim];
        match &self.factors[class] {
            Factor::Rows { scale } => {
                let rows = self.rows.class_rows(class).chunks_exact(dim);
                out.extend(rows.flat_map(|row| row.iter().zip(center).map(|(&z, &c)| (z - c) * scale)));
            }
            Factor::Triangle(r) => out.extend_from_slice(r),
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
    use longtail_ops::split_columns;

    use super::*;

    /// Draws of `normals`, `(n, rank)`, as `(n, d)`.
    fn draw(factors: &ClassFactors, class: usize, normals: &[f32]) -> Vec<f32> {
        let rows = normals.len() / factors.rank(class);
        let targets: Vec<Target> = (0..rows as u32).map(|row| Target { row, coefficient: 1.0 }).collect();
        let mut out = vec![0f32; rows * factors.dim()];
        let mut packed = Vec::new();
        for mut strip in split_columns(&mut out, factors.dim(), PANEL) {
            factors.add_draws(class, &targets, normals, &mut strip, &mut packed);
        }
        out
    }

    #[test]
    fn a_request_to_stop_is_heard_between_classes() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let store =
            Arc::new(ClassStore::new(&[1.0, 2.0, 3.0, 5.0, 7.0, 9.0], &[0, 0, 1, 1, 2, 2], 3, 1).expect("valid"));
        let (centers, asked) = (store.means(), AtomicUsize::new(0));
        let from = |first: usize| {
            asked.store(0, Ordering::Relaxed);
            let stop = || asked.fetch_add(1, Ordering::Relaxed) >= first;
            ClassFactors::unless(&stop, Arc::clone(&store), centers.clone())
        };
        assert!(from(3).is_ok() && asked.load(Ordering::Relaxed) == 3, "once before each class");
        for first in [0, 2] {
            assert!(matches!(from(first), Err(ClassifierError::Interrupted(_))), "the {first}th question");
        }
    }

    #[test]
    fn two_rows_have_one_noise_direction() {
        // rows (1, 0, 0) and (0, 1, 0) around their mean: F = ((½, −½, 0), (−½, ½, 0))
        let store = ClassStore::new(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], &[0, 0], 1, 3).expect("valid");
        let factors = ClassFactors::new(Arc::new(store), vec![0.5, 0.5, 0.0]).expect("factors");
        assert_eq!(factors.rank(0), 2);
        assert!((factors.trace(0) - 1.0).abs() < 1e-12);
        let out = draw(&factors, 0, &[3.0, 1.0, 0.0, 0.0]);
        assert_eq!(out, [1.0, -1.0, 0.0, 0.0, 0.0, 0.0], "(3 − 1)/2 along (1, −1, 0)");
    }

    #[test]
    fn more_rows_than_dimensions_give_a_triangle_with_the_same_covariance() {
        let features: Vec<f32> = (0..10).map(|i| ((i * 7) % 5) as f32).collect();
        let store = ClassStore::new(&features, &[0; 5], 1, 2).expect("valid");
        let centers = store.means();
        let factors = ClassFactors::new(Arc::new(store.clone()), centers.clone()).expect("factors");
        assert_eq!(factors.rank(0), 2);
        // rows of R come out when E is the identity
        let r = draw(&factors, 0, &[1.0, 0.0, 0.0, 1.0]);
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
