//! Vectors in device memory, and views of them.

use std::marker::PhantomData;
use std::ops::Range;

use half::bf16;

use super::{Argument, Driver, GpuError};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for half::bf16 {}
    impl Sealed for i32 {}
    impl Sealed for u8 {}
}

/// Numbers that a device understands: every pattern of bits is one, and they have no gaps.
pub trait Plain: sealed::Sealed + Copy + Default + std::fmt::Debug + 'static {}
impl Plain for f32 {}
impl Plain for bf16 {}
impl Plain for i32 {}
impl Plain for u8 {}

/// What activations, their gradients and tangents are stored in. Arithmetic is in `f32` either way.
pub trait Activation: Plain {
    /// Its place in [`Self::kernel`]'s names.
    const ELEMENT: Element;

    /// Rounds to the nearest value of this type.
    fn of(value: f32) -> Self;

    /// Converts to f32 without rounding.
    fn value(self) -> f32;

    /// The kernel of this element, of those for `f32` and for bfloat16.
    fn kernel(names: [&'static str; 2]) -> &'static str {
        names[Self::ELEMENT as usize]
    }
}

/// The sorts of [`Activation`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Element {
    /// `f32`.
    #[default]
    F32,
    /// bfloat16: `f32`'s range, 8 bits of precision.
    Bf16,
}

impl Element {
    /// Size of one element in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => size_of::<f32>(),
            Self::Bf16 => size_of::<bf16>(),
        }
    }
}

impl Activation for f32 {
    const ELEMENT: Element = Element::F32;

    fn of(value: f32) -> Self {
        value
    }

    fn value(self) -> f32 {
        self
    }
}

impl Activation for bf16 {
    const ELEMENT: Element = Element::Bf16;

    fn of(value: f32) -> Self {
        Self::from_f32(value)
    }

    fn value(self) -> f32 {
        self.to_f32()
    }
}

/// A vector in device memory.
#[derive(Debug)]
pub struct GpuVec<T: Plain, D: Driver> {
    _memory: Option<D::Memory>,
    address: u64,
    len: usize,
    kind: PhantomData<T>,
}

impl<T: Plain, D: Driver> Default for GpuVec<T, D> {
    fn default() -> Self {
        Self { _memory: None, address: 0, len: 0, kind: PhantomData }
    }
}

impl<T: Plain, D: Driver> GpuVec<T, D> {
    /// `len` zeros.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn zeros(driver: &D, len: usize) -> Result<Self, GpuError> {
        if len == 0 {
            return Ok(Self::default());
        }
        let memory = driver.allocate(len * size_of::<T>())?;
        Ok(Self { address: driver.address(&memory), _memory: Some(memory), len, kind: PhantomData })
    }

    /// A copy of `values`.
    ///
    /// # Errors
    /// As [`GpuVec::zeros`], and the device's.
    pub fn of(driver: &D, values: &[T]) -> Result<Self, GpuError> {
        let mut vec = Self::zeros(driver, values.len())?;
        vec.view_mut().write(driver, values)?;
        Ok(vec)
    }

    /// Makes room for `len` elements, without keeping what is there if that moves it. It never shrinks.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn reserve(&mut self, driver: &D, len: usize) -> Result<(), GpuError> {
        if self.len < len {
            *self = Self::default(); // the old one goes first, so that both are never held at once
            *self = Self::zeros(driver, len)?;
        }
        Ok(())
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All elements, to read.
    pub fn view(&self) -> View<'_, T> {
        View { address: self.address, len: self.len, kind: PhantomData }
    }

    /// All elements, to write.
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut { address: self.address, len: self.len, kind: PhantomData }
    }

    /// A copy in the program's own memory.
    ///
    /// # Errors
    /// The device's.
    pub fn to_vec(&self, driver: &D) -> Result<Vec<T>, GpuError> {
        self.view().to_vec(driver)
    }
}

/// A part of a vector, to read.
#[derive(Debug, Clone, Copy)]
pub struct View<'a, T> {
    address: u64,
    len: usize,
    kind: PhantomData<&'a [T]>,
}

/// A part of a vector, to write.
#[derive(Debug)]
pub struct ViewMut<'a, T> {
    address: u64,
    len: usize,
    kind: PhantomData<&'a mut [T]>,
}

/// How many `U`s lie in `len` `T`s.
fn recast<T: Plain, U: Plain>(address: u64, len: usize) -> usize {
    let bytes = len * size_of::<T>();
    let fits = bytes.is_multiple_of(size_of::<U>()) && address.is_multiple_of(align_of::<U>() as u64);
    assert!(fits, "{bytes} bytes at {address:#x} are no row of numbers of {} bytes", size_of::<U>());
    bytes / size_of::<U>()
}

/// The bytes of plain numbers.
#[allow(unsafe_code)]
pub(super) fn bytes_of<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: plain numbers have no gaps, and bytes no alignment.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// The same, to write: every pattern of bits is a plain number.
#[allow(unsafe_code)]
pub(super) fn bytes_of_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: plain numbers have no padding, every bit pattern is valid, and the borrow is mutable.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

impl<'a, T: Plain> View<'a, T> {
    /// `len` elements from `address` on, which the caller borrows for `'a`.
    #[cfg(feature = "cuda")]
    pub(super) fn at(address: u64, len: usize) -> Self {
        Self { address, len, kind: PhantomData }
    }

    /// Number of elements.
    pub fn len(self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Borrows the elements in `range`.
    ///
    /// # Panics
    /// If it leaves the view.
    pub fn part(self, range: Range<usize>) -> View<'a, T> {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {} elements", self.len);
        let address = self.address + (range.start * size_of::<T>()) as u64;
        View { address, len: range.len(), kind: PhantomData }
    }

    /// Device address of the first element.
    pub fn address(self) -> u64 {
        self.address
    }

    /// The same memory, read as numbers of another sort.
    ///
    /// # Panics
    /// If it does not begin, or end, where one of them may.
    pub fn of<U: Plain>(self) -> View<'a, U> {
        View { address: self.address, len: recast::<T, U>(self.address, self.len), kind: PhantomData }
    }

    /// A copy in the program's own memory.
    ///
    /// # Errors
    /// The device's.
    #[allow(unsafe_code)]
    pub fn to_vec<D: Driver>(self, driver: &D) -> Result<Vec<T>, GpuError> {
        let mut values = vec![T::default(); self.len];
        if self.len > 0 {
            // SAFETY: a view of as many elements.
            unsafe { driver.download(self.address, bytes_of_mut(&mut values))? };
        }
        Ok(values)
    }

    pub(super) fn argument(self) -> Argument {
        Argument::Address(self.address)
    }
}

impl<'a, T: Plain> ViewMut<'a, T> {
    /// As [`View::at`], borrowed to write.
    #[cfg(feature = "cuda")]
    pub(super) fn at(address: u64, len: usize) -> Self {
        Self { address, len, kind: PhantomData }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Device address of the first element.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The same memory, for numbers of another sort.
    ///
    /// # Panics
    /// As [`View::of`].
    pub fn of<U: Plain>(self) -> ViewMut<'a, U> {
        ViewMut { address: self.address, len: recast::<T, U>(self.address, self.len), kind: PhantomData }
    }

    /// The same, for a shorter time.
    pub fn again(&mut self) -> ViewMut<'_, T> {
        ViewMut { address: self.address, len: self.len, kind: PhantomData }
    }

    /// The same, to read.
    pub fn as_view(&self) -> View<'_, T> {
        View { address: self.address, len: self.len, kind: PhantomData }
    }

    /// Borrows the elements in `range`.
    ///
    /// # Panics
    /// If it leaves the view.
    pub fn part(self, range: Range<usize>) -> ViewMut<'a, T> {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {} elements", self.len);
        let address = self.address + (range.start * size_of::<T>()) as u64;
        ViewMut { address, len: range.len(), kind: PhantomData }
    }

    /// The first `at` elements, and the rest.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn split_at(self, at: usize) -> (ViewMut<'a, T>, ViewMut<'a, T>) {
        assert!(at <= self.len, "{at} of {} elements", self.len);
        let rest = self.address + (at * size_of::<T>()) as u64;
        (
            ViewMut { address: self.address, len: at, kind: PhantomData },
            ViewMut { address: rest, len: self.len - at, kind: PhantomData },
        )
    }

    /// Copies `values` there.
    ///
    /// # Errors
    /// The device's.
    ///
    /// # Panics
    /// If they are not as many.
    #[allow(unsafe_code)]
    pub fn write<D: Driver>(self, driver: &D, values: &[T]) -> Result<(), GpuError> {
        assert_eq!(values.len(), self.len, "as many values as places");
        if values.is_empty() {
            return Ok(());
        }
        // SAFETY: a view of as many elements.
        unsafe { driver.upload(bytes_of(values), self.address) }
    }

    /// Copies another part of device memory there.
    ///
    /// # Errors
    /// The device's.
    ///
    /// # Panics
    /// If it is not as long.
    #[allow(unsafe_code)]
    pub fn copy_from<D: Driver>(self, driver: &D, other: View<'_, T>) -> Result<(), GpuError> {
        assert_eq!(other.len, self.len, "as many values as places");
        if self.len == 0 {
            return Ok(());
        }
        // SAFETY: views of as many elements; what is borrowed to write is no part of what is borrowed to read.
        unsafe { driver.copy(other.address, self.address, self.len * size_of::<T>()) }
    }

    pub(super) fn argument(&self) -> Argument {
        Argument::Address(self.address)
    }
}

/// The address of what may be absent.
pub(super) fn optional<T: Plain>(view: Option<View<'_, T>>) -> Argument {
    view.map_or(Argument::Address(0), View::argument)
}
