//! Which rows a kernel reads, and sums over all rows.

use super::memory::{View, ViewMut};
use super::{Argument, Driver, GpuError, check_len, long};

/// Threads of the block that takes a sum of everything.
const SUM_THREADS: u32 = 256;

/// Numbers of rows on the device that were checked before they went there.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    view: View<'a, i32>,
    below: usize,
}

impl<'a> Places<'a> {
    /// Copies `places` to `buffer`.
    ///
    /// # Errors
    /// The device's.
    ///
    /// # Panics
    /// If one of them is not below `below`, or the buffer is too short.
    pub fn write<D: Driver>(
        driver: &D,
        places: &[u32],
        below: usize,
        buffer: &'a mut super::GpuVec<i32, D>,
    ) -> Result<Self, GpuError> {
        assert!(places.iter().all(|&place| (place as usize) < below), "every place is below {below}");
        let signed: Vec<i32> = places.iter().map(|&place| place as i32).collect();
        buffer.view_mut().part(0..signed.len()).write(driver, &signed)?;
        Ok(Self { view: buffer.view().part(0..signed.len()), below })
    }

    /// Places `range` of them.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn part(self, range: std::ops::Range<usize>) -> Self {
        Self { view: self.view.part(range), below: self.below }
    }

    pub(super) fn len(self) -> usize {
        self.view.len()
    }

    /// As a kernel's argument, which takes them for rows of `rows`.
    pub(super) fn argument(self, what: &str, rows: usize) -> Argument {
        assert!(self.below <= rows, "{what}: places below {} of {rows} rows", self.below);
        self.view.argument()
    }
}

/// `out = factor · Σ x`, summed in f64.
///
/// # Shapes
/// - `out`: one element, overwritten
///
/// # Errors
/// The device's.
///
/// # Panics
/// If `out` has not one element.
#[allow(unsafe_code)]
pub fn gpu_sum<D: Driver>(driver: &D, x: View<'_, f32>, factor: f32, out: ViewMut<'_, f32>) -> Result<(), GpuError> {
    check_len("sum", "out", out.len(), 1);
    let arguments = [x.argument(), long(x.len()), Argument::Float(factor), out.argument()];
    // SAFETY: `x` has as many elements, `out` one.
    unsafe { driver.launch("rows_sum", (1, 1), (SUM_THREADS, 1), &arguments) }
}
