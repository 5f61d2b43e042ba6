//! The prototypes: one exponential moving average of features a class.

use longtail_recipe::{Ema, EmaMomentum, EmaOrder, ProtoSpace};
use longtail_training::{Scalar, StateReader, StateWriter};

use crate::RepresentationError;
use crate::unit_features::UnitRows;

/// How the averages are taken; the resolved recipe's `ema`, with one momentum a class.
#[derive(Debug, Clone, PartialEq)]
pub struct PrototypeSettings {
    /// m_k in [0, 1), (K).
    pub momentum: Vec<f64>,
    /// One update per sample in batch order (exact closed form), or one per class and batch.
    pub per_sample: bool,
    /// Of unit features, renormalised after each batch; else of raw features.
    pub on_sphere: bool,
    /// Divide by 1 − m^t; ignored on the sphere.
    pub debias: bool,
}

impl PrototypeSettings {
    /// From the recipe and the training counts (for `per_class`: m_k = exp(−1/(E·N_k))).
    pub fn from_recipe(ema: &Ema, class_counts: &[u32]) -> Self {
        let momentum = class_counts
            .iter()
            .map(|&count| match ema.momentum {
                EmaMomentum::PerClass(epochs) => (-1.0 / (epochs * f64::from(count.max(1)))).exp(),
                EmaMomentum::Fixed(momentum) => momentum,
            })
            .collect();
        let on_sphere = ema.space == ProtoSpace::Sphere;
        Self { momentum, per_sample: ema.order == EmaOrder::Seq, on_sphere, debias: ema.debias }
    }
}

/// K prototypes of dimension d; a class without a sample so far is *unseen* and its row is zero.
///
/// # Source
/// Eq. 1; mpcl_mpfa.md §5 rows 1 to 5 and 37. As MoPro's `model.py`, the unit prototypes are renormalised once a batch.
#[derive(Debug, Clone)]
pub struct Prototypes<T> {
    settings: PrototypeSettings,
    dim: usize,
    values: Vec<T>,
    updates: Vec<u64>,
}

impl<T: Scalar> Prototypes<T> {
    /// All unseen.
    pub fn new(settings: PrototypeSettings, dim: usize) -> Self {
        let classes = settings.momentum.len();
        Self { settings, dim, values: vec![T::ZERO; classes * dim], updates: vec![0; classes] }
    }

    /// Takes in a batch.
    ///
    /// With the class's samples `u_1 … u_q` in batch order: `c ← m^q·c + (1−m)·Σ_j m^{q−j}·u_j` (per sample), or
    /// `c ← m·c + (1−m)·mean_j u_j` (per batch); then c/‖c‖ on the sphere.
    ///
    /// # Shapes
    /// - `features`: raw z, (n, d)  - `labels`: (n), below K
    pub fn update(&mut self, features: &[T], labels: &[u32]) {
        let unit = self.settings.on_sphere.then(|| UnitRows::of(features, self.dim).rows);
        let rows = unit.as_deref().unwrap_or(features);
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); self.updates.len()];
        for (row, &label) in labels.iter().enumerate() {
            members[label as usize].push(row);
        }
        for (class, members) in members.iter().enumerate().filter(|(_, members)| !members.is_empty()) {
            self.update_class(class, members, rows);
        }
    }

    fn update_class(&mut self, class: usize, members: &[usize], rows: &[T]) {
        let momentum = self.settings.momentum[class];
        let count = members.len();
        let (keep, updates) = match self.settings.per_sample {
            true => (power(momentum, count as u64), count as u64),
            false => (momentum, 1),
        };
        let mut sum = vec![0.0f64; self.dim];
        for (place, &member) in members.iter().enumerate() {
            let weight = match self.settings.per_sample {
                true => (1.0 - momentum) * power(momentum, (count - 1 - place) as u64),
                false => (1.0 - momentum) / count as f64,
            };
            let row = &rows[member * self.dim..(member + 1) * self.dim];
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value.wide());
        }
        let prototype = &mut self.values[class * self.dim..(class + 1) * self.dim];
        sum.iter_mut().zip(prototype.iter()).for_each(|(sum, old)| *sum += keep * old.wide());
        let scale = match self.settings.on_sphere {
            true => sum.iter().map(|value| value * value).sum::<f64>().sqrt().max(1e-12),
            false => 1.0,
        };
        prototype.iter_mut().zip(&sum).for_each(|(value, sum)| *value = T::of(sum / scale));
        self.updates[class] += updates;
    }

    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<T>() + self.updates.capacity() * size_of::<u64>()
    }

    /// d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The prototypes as they are to be used, (K, d): debiased if the settings say so; zero rows for unseen classes.
    pub fn current(&self) -> Vec<T> {
        let mut current = self.values.clone();
        if self.settings.debias && !self.settings.on_sphere {
            for (class, row) in current.chunks_exact_mut(self.dim).enumerate() {
                let weight = 1.0 - power(self.settings.momentum[class], self.updates[class]);
                if weight > 0.0 {
                    row.iter_mut().for_each(|value| *value = T::of(value.wide() / weight));
                }
            }
        }
        current
    }

    /// The rows of [`Self::current`] of the seen classes, (K_seen, d).
    pub fn current_seen(&self, seen: &SeenClasses) -> Vec<T> {
        let current = self.current();
        if seen.classes.len() == self.updates.len() { current } else { seen.rows_of(&current, self.dim) }
    }

    /// Which classes have had a sample.
    pub fn seen(&self) -> SeenClasses {
        let classes: Vec<u32> = (0..self.updates.len() as u32).filter(|&k| self.updates[k as usize] > 0).collect();
        SeenClasses::new(classes, self.updates.len())
    }

    /// `sphere` or `raw`.
    pub fn space(&self) -> &'static str {
        if self.settings.on_sphere { "sphere" } else { "raw" }
    }

    /// Adds the state to a checkpoint.
    pub fn save(&self, writer: &mut StateWriter) {
        writer.vector("prototypes.values", &self.values);
        writer.counters("prototypes.updates", &self.updates);
    }

    /// Takes the state from a checkpoint.
    ///
    /// # Errors
    /// If it is missing or of another size.
    pub fn restore(&mut self, reader: &mut StateReader) -> Result<(), RepresentationError> {
        self.values = reader.vector_of("prototypes.values", self.values.len())?;
        let updates = reader.counter_list("prototypes.updates")?;
        longtail_training::TrainingError::check_size("prototypes.updates", updates.len(), self.updates.len())?;
        self.updates = updates;
        Ok(())
    }
}

/// Which classes take part in the prototype softmax, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenClasses {
    classes: Vec<u32>,
    position: Vec<Option<u32>>,
}

impl SeenClasses {
    /// `classes`: ascending, below `num_classes`.
    pub fn new(classes: Vec<u32>, num_classes: usize) -> Self {
        let mut position = vec![None; num_classes];
        for (place, &class) in classes.iter().enumerate() {
            position[class as usize] = Some(place as u32);
        }
        Self { classes, position }
    }

    /// The seen classes, ascending.
    pub fn classes(&self) -> &[u32] {
        &self.classes
    }

    /// 1 for a seen class, else 0, (K).
    pub fn mask(&self) -> Vec<u32> {
        self.position.iter().map(|place| u32::from(place.is_some())).collect()
    }

    /// Their rows of a (K, d) matrix, (K_seen, d).
    pub fn rows_of<T: Copy>(&self, matrix: &[T], dim: usize) -> Vec<T> {
        self.classes
            .iter()
            .flat_map(|&class| &matrix[class as usize * dim..(class as usize + 1) * dim])
            .copied()
            .collect()
    }

    /// A (K, d) matrix with `rows` at the seen classes and zeros elsewhere.
    pub fn spread<T: Scalar>(&self, rows: &[T], dim: usize) -> Vec<T> {
        let mut matrix = vec![T::ZERO; self.position.len() * dim];
        for (row, &class) in rows.chunks_exact(dim).zip(&self.classes) {
            matrix[class as usize * dim..(class as usize + 1) * dim].copy_from_slice(row);
        }
        matrix
    }

    /// The samples whose class is seen: their rows in the batch, and their class's place among the seen ones.
    pub fn members(&self, labels: &[u32]) -> (Vec<u32>, Vec<u32>) {
        labels
            .iter()
            .enumerate()
            .filter_map(|(row, &label)| self.position[label as usize].map(|place| (row as u32, place)))
            .unzip()
    }
}

fn power(base: f64, exponent: u64) -> f64 {
    base.powi(i32::try_from(exponent).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longtail_ops::{normal, stream};

    fn settings(per_sample: bool, on_sphere: bool, debias: bool) -> PrototypeSettings {
        PrototypeSettings { momentum: vec![0.5, 0.9, 0.9], per_sample, on_sphere, debias }
    }

    #[test]
    fn one_class_by_hand() {
        // m = 1/2, samples 2 then 4 from 0: (0+2)/2 = 1, (1+4)/2 = 5/2; debiased by 1 − 1/4: 10/3.
        let mut bank = Prototypes::<f64>::new(settings(true, false, true), 1);
        bank.update(&[2.0, 4.0], &[0, 0]);
        assert_eq!(bank.values, vec![2.5, 0.0, 0.0]);
        assert!((bank.current()[0] - 10.0 / 3.0).abs() < 1e-15);
        // Per batch: (0 + mean)/2 = 3/2, debiased by 1/2: the mean.
        let mut bank = Prototypes::<f64>::new(settings(false, false, true), 1);
        bank.update(&[2.0, 4.0], &[0, 0]);
        assert_eq!((bank.values[0], bank.current()[0]), (1.5, 3.0));
    }

    #[test]
    fn the_closed_form_is_the_loop_over_samples() {
        let mut rng = stream(1, "test", 0, 0);
        for on_sphere in [false, true] {
            let mut bank = Prototypes::<f64>::new(settings(true, on_sphere, false), 4);
            let mut naive = vec![0.0f64; 3 * 4];
            for batch in 0..5u32 {
                let features: Vec<f64> = (0..9 * 4).map(|_| normal(&mut rng)).collect();
                let labels: Vec<u32> = (0..9).map(|row| (row * row + batch) % 3).collect();
                bank.update(&features, &labels);
                let rows = if on_sphere { UnitRows::of(&features, 4).rows } else { features };
                for (row, &label) in rows.chunks_exact(4).zip(&labels) {
                    let momentum = bank.settings.momentum[label as usize];
                    for (value, feature) in naive[label as usize * 4..][..4].iter_mut().zip(row) {
                        *value = momentum * *value + (1.0 - momentum) * feature;
                    }
                }
                if on_sphere {
                    naive = UnitRows::of(&naive, 4).rows;
                }
            }
            for (actual, expected) in bank.values.iter().zip(&naive) {
                assert!((actual - expected).abs() < 1e-14, "{actual} is not {expected}");
            }
        }
    }

    #[test]
    fn the_first_sample_sets_a_unit_prototype_and_the_rest_stay_unseen() {
        let mut bank = Prototypes::<f32>::new(settings(true, true, true), 2);
        bank.update(&[3.0, 4.0], &[2]);
        assert_eq!(bank.current(), vec![0.0, 0.0, 0.0, 0.0, 0.6, 0.8]);
        let seen = bank.seen();
        assert_eq!(seen.classes(), &[2]);
        assert_eq!(seen.rows_of(&bank.current(), 2), vec![0.6, 0.8]);
        assert_eq!(seen.spread(&[1.0f32, 2.0], 2), vec![0.0, 0.0, 0.0, 0.0, 1.0, 2.0]);
        assert_eq!(seen.members(&[0, 2, 1, 2]), (vec![1, 3], vec![0, 0]));
    }

    #[test]
    fn a_checkpoint_brings_the_bank_back() {
        let mut bank = Prototypes::<f32>::new(settings(true, true, false), 2);
        bank.update(&[3.0, 4.0, 1.0, 0.0], &[2, 0]);
        let mut writer = StateWriter::default();
        bank.save(&mut writer);
        let mut again = Prototypes::<f32>::new(settings(true, true, false), 2);
        again.restore(&mut StateReader::new("test", writer.into_tensors())).expect("saved above");
        assert_eq!((again.values, again.updates), (bank.values, bank.updates));
    }
}
