//! The rows that generated ones start from, transformed as they are read.

use std::sync::Arc;

use rayon::prelude::*;

use super::class_store::ClassStore;
use super::transform::Tukey;
use crate::ClassifierError;

/// Rows of a store put through Tukey's power when they are read: all features are held once, for covariances (of the rows as
/// they are) and for base rows alike. Only where they are few are the raised ones kept too.
#[derive(Debug, Clone)]
pub struct BaseRows {
    store: Arc<ClassStore>,
    tukey: Tukey,
    /// `(N, d)` raised rows, empty where they are not kept.
    kept: Vec<f32>,
}

/// Most values that are kept beside the store's: 16 MiB.
const MOST_KEPT: usize = 1 << 22;

impl BaseRows {
    /// The rows of `store` under `tukey`.
    ///
    /// # Errors
    /// [`ClassifierError::NegativeFeature`] when λ < 1 meets a negative feature.
    pub fn new(store: Arc<ClassStore>, tukey: Tukey) -> Result<Self, ClassifierError> {
        tukey.check(store.features(), store.dim())?;
        let keeps = tukey.lambda != 1.0 && store.features().len() <= MOST_KEPT;
        let mut kept = if keeps { store.features().to_vec() } else { Vec::new() };
        kept.par_chunks_exact_mut(store.dim()).for_each(|row| tukey.apply(row));
        Ok(Self { store, tukey, kept })
    }

    /// The rows before the power, with their classes.
    pub fn store(&self) -> &ClassStore {
        &self.store
    }

    /// Number of rows N.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Never: every class has a row.
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.store.dim()
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.store.num_classes()
    }

    /// The class of every row, `(N,)`, ascending.
    pub fn labels(&self) -> &[u32] {
        self.store.labels()
    }

    /// Bytes held, those of the store included.
    pub fn bytes(&self) -> usize {
        4 * (self.store.features().len() + self.kept.len())
    }

    /// One row, `(d,)`; `buffer`, of as many values, may be written.
    pub fn get<'a>(&'a self, row: usize, buffer: &'a mut [f32]) -> &'a [f32] {
        if self.tukey.lambda == 1.0 {
            return self.store.row(row);
        }
        let dim = self.dim();
        if !self.kept.is_empty() {
            return &self.kept[row * dim..(row + 1) * dim];
        }
        buffer.copy_from_slice(self.store.row(row));
        self.tukey.apply(buffer);
        buffer
    }

    /// One row, `(d,)`.
    pub fn row(&self, row: usize) -> Vec<f32> {
        self.get(row, &mut vec![0f32; self.dim()]).to_vec()
    }

    /// The rows of a class, `(N_k, d)` row-major.
    pub fn class_rows(&self, class: usize) -> Vec<f32> {
        let mut out = self.store.class_rows(class).to_vec();
        out.chunks_exact_mut(self.dim()).for_each(|row| self.tukey.apply(row));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_raised_as_they_are_read() {
        let store = Arc::new(ClassStore::new(&[4.0, 9.0, 0.0, 16.0], &[1, 0], 2, 2).expect("valid"));
        let rows = BaseRows::new(store, Tukey { lambda: 0.5, keep_norm: false }).expect("not negative");
        assert_eq!(rows.store().row(0), &[0.0, 16.0]);
        let close = |found: Vec<f32>, wanted: [f32; 2]| found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close(rows.row(0), [0.0, 4.0]) && close(rows.row(1), [2.0, 3.0]));
        assert!(close(rows.class_rows(1), [2.0, 3.0]));
    }

    #[test]
    fn kept_rows_are_those_that_are_raised_when_read() {
        let features: Vec<f32> = (0..12).map(|i| i as f32 * 0.3).collect();
        let store = Arc::new(ClassStore::new(&features, &[0, 1], 2, 6).expect("valid"));
        let kept = BaseRows::new(store, Tukey { lambda: 0.7, keep_norm: true }).expect("not negative");
        let read = BaseRows { kept: Vec::new(), ..kept.clone() };
        assert_eq!((kept.row(1), kept.class_rows(0)), (read.row(1), read.class_rows(0)));
        assert_eq!((kept.bytes(), read.bytes()), (96, 48));
    }

    #[test]
    fn a_negative_value_is_refused_before_it_is_needed() {
        let store = Arc::new(ClassStore::new(&[1.0, -1.0], &[0], 1, 2).expect("valid"));
        let error = BaseRows::new(store.clone(), Tukey { lambda: 0.9, keep_norm: true }).expect_err("negative");
        assert!(matches!(error, ClassifierError::NegativeFeature { row: 0, column: 1, .. }), "{error}");
        assert_eq!(BaseRows::new(store, Tukey::IDENTITY).expect("as they are").row(0), &[1.0, -1.0]);
    }
}
