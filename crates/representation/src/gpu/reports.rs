//! What steps measured: left on the device until a whole lot of it is fetched, so that a step waits for nothing.

use longtail_ops::gpu::{Driver, GpuError, GpuVec, ViewMut};
use longtail_training::{EpochMeter, StepAt, TrainingError};

use crate::RepresentationError;

/// Numbers that are fetched together. A loss that is not finite is seen that late.
const NUMBERS: usize = 512;

/// Where a measured number comes from.
#[derive(Debug, Clone, Copy)]
enum Source {
    Device(usize),
    /// The first without the second.
    Difference(usize, usize),
    Host(f64),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    name: &'static str,
    unit: &'static str,
    source: Source,
    weight: f64,
    /// Where in training, if it must be finite.
    must_be_finite: Option<StepAt>,
    measured: bool,
}

/// A place for one number of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// The numbers since the last fetch.
#[derive(Debug)]
pub(super) struct Reports<D: Driver> {
    numbers: GpuVec<f32, D>,
    used: usize,
    entries: Vec<Entry>,
}

impl<D: Driver> Reports<D> {
    pub(super) fn new(driver: &D) -> Result<Self, GpuError> {
        Ok(Self { numbers: GpuVec::zeros(driver, NUMBERS)?, used: 0, entries: Vec::new() })
    }

    /// Whether a step that measures up to `numbers` must be preceded by a fetch.
    pub(super) fn is_full(&self, numbers: usize) -> bool {
        self.used + numbers > NUMBERS
    }

    /// A place that nothing has been said about yet.
    pub(super) fn slot(&mut self) -> Slot {
        self.used += 1;
        Slot(self.used - 1)
    }

    /// Where a kernel writes the number.
    pub(super) fn place(&mut self, slot: Slot) -> ViewMut<'_, f32> {
        self.numbers.view_mut().part(slot.0..slot.0 + 1)
    }

    /// Where a kernel writes two numbers; the second slot was asked for right after the first.
    pub(super) fn places(&mut self, first: Slot, second: Slot) -> (ViewMut<'_, f32>, ViewMut<'_, f32>) {
        assert_eq!(first.0 + 1, second.0, "one after the other");
        self.numbers.view_mut().part(first.0..second.0 + 1).split_at(1)
    }

    fn push(&mut self, name: &'static str, unit: &'static str, source: Source, weight: f64) {
        self.entries.push(Entry { name, unit, source, weight, must_be_finite: None, measured: true });
    }

    /// The number in `slot` goes to the meter.
    pub(super) fn add(&mut self, name: &'static str, unit: &'static str, slot: Slot, weight: f64) {
        self.push(name, unit, Source::Device(slot.0), weight);
    }

    /// `before − after` goes to the meter.
    pub(super) fn add_difference(&mut self, name: &'static str, unit: &'static str, before: Slot, after: Slot) {
        self.push(name, unit, Source::Difference(before.0, after.0), 1.0);
    }

    /// A number that the host knows goes to the meter.
    pub(super) fn add_known(&mut self, name: &'static str, unit: &'static str, value: f64, weight: f64) {
        self.push(name, unit, Source::Host(value), weight);
    }

    /// The number in `slot` must be finite, or training ends.
    pub(super) fn check(&mut self, name: &'static str, slot: Slot, at: &StepAt) {
        let source = Source::Device(slot.0);
        self.entries.push(Entry { name, unit: "", source, weight: 0.0, must_be_finite: Some(*at), measured: false });
    }

    /// Waits for the device, and hands everything to the meter.
    ///
    /// # Errors
    /// A number that had to be finite and is not; the device's.
    pub(super) fn fetch(&mut self, driver: &D, meter: &mut EpochMeter) -> Result<(), RepresentationError> {
        let numbers = self.numbers.view().part(0..self.used).to_vec(driver)?;
        self.used = 0;
        for entry in std::mem::take(&mut self.entries) {
            let value = match entry.source {
                Source::Device(at) => f64::from(numbers[at]),
                Source::Difference(a, b) => f64::from(numbers[a]) - f64::from(numbers[b]),
                Source::Host(value) => value,
            };
            if let Some(at) = entry.must_be_finite {
                TrainingError::check_finite(entry.name, value, at.epoch, at.step, at.lr)?;
            }
            if entry.measured {
                meter.add(entry.name, entry.unit, value, entry.weight);
            }
        }
        Ok(())
    }
}
