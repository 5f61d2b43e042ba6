//! The kernels on a GPU: memory, launches, and one safe function for each kernel, over any [`Driver`].
//!
//! The sources are in `kernels/`. Activations are channels-last as on the CPU, and `f32` or bfloat16 ([`Activation`]); a convolution's weight is `(O, k, k, I/groups)` on
//! the device, which is what cuDNN wants of channels-last data. Everything runs in order on one stream but the copies of [`Uploads`],
//! and nothing waits for it but [`Driver::download`] and [`Downloads::take`].

mod conv;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "emulate")]
mod emulated;
mod error;
mod flat;
mod gemm;
mod generate;
mod images;
#[cfg(any(feature = "cuda", feature = "emulate"))]
mod kernels;
mod loss;
mod memory;
mod norm;
mod philox;
mod pool;
mod prototypes;
mod rows;
mod transfers;

pub use conv::{ConvPass, GpuConv};
#[cfg(feature = "cuda")]
pub use cuda::{Cuda, CudaSettings};
#[cfg(feature = "emulate")]
pub use emulated::Emulated;
pub use error::GpuError;
pub use flat::{
    AdamNumbers, SgdNumbers, VirtualKind, gpu_adam, gpu_axpy, gpu_narrow, gpu_sgd, gpu_virtual_step, gpu_widen,
};
pub use gemm::{GemmSize, Matrix, MatrixMut};
pub use generate::{RowMeans, gpu_add_rows, gpu_row_means};
pub use images::{Placement, StoredImages};
pub use loss::{GpuCrossEntropy, gpu_cross_entropy, gpu_unit_rows, gpu_unit_rows_tangent};
pub use memory::{Activation, Element, GpuVec, Plain, View, ViewMut};
pub use norm::{
    GpuNorm, NormNumbers, gpu_norm_apply, gpu_norm_gradient_sums, gpu_norm_products, gpu_norm_running,
    gpu_norm_statistics, gpu_norm_tangent_sums, gpu_norm_through,
};
pub use philox::{NormalStreams, gpu_philox_normals};
pub use pool::{
    gpu_add, gpu_concat_part, gpu_concat_part_gradient, gpu_max_pool, gpu_max_pool_gradient, gpu_max_pool_tangent,
    gpu_mean_pool, gpu_mean_pool_gradient, gpu_shortcut, gpu_shortcut_gradient,
};
pub use prototypes::gpu_prototype_update;
pub use rows::{Places, gpu_sum};
pub use transfers::{Downloads, Uploads};

use crate::ConvShape;

/// One argument of a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument {
    /// An address in device memory; 0 is no address.
    Address(u64),
    /// A C `int`.
    Int(i32),
    /// A C `long long`.
    Long(i64),
    /// A C `float`.
    Float(f32),
}

/// What runs kernels: CUDA, or the CPU in its place where only their arithmetic is tested.
///
/// All work of one driver happens in the order in which it was asked for, but for [`Driver::upload_beside`], which may be early.
#[allow(unsafe_code)]
pub trait Driver {
    /// A piece of device memory, freed when it goes.
    type Memory: std::fmt::Debug;

    /// See [`Driver::staging`].
    type Staging: std::fmt::Debug;

    /// Most blocks of the kernels whose threads go over all elements: enough to fill a device several times over; threads then
    /// take several elements.
    const MOST_BLOCKS: u64 = 4096;

    /// Memory of `bytes` bytes, zeros.
    ///
    /// # Errors
    /// If there is not so much.
    fn allocate(&self, bytes: usize) -> Result<Self::Memory, GpuError>;

    /// Where the memory begins.
    fn address(&self, memory: &Self::Memory) -> u64;

    /// Copies to the device.
    ///
    /// # Safety
    /// `to` is memory of this driver for as many bytes.
    /// # Errors
    /// The device's.
    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<(), GpuError>;

    /// Waits for everything before, and copies from the device.
    ///
    /// # Safety
    /// As [`Driver::upload`].
    /// # Errors
    /// The device's; those of launches before may come here.
    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<(), GpuError>;

    /// What it takes to copy up to `bytes` bytes at a time beside the device's work: memory of the program that the device reads
    /// and writes by itself, where that is a thing apart.
    ///
    /// # Errors
    /// If there is not so much.
    fn staging(&self, bytes: usize) -> Result<Self::Staging, GpuError>;

    /// Says that everything asked for so far may use the device memory that the next copy by way of `staging` overwrites.
    ///
    /// # Errors
    /// The device's.
    fn mark_used(&self, staging: &Self::Staging) -> Result<(), GpuError>;

    /// Copies to the device, beside what was asked for since [`Driver::mark_used`]. The bytes have been read when the call returns;
    /// everything that is asked for later sees them.
    ///
    /// # Safety
    /// `to` is memory of this driver for as many bytes, `staging` is for as many, and nothing that was asked for since the mark
    /// uses that memory.
    /// # Errors
    /// The device's.
    unsafe fn upload_beside(&self, staging: &mut Self::Staging, bytes: &[u8], to: u64) -> Result<(), GpuError>;

    /// Copies from the device after everything before, and does not wait for it.
    ///
    /// # Safety
    /// `from` is memory of this driver for as many bytes, and `staging` is for as many.
    /// # Errors
    /// The device's.
    unsafe fn download_beside(&self, staging: &mut Self::Staging, from: u64, bytes: usize) -> Result<(), GpuError>;

    /// Waits for what [`Driver::download_beside`] copies, and for nothing after it. What was not copied is undefined, but some number.
    ///
    /// # Errors
    /// The device's; those of launches before may come here.
    ///
    /// # Panics
    /// If the staging is smaller.
    fn downloaded(&self, staging: &mut Self::Staging, bytes: &mut [u8]) -> Result<(), GpuError>;

    /// Copies on the device.
    ///
    /// # Safety
    /// Both are memory of this driver for as many bytes, and they do not overlap.
    /// # Errors
    /// The device's.
    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), GpuError>;

    /// Starts a kernel of `kernels/`: `grid` blocks of `block` threads, along x and y.
    ///
    /// # Safety
    /// The arguments are those that the kernel declares, and what they point to is as large as the kernel takes it to be.
    /// # Errors
    /// A kernel that does not exist; the device's.
    unsafe fn launch(
        &self,
        kernel: &'static str,
        grid: (u32, u32),
        block: (u32, u32),
        arguments: &[Argument],
    ) -> Result<(), GpuError>;

    /// `c ← alpha·op(a)·op(b) + beta·c`, `batch` times; sums are in `f32`.
    ///
    /// # Errors
    /// The device's.
    fn gemm<A: Activation>(
        &self,
        size: GemmSize,
        alpha: f32,
        a: Matrix<'_, A>,
        b: Matrix<'_, A>,
        beta: f32,
        c: MatrixMut<'_, A>,
    ) -> Result<(), GpuError>;

    /// A convolution's pass by a library, if there is one that can: true if it was done.
    ///
    /// # Errors
    /// The device's.
    fn library_conv<A: Activation>(&self, s: &ConvShape, pass: ConvPass<'_, A>) -> Result<bool, GpuError> {
        let _ = (s, pass);
        Ok(false)
    }
}

/// One driver for several owners.
#[allow(unsafe_code)]
impl<D: Driver> Driver for std::rc::Rc<D> {
    type Memory = D::Memory;
    type Staging = D::Staging;

    const MOST_BLOCKS: u64 = D::MOST_BLOCKS;

    fn allocate(&self, bytes: usize) -> Result<Self::Memory, GpuError> {
        D::allocate(self, bytes)
    }

    fn address(&self, memory: &Self::Memory) -> u64 {
        D::address(self, memory)
    }

    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<(), GpuError> {
        // SAFETY: the caller guarantees that `bytes.len()` bytes at `to` are writable.
        unsafe { D::upload(self, bytes, to) }
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<(), GpuError> {
        // SAFETY: the caller guarantees that `bytes.len()` bytes at `from` are readable.
        unsafe { D::download(self, from, bytes) }
    }

    fn staging(&self, bytes: usize) -> Result<Self::Staging, GpuError> {
        D::staging(self, bytes)
    }

    fn mark_used(&self, staging: &Self::Staging) -> Result<(), GpuError> {
        D::mark_used(self, staging)
    }

    unsafe fn upload_beside(&self, staging: &mut Self::Staging, bytes: &[u8], to: u64) -> Result<(), GpuError> {
        // SAFETY: the caller guarantees that `bytes.len()` bytes at `to` are writable.
        unsafe { D::upload_beside(self, staging, bytes, to) }
    }

    unsafe fn download_beside(&self, staging: &mut Self::Staging, from: u64, bytes: usize) -> Result<(), GpuError> {
        // SAFETY: the caller guarantees that `bytes` bytes at `from` are readable.
        unsafe { D::download_beside(self, staging, from, bytes) }
    }

    fn downloaded(&self, staging: &mut Self::Staging, bytes: &mut [u8]) -> Result<(), GpuError> {
        D::downloaded(self, staging, bytes)
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), GpuError> {
        // SAFETY: the caller guarantees `bytes` readable bytes at `from` and writable bytes at `to`, which do not overlap.
        unsafe { D::copy(self, from, to, bytes) }
    }

    unsafe fn launch(
        &self,
        kernel: &'static str,
        grid: (u32, u32),
        block: (u32, u32),
        arguments: &[Argument],
    ) -> Result<(), GpuError> {
        // SAFETY: the caller guarantees that the arguments match the kernel and that its buffers are long enough.
        unsafe { D::launch(self, kernel, grid, block, arguments) }
    }

    fn gemm<A: Activation>(
        &self,
        size: GemmSize,
        alpha: f32,
        a: Matrix<'_, A>,
        b: Matrix<'_, A>,
        beta: f32,
        c: MatrixMut<'_, A>,
    ) -> Result<(), GpuError> {
        D::gemm(self, size, alpha, a, b, beta, c)
    }

    fn library_conv<A: Activation>(&self, s: &ConvShape, pass: ConvPass<'_, A>) -> Result<bool, GpuError> {
        D::library_conv(self, s, pass)
    }
}

/// Threads of a block of the kernels that go over all elements.
const THREADS: u32 = 256;

/// Starts a kernel whose threads go over `len` elements.
///
/// # Safety
/// As [`Driver::launch`].
#[allow(unsafe_code)]
unsafe fn launch_each<D: Driver>(
    driver: &D,
    kernel: &'static str,
    len: usize,
    arguments: &[Argument],
) -> Result<(), GpuError> {
    if len == 0 {
        return Ok(());
    }
    let blocks = (len as u64).div_ceil(u64::from(THREADS)).min(D::MOST_BLOCKS) as u32;
    // SAFETY: the caller guarantees that the arguments match the kernel and that its buffers are long enough.
    unsafe { driver.launch(kernel, (blocks, 1), (THREADS, 1), arguments) }
}

/// Starts a kernel that goes over `len` activations (or packs of them) whose threads stay on one of `channels` each.
///
/// # Safety
/// As [`Driver::launch`].
#[allow(unsafe_code)]
unsafe fn launch_on_channels<D: Driver>(
    driver: &D,
    kernel: &'static str,
    (len, channels): (usize, usize),
    arguments: &[Argument],
) -> Result<(), GpuError> {
    if len == 0 {
        return Ok(());
    }
    let (mut unit, mut rest) = (channels as u64, u64::from(THREADS));
    while rest > 0 {
        (unit, rest) = (rest, unit % rest); // ends at the greatest common divisor
    }
    let unit = channels as u64 / unit;
    let blocks = (len as u64).div_ceil(u64::from(THREADS)).min(D::MOST_BLOCKS).next_multiple_of(unit) as u32;
    // SAFETY: the caller guarantees that the arguments match the kernel and that its buffers are long enough.
    unsafe { driver.launch(kernel, (blocks, 1), (THREADS, 1), arguments) }
}

/// A size as a kernel's `int`.
fn int(size: usize) -> Argument {
    Argument::Int(i32::try_from(size).expect("a size of less than 2^31"))
}

/// A size as a kernel's `long long`.
fn long(size: usize) -> Argument {
    Argument::Long(size as i64)
}

fn check_len(what: &str, name: &str, found: usize, expected: usize) {
    assert!(found == expected, "{what}: `{name}` has {found} elements, expected {expected}");
}
