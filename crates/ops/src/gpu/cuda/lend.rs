//! Views of memory that others hold, candle for instance: slices of cudarc's.

use std::ops::Range;

use cudarc::driver::{CudaSlice, DevicePtr as _, DevicePtrMut as _};

use super::Cuda;
use crate::gpu::{Plain, View, ViewMut};

impl Cuda {
    /// Elements `range` of a slice, to read.
    ///
    /// # Panics
    /// If the slice is shorter, or another device's.
    pub fn lend<'a, T: Plain>(&self, slice: &'a CudaSlice<T>, range: Range<usize>) -> View<'a, T> {
        self.check_context(slice);
        View::at(slice.device_ptr(&self.stream).0, slice.len()).part(range)
    }

    /// Elements `range` of a slice, to write.
    ///
    /// # Panics
    /// As [`Cuda::lend`].
    pub fn lend_mut<'a, T: Plain>(&self, slice: &'a mut CudaSlice<T>, range: Range<usize>) -> ViewMut<'a, T> {
        self.check_context(slice);
        let len = slice.len();
        ViewMut::at(slice.device_ptr_mut(&self.stream).0, len).part(range)
    }

    fn check_context<T>(&self, slice: &CudaSlice<T>) {
        let (here, there) = (self.stream.context().ordinal(), slice.context().ordinal());
        assert!(here == there, "memory of device {there} on device {here}");
    }
}
