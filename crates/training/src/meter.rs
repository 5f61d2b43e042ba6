//! Means over an epoch, and its speed.

use std::time::{Duration, Instant};

/// Named weighted means, in the order in which the names first came. Its sums are part of a checkpoint, so that a
/// resumed epoch logs the same numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EpochMeter {
    entries: Vec<MeterEntry>,
}

#[derive(Debug, Clone, PartialEq)]
struct MeterEntry {
    name: String,
    unit: String,
    sum: f64,
    weight: f64,
}

impl EpochMeter {
    /// Adds `value` with a weight (the images of a batch, say).
    pub fn add(&mut self, name: &str, unit: &str, value: f64, weight: f64) {
        match self.entries.iter_mut().find(|entry| entry.name == name) {
            Some(entry) => {
                entry.sum += value * weight;
                entry.weight += weight;
            }
            None => self.entries.push(MeterEntry {
                name: name.to_owned(),
                unit: unit.to_owned(),
                sum: value * weight,
                weight,
            }),
        }
    }

    /// The mean of `name` so far.
    pub fn mean(&self, name: &str) -> Option<f64> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| entry.sum / entry.weight)
    }

    /// `Σ value·weight` of `name` so far; 0 of one that never came.
    pub fn sum(&self, name: &str) -> f64 {
        self.entries.iter().find(|entry| entry.name == name).map_or(0.0, |entry| entry.sum)
    }

    /// `(name, unit, mean)` in order of first appearance.
    pub fn means(&self) -> impl Iterator<Item = (&str, &str, f64)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), entry.unit.as_str(), entry.sum / entry.weight))
    }

    /// Forgets everything, for the next epoch.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Names and units, and the sums and weights in turn, for a checkpoint.
    pub fn state(&self) -> (Vec<(String, String)>, Vec<f64>) {
        let names = self.entries.iter().map(|entry| (entry.name.clone(), entry.unit.clone())).collect();
        let numbers = self.entries.iter().flat_map(|entry| [entry.sum, entry.weight]).collect();
        (names, numbers)
    }

    /// The meter that [`EpochMeter::state`] described; `None` if there are not two numbers for each name.
    pub fn restore(names: Vec<(String, String)>, numbers: &[f64]) -> Option<Self> {
        if numbers.len() != 2 * names.len() {
            return None;
        }
        let entries = names
            .into_iter()
            .zip(numbers.chunks_exact(2))
            .map(|((name, unit), pair)| MeterEntry { name, unit, sum: pair[0], weight: pair[1] })
            .collect();
        Some(Self { entries })
    }
}

/// Images and seconds since the epoch began (or the run resumed): for time fields only, never for a decision.
#[derive(Debug, Clone)]
pub struct StepClock {
    began: Instant,
    images: u64,
}

impl StepClock {
    /// Starts measuring now.
    pub fn start() -> Self {
        Self { began: Instant::now(), images: 0 }
    }

    /// Counts the images of one batch.
    pub fn add(&mut self, images: usize) {
        self.images += images as u64;
    }

    /// Images per second so far; 0 before the clock has moved.
    pub fn images_per_sec(&self) -> f64 {
        let secs = self.began.elapsed().as_secs_f64();
        if secs > 0.0 { self.images as f64 / secs } else { 0.0 }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_weighted_and_keep_their_order() {
        let mut meter = EpochMeter::default();
        meter.add("b", "nats", 1.0, 3.0);
        meter.add("a", "nats", 7.0, 1.0);
        meter.add("b", "nats", 5.0, 1.0);
        let means: Vec<_> = meter.means().collect();
        assert_eq!(means, vec![("b", "nats", 2.0), ("a", "nats", 7.0)]);
    }

    #[test]
    fn a_restored_meter_goes_on_to_the_same_bits() {
        let mut straight = EpochMeter::default();
        straight.add("loss", "nats", 0.1, 128.0);
        let (names, numbers) = straight.state();
        let mut resumed = EpochMeter::restore(names, &numbers).expect("two numbers a name");
        straight.add("loss", "nats", 0.3, 77.0);
        resumed.add("loss", "nats", 0.3, 77.0);
        assert_eq!(straight, resumed);
        assert_eq!(EpochMeter::restore(vec![("x".into(), "y".into())], &[1.0]), None);
    }
}
