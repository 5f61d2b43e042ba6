//! The loops over tiles, compiled for each path and element type.

use super::BLOCK;
use super::correlate::{Correlate, correlate};
use super::gradient::{AddGradient, add_gradient};
use crate::conv::direct::vector::{Four, Vector};
use crate::simd::{SimdPath, simd_path};

/// The kernels of one path for one element type.
pub struct KernelSet<T: 'static> {
    correlate: unsafe fn(Correlate<'_, T>),
    add_gradient: unsafe fn(AddGradient<'_, T>),
}

impl<T> KernelSet<T> {
    /// # Safety
    /// The job must keep what the fields of [`Correlate`] promise.
    #[allow(unsafe_code)]
    pub(super) unsafe fn correlate(&self, job: Correlate<'_, T>) {
        // SAFETY: a set is handed out by `winograd_kernels` only for the path in use, which this
        // processor has; the caller vouches for the job.
        unsafe { (self.correlate)(job) }
    }

    /// # Safety
    /// The job must keep what the fields of [`AddGradient`] promise.
    #[allow(unsafe_code)]
    pub(super) unsafe fn add_gradient(&self, job: AddGradient<'_, T>) {
        // SAFETY: `winograd_kernels` returns only the set for the path in use; the caller guarantees the job.
        unsafe { (self.add_gradient)(job) }
    }
}

/// Element types that there are Winograd kernels for. An implementation detail of [`crate::Real`].
pub trait WinogradKernels: Sized {
    #[doc(hidden)]
    fn winograd_kernels() -> &'static KernelSet<Self>;
}

/// Declares one path's kernels for one element type as a static table: the most tiles of a product
/// and the rows × vectors of the gradient, sized to the registers of the path.
macro_rules! kernel_set {
    ($name:ident, $t:ty, $vector:ty, [$($feature:literal)?], tiles $tiles:literal, gradient $rows:literal x $vectors:literal) => {
        mod $name {
            use super::*;

            $(#[target_feature(enable = $feature)])?
            #[allow(unsafe_code)]
            unsafe fn run_correlate(job: Correlate<'_, $t>) {
                // SAFETY: this function is compiled for the vector's instructions; the caller
                // vouches for the processor and the job.
                unsafe { correlate::<$t, $vector, $tiles>(job) }
            }

            $(#[target_feature(enable = $feature)])?
            #[allow(unsafe_code)]
            unsafe fn run_add_gradient(job: AddGradient<'_, $t>) {
                const { assert!(BLOCK.is_multiple_of($rows)) };
                const { assert!(BLOCK.is_multiple_of($vectors * <$vector as Vector<$t>>::LANES)) };
                // SAFETY: compiled for the vector's instructions; the caller guarantees the processor and the job.
                unsafe { add_gradient::<$t, $vector, $rows, $vectors>(job) }
            }

            pub(super) static SET: KernelSet<$t> =
                KernelSet { correlate: run_correlate, add_gradient: run_add_gradient };
        }
    };
}

kernel_set!(portable_f32, f32, Four<f32>, [], tiles 2, gradient 8 x 1);
kernel_set!(portable_f64, f64, Four<f64>, [], tiles 1, gradient 4 x 1);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

    use super::*;

    kernel_set!(avx2_f32, f32, __m256, ["avx2,fma"], tiles 3, gradient 4 x 2);
    kernel_set!(avx2_f64, f64, __m256d, ["avx2,fma"], tiles 3, gradient 4 x 2);
    kernel_set!(avx512_f32, f32, __m512, ["avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"], tiles 7, gradient 16 x 1);
    kernel_set!(avx512_f64, f64, __m512d, ["avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"], tiles 7, gradient 8 x 2);

    impl WinogradKernels for f32 {
        fn winograd_kernels() -> &'static KernelSet<f32> {
            match simd_path() {
                SimdPath::Portable => &portable_f32::SET,
                SimdPath::Avx2 => &avx2_f32::SET,
                SimdPath::Avx512 => &avx512_f32::SET,
            }
        }
    }

    impl WinogradKernels for f64 {
        fn winograd_kernels() -> &'static KernelSet<f64> {
            match simd_path() {
                SimdPath::Portable => &portable_f64::SET,
                SimdPath::Avx2 => &avx2_f64::SET,
                SimdPath::Avx512 => &avx512_f64::SET,
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl WinogradKernels for f32 {
    fn winograd_kernels() -> &'static KernelSet<f32> {
        &portable_f32::SET
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl WinogradKernels for f64 {
    fn winograd_kernels() -> &'static KernelSet<f64> {
        &portable_f64::SET
    }
}
