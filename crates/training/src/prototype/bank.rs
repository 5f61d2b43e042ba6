//! The prototypes: one exponential moving average of features a class.

use candle_core::{DType, Device, Tensor};
use longtail_backbone::by_float;
use longtail_backbone::host::{read, write};
use longtail_recipe::{Ema, EmaMomentum, EmaOrder, ProtoSpace};

use super::seen::{SeenClasses, select_rows};
use super::unit_rows::UnitRows;
use crate::state::{State, StateList};
use crate::{Scalar, TrainingError};

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
#[derive(Debug)]
pub struct PrototypeBank {
    settings: PrototypeSettings,
    /// Prototypes, `(K, d)`.
    values: Tensor,
    /// How often a class was averaged into, (K).
    updates: Vec<u64>,
}

impl PrototypeBank {
    /// All unseen, of f32 or f64.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn new(settings: PrototypeSettings, dim: usize, dtype: DType) -> Result<Self, TrainingError> {
        let classes = settings.momentum.len();
        let values = Tensor::zeros((classes, dim), dtype, &Device::Cpu)?;
        Ok(Self { settings, values, updates: vec![0; classes] })
    }

    /// Takes in a batch.
    ///
    /// With the class's samples `u_1 … u_q` in batch order: `c ← m^q·c + (1−m)·Σ_j m^{q−j}·u_j` (per sample), or
    /// `c ← m·c + (1−m)·mean_j u_j` (per batch); then c/‖c‖ on the sphere.
    ///
    /// # Shapes
    /// - `features`: raw z, (n, d)  - `labels`: (n), below K
    /// # Errors
    /// If sizes or types do not fit.
    pub fn update(&mut self, features: &Tensor, labels: &[u32]) -> Result<(), TrainingError> {
        let dim = self.dim();
        TrainingError::check_size("features", features.elem_count(), labels.len() * dim)?;
        TrainingError::check_labels(labels, self.updates.len())?;
        let unit = self.settings.on_sphere.then(|| UnitRows::of(features)).transpose()?;
        let rows = unit.as_ref().map_or(features, |unit| &unit.rows);
        #[cfg(feature = "cuda")]
        if self.values.device().is_cuda() {
            return self.update_on_cuda(rows, labels);
        }
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); self.updates.len()];
        for (row, &label) in labels.iter().enumerate() {
            members[label as usize].push(row);
        }
        let (settings, updates) = (&self.settings, &mut self.updates);
        by_float!(self.values, T => {
            write(&self.values, |values: &mut [T]| read(rows, |rows: &[T]| {
                for (class, members) in members.iter().enumerate().filter(|(_, members)| !members.is_empty()) {
                    let prototype = &mut values[class * dim..(class + 1) * dim];
                    updates[class] += average(settings, settings.momentum[class], prototype, members, rows);
                }
            }))??;
        });
        Ok(())
    }

    /// [`Self::update`] by the kernel of a GPU, of rows as they are averaged.
    #[cfg(feature = "cuda")]
    fn update_on_cuda(&mut self, rows: &Tensor, labels: &[u32]) -> Result<(), TrainingError> {
        use longtail_backbone::device::{read, write};
        let PrototypeSettings { momentum, per_sample, on_sphere, .. } = &self.settings;
        let device = self.values.device();
        let rates: Vec<f32> = momentum.iter().map(|momentum| (1.0 - momentum) as f32).collect();
        let rates = Tensor::from_vec(rates, momentum.len(), device)?;
        let classes: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
        let classes = Tensor::from_vec(classes, labels.len(), device)?;
        write(&self.values, |driver, values| {
            read(rows, |_, rows| {
                read(&classes, |_, classes| {
                    read(&rates, |_, rates| {
                        longtail_ops::gpu::gpu_prototype_update(
                            driver,
                            values,
                            rows,
                            classes,
                            rates,
                            *per_sample,
                            *on_sphere,
                        )
                    })
                })
            })
        })?????;
        let mut met = vec![0u64; self.updates.len()];
        labels.iter().for_each(|&label| met[label as usize] += 1);
        for (updates, met) in self.updates.iter_mut().zip(met) {
            *updates += if *per_sample { met } else { met.min(1) };
        }
        Ok(())
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.values.dims()[1]
    }

    /// The prototypes as they are to be used, (K, d): debiased if the settings say so; zero rows for unseen classes. A copy: later
    /// batches do not move it.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn current(&self) -> Result<Tensor, TrainingError> {
        let current = self.values.copy()?;
        if self.settings.debias && !self.settings.on_sphere {
            #[cfg(feature = "cuda")]
            if current.device().is_cuda() {
                let scale = |class: usize| match 1.0 - power(self.settings.momentum[class], self.updates[class]) {
                    weight if weight > 0.0 => (1.0 / weight) as f32,
                    _ => 1.0,
                };
                let scales: Vec<f32> = (0..self.updates.len()).map(scale).collect();
                let scales = Tensor::from_vec(scales, (self.updates.len(), 1), current.device())?;
                return Ok(current.broadcast_mul(&scales)?);
            }
            let dim = self.dim();
            by_float!(current, T => write(&current, |values: &mut [T]| {
                for (class, row) in values.chunks_exact_mut(dim).enumerate() {
                    let weight = 1.0 - power(self.settings.momentum[class], self.updates[class]);
                    if weight > 0.0 {
                        row.iter_mut().for_each(|value| *value = T::of(value.wide() / weight));
                    }
                }
            })?);
        }
        Ok(current)
    }

    /// The rows of [`Self::current`] of the seen classes, (K_seen, d).
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn current_seen(&self, seen: &SeenClasses) -> Result<Tensor, TrainingError> {
        select_rows(&self.current()?, seen.classes())
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

    /// What it keeps from step to step.
    pub fn state(&mut self) -> StateList<'_> {
        vec![
            ("prototypes.values", State::Tensor(&mut self.values)),
            ("prototypes.updates", State::Counters(&mut self.updates)),
        ]
    }
}

/// Averages a class's samples into its prototype; returns how many updates that counts as.
fn average<T: Scalar>(
    settings: &PrototypeSettings,
    momentum: f64,
    prototype: &mut [T],
    members: &[usize],
    rows: &[T],
) -> u64 {
    let (count, dim) = (members.len(), prototype.len());
    let (keep, updates) = match settings.per_sample {
        true => (power(momentum, count as u64), count as u64),
        false => (momentum, 1),
    };
    let mut sum = vec![0.0f64; dim];
    for (place, &member) in members.iter().enumerate() {
        let weight = match settings.per_sample {
            true => (1.0 - momentum) * power(momentum, (count - 1 - place) as u64),
            false => (1.0 - momentum) / count as f64,
        };
        let row = &rows[member * dim..(member + 1) * dim];
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value.wide());
    }
    sum.iter_mut().zip(prototype.iter()).for_each(|(sum, old)| *sum += keep * old.wide());
    let scale = match settings.on_sphere {
        true => sum.iter().map(|value| value * value).sum::<f64>().sqrt().max(1e-12),
        false => 1.0,
    };
    prototype.iter_mut().zip(&sum).for_each(|(value, sum)| *value = T::of(sum / scale));
    updates
}

fn power(base: f64, exponent: u64) -> f64 {
    base.powi(i32::try_from(exponent).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StateReader, StateWriter, restore_state, save_state};
    use longtail_ops::{normal, stream};

    fn matrix(values: &[f64], dim: usize) -> Tensor {
        f64::constant(values, &[values.len() / dim, dim]).expect("a matrix")
    }

    fn bank(settings: PrototypeSettings, dim: usize) -> PrototypeBank {
        PrototypeBank::new(settings, dim, DType::F64).expect("memory")
    }

    fn values(tensor: Tensor) -> Vec<f64> {
        f64::values(&tensor).expect("f64")
    }

    fn settings(per_sample: bool, on_sphere: bool, debias: bool) -> PrototypeSettings {
        PrototypeSettings { momentum: vec![0.5, 0.9, 0.9], per_sample, on_sphere, debias }
    }

    #[test]
    fn one_class_by_hand() {
        // m = 1/2, samples 2 then 4 from 0: (0+2)/2 = 1, (1+4)/2 = 5/2; debiased by 1 − 1/4: 10/3.
        let mut by_sample = bank(settings(true, false, true), 1);
        by_sample.update(&matrix(&[2.0, 4.0], 1), &[0, 0]).expect("sizes fit");
        assert_eq!(values(by_sample.values.clone()), vec![2.5, 0.0, 0.0]);
        assert!((values(by_sample.current().expect("memory"))[0] - 10.0 / 3.0).abs() < 1e-15);
        // Per batch: (0 + mean)/2 = 3/2, debiased by 1/2: the mean.
        let mut by_batch = bank(settings(false, false, true), 1);
        by_batch.update(&matrix(&[2.0, 4.0], 1), &[0, 0]).expect("sizes fit");
        assert_eq!((values(by_batch.values.clone())[0], values(by_batch.current().expect("memory"))[0]), (1.5, 3.0));
    }

    #[test]
    fn the_closed_form_is_the_loop_over_samples() {
        let mut rng = stream(1, "test", 0, 0);
        for on_sphere in [false, true] {
            let mut bank = bank(settings(true, on_sphere, false), 4);
            let mut naive = vec![0.0f64; 3 * 4];
            for batch in 0..5u32 {
                let features: Vec<f64> = (0..9 * 4).map(|_| normal(&mut rng)).collect();
                let labels: Vec<u32> = (0..9).map(|row| (row * row + batch) % 3).collect();
                bank.update(&matrix(&features, 4), &labels).expect("sizes fit");
                let unit = |rows: &[f64]| values(UnitRows::of(&matrix(rows, 4)).expect("a matrix").rows);
                let rows = if on_sphere { unit(&features) } else { features };
                for (row, &label) in rows.chunks_exact(4).zip(&labels) {
                    let momentum = bank.settings.momentum[label as usize];
                    for (value, feature) in naive[label as usize * 4..][..4].iter_mut().zip(row) {
                        *value = momentum * *value + (1.0 - momentum) * feature;
                    }
                }
                if on_sphere {
                    naive = unit(&naive);
                }
            }
            for (actual, expected) in values(bank.values).iter().zip(&naive) {
                assert!((actual - expected).abs() < 1e-14, "{actual} is not {expected}");
            }
        }
    }

    #[test]
    fn the_first_sample_sets_a_unit_prototype_and_the_rest_stay_unseen() {
        let mut bank = bank(settings(true, true, true), 2);
        bank.update(&matrix(&[3.0, 4.0], 2), &[2]).expect("sizes fit");
        assert_eq!(values(bank.current().expect("memory")), vec![0.0, 0.0, 0.0, 0.0, 0.6, 0.8]);
        let seen = bank.seen();
        assert_eq!((seen.classes(), seen.mask()), (&[2][..], vec![0, 0, 1]));
        assert_eq!(values(bank.current_seen(&seen).expect("memory")), vec![0.6, 0.8]);
        assert_eq!(values(seen.spread(&matrix(&[1.0, 2.0], 2)).expect("one row")), vec![0.0, 0.0, 0.0, 0.0, 1.0, 2.0]);
        assert!(seen.spread(&matrix(&[1.0, 2.0, 3.0, 4.0], 2)).is_err());
        assert_eq!(seen.members(&[0, 2, 1, 2]), (vec![1, 3], vec![0, 0]));
    }

    #[test]
    fn what_was_handed_out_does_not_move_with_later_batches() {
        let mut bank = bank(settings(true, true, false), 2);
        bank.update(&matrix(&[3.0, 4.0], 2), &[0]).expect("sizes fit");
        let (before, seen) = (bank.current().expect("memory"), bank.seen());
        let rows = bank.current_seen(&seen).expect("memory");
        bank.update(&matrix(&[0.0, 1.0], 2), &[0]).expect("sizes fit");
        assert_eq!((&values(before)[..2], values(rows)), (&[0.6, 0.8][..], vec![0.6, 0.8]));
        assert!(
            bank.update(&matrix(&[0.0, 1.0], 2), &[3]).is_err()
                && bank.update(&matrix(&[0.0, 1.0], 2), &[0, 0]).is_err()
        );
    }

    #[test]
    fn a_checkpoint_brings_the_bank_back() {
        let mut before = bank(settings(true, true, false), 2);
        before.update(&matrix(&[3.0, 4.0, 1.0, 0.0], 2), &[2, 0]).expect("sizes fit");
        let mut writer = StateWriter::default();
        save_state(before.state(), &mut writer).expect("f64");
        let mut again = bank(settings(true, true, false), 2);
        restore_state(again.state(), &mut StateReader::new("test", writer.into_tensors())).expect("saved above");
        assert_eq!((values(again.values), again.updates), (values(before.values), before.updates));
    }
}
