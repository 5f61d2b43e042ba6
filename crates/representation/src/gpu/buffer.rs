//! Device memory that grows to what is asked of it, and remembers how much that was.

use longtail_ops::gpu::{Driver, GpuError, GpuVec, Plain, View, ViewMut};

/// A vector whose first `len` elements are in use.
#[derive(Debug)]
pub(super) struct Buffer<T: Plain, D: Driver> {
    memory: GpuVec<T, D>,
    len: usize,
}

impl<T: Plain, D: Driver> Default for Buffer<T, D> {
    fn default() -> Self {
        Self { memory: GpuVec::default(), len: 0 }
    }
}

impl<T: Plain, D: Driver> Buffer<T, D> {
    /// Room for `len` elements, to be overwritten.
    pub(super) fn room(&mut self, driver: &D, len: usize) -> Result<ViewMut<'_, T>, GpuError> {
        self.memory.reserve(driver, len)?;
        self.len = len;
        Ok(self.memory.view_mut().part(0..len))
    }

    /// A copy of `values`.
    pub(super) fn write(&mut self, driver: &D, values: &[T]) -> Result<(), GpuError> {
        self.room(driver, values.len())?.write(driver, values)
    }

    /// What is in use.
    pub(super) fn view(&self) -> View<'_, T> {
        self.memory.view().part(0..self.len)
    }

    /// What is in use, to write.
    pub(super) fn view_mut(&mut self) -> ViewMut<'_, T> {
        self.memory.view_mut().part(0..self.len)
    }

    /// Elements in use.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}
