//! Feature rows sorted by class, so that a class is one contiguous block of rows.

use crate::ClassifierError;

/// Feature rows `(N, d)` sorted by class (within a class in the dump's order), with the row at which each class starts.
///
/// One copy of the features serves every class: a class's rows are a slice, and a GEMM reads them where they lie.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassStore {
    dim: usize,
    features: Vec<f32>,
    /// `(K + 1,)`: class k is rows `offsets[k]..offsets[k + 1]`.
    offsets: Vec<usize>,
    labels: Vec<u32>,
}

impl ClassStore {
    /// Sorts a dump by class.
    ///
    /// # Shapes
    /// - `features`: `(N, d)` row-major  - `labels`: `(N,)` in `0..num_classes`
    /// # Errors
    /// [`ClassifierError::EmptyClass`] for a class without a row; [`ClassifierError::Shape`] when sizes disagree;
    /// [`ClassifierError::Label`] for a label out of range.
    pub fn new(features: &[f32], labels: &[u32], num_classes: usize, dim: usize) -> Result<Self, ClassifierError> {
        Self::from_vec(features.to_vec(), labels, num_classes, dim)
    }

    /// [`new`](Self::new) of a dump that is given away: its rows change places where they lie, so that they are held once.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_vec(
        mut features: Vec<f32>,
        labels: &[u32],
        num_classes: usize,
        dim: usize,
    ) -> Result<Self, ClassifierError> {
        if dim == 0 || features.len() != labels.len() * dim {
            return Err(ClassifierError::Shape {
                what: "features".to_owned(),
                found: features.len(),
                expected: labels.len() * dim,
            });
        }
        let mut counts = vec![0usize; num_classes];
        for (row, &label) in labels.iter().enumerate() {
            match counts.get_mut(label as usize) {
                Some(count) => *count += 1,
                None => return Err(ClassifierError::Label { row, label, num_classes }),
            }
        }
        if let Some(class) = counts.iter().position(|&count| count == 0) {
            return Err(ClassifierError::EmptyClass { class, num_classes });
        }
        let mut offsets = Vec::with_capacity(num_classes + 1);
        offsets.push(0);
        for &count in &counts {
            offsets.push(offsets[offsets.len() - 1] + count);
        }
        let mut next = offsets[..num_classes].to_vec();
        let mut sorted_labels = vec![0u32; labels.len()];
        let mut destination = Vec::with_capacity(labels.len());
        for &label in labels {
            let to = next[label as usize];
            next[label as usize] += 1;
            sorted_labels[to] = label;
            destination.push(to as u32);
        }
        // Every exchange brings one row home, so that each row moves once.
        for row in 0..labels.len() {
            while destination[row] as usize != row {
                let to = destination[row] as usize;
                let (low, high) = (row.min(to), row.max(to));
                let (front, back) = features.split_at_mut(high * dim);
                front[low * dim..(low + 1) * dim].swap_with_slice(&mut back[..dim]);
                destination.swap(row, to);
            }
        }
        Ok(Self { dim, features, offsets, labels: sorted_labels })
    }

    /// Number of rows N.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never: every class has a row.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Rows of class `class`, at least 1.
    pub fn count(&self, class: usize) -> usize {
        self.offsets[class + 1] - self.offsets[class]
    }

    /// Rows of every class, `(K,)`.
    pub fn counts(&self) -> Vec<usize> {
        (0..self.num_classes()).map(|class| self.count(class)).collect()
    }

    /// The first row of a class.
    pub fn start(&self, class: usize) -> usize {
        self.offsets[class]
    }

    /// The rows of a class, `(N_k, d)` row-major.
    pub fn class_rows(&self, class: usize) -> &[f32] {
        &self.features[self.offsets[class] * self.dim..self.offsets[class + 1] * self.dim]
    }

    /// One row, `(d,)`.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.features[row * self.dim..(row + 1) * self.dim]
    }

    /// All rows, `(N, d)` row-major.
    pub fn features(&self) -> &[f32] {
        &self.features
    }

    /// The class of every row, `(N,)`, ascending.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The same classes with every row put through `transform`, which gets `(N, d)` and may change values only.
    ///
    /// # Errors
    /// Whatever `transform` says.
    pub fn try_map(
        &self,
        transform: impl FnOnce(&mut [f32], usize) -> Result<(), ClassifierError>,
    ) -> Result<Self, ClassifierError> {
        let mut out = self.clone();
        transform(&mut out.features, self.dim)?;
        Ok(out)
    }

    /// Class means `(K, d)`, summed in f64 in the order of the rows.
    pub fn means(&self) -> Vec<f32> {
        let mut means = Vec::with_capacity(self.num_classes() * self.dim);
        let mut sum = vec![0f64; self.dim];
        for class in 0..self.num_classes() {
            sum.fill(0.0);
            for row in self.class_rows(class).chunks_exact(self.dim) {
                for (total, &value) in sum.iter_mut().zip(row) {
                    *total += f64::from(value);
                }
            }
            let count = self.count(class) as f64;
            means.extend(sum.iter().map(|total| (total / count) as f32));
        }
        means
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_by_class_and_keep_their_order() {
        let features = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5];
        let store = ClassStore::new(&features, &[1, 0, 1, 0], 2, 2).expect("valid");
        assert_eq!(store.features(), &[1.0, 1.5, 3.0, 3.5, 0.0, 0.5, 2.0, 2.5]);
        assert_eq!(store.labels(), &[0, 0, 1, 1]);
        assert_eq!(store.counts(), vec![2, 2]);
        assert_eq!(store.class_rows(1), &[0.0, 0.5, 2.0, 2.5]);
        assert_eq!(store.means(), vec![2.0, 2.5, 1.0, 1.5]);
    }

    #[test]
    fn an_empty_class_and_a_bad_label_are_named() {
        let error = ClassStore::new(&[0.0, 0.0], &[0, 2], 3, 1).expect_err("class 1 is empty");
        assert!(matches!(error, ClassifierError::EmptyClass { class: 1, .. }), "{error}");
        let error = ClassStore::new(&[0.0], &[3], 3, 1).expect_err("label out of range");
        assert!(matches!(error, ClassifierError::Label { row: 0, label: 3, .. }), "{error}");
        assert!(ClassStore::new(&[0.0], &[0], 1, 2).is_err());
    }
}
