//! The microkernels compiled for each path and element type, and the table that picks one.

use super::tile::{GradTile, Tile, grad_tile, tile};
use super::vector::Four;
use crate::simd::{SimdPath, simd_path};

type TileFn<T> = unsafe fn(Tile<'_, T>);
type GradFn<T> = unsafe fn(GradTile<'_, T>);

/// The microkernels of one path for one element type.
pub struct KernelSet<T: 'static> {
    /// Elements of a vector.
    pub(super) lanes: usize,
    /// Pixel counts that there is a tile for, largest first, for one and for two vectors of output
    /// channels.
    pub(super) pixels: [&'static [usize]; 2],
    /// Row counts that there is a gradient tile for, largest first, for one and for two vectors.
    pub(super) rows: [&'static [usize]; 2],
    tile: fn(usize, usize, usize) -> TileFn<T>,
    grad: fn(usize, usize) -> GradFn<T>,
}

impl<T> KernelSet<T> {
    /// Runs a tile of `pixels` × `vectors`.
    pub(super) fn run_tile(&self, pixels: usize, vectors: usize, job: Tile<'_, T>) {
        let kernel = (self.tile)(pixels, vectors, job.pixel_step);
        // SAFETY: a set is handed out by `kernels` only for the path in use, which this processor
        // has.
        #[allow(unsafe_code)]
        unsafe {
            kernel(job)
        }
    }

    /// Runs a gradient tile of `rows` × `vectors`.
    pub(super) fn run_grad(&self, rows: usize, vectors: usize, job: GradTile<'_, T>) {
        let kernel = (self.grad)(rows, vectors);
        // SAFETY: `kernels` returns only the set for the path in use, which this processor has.
        #[allow(unsafe_code)]
        unsafe {
            kernel(job)
        }
    }
}

/// Element types that there are microkernels for. An implementation detail of [`crate::Real`].
pub trait DirectKernels: Sized {
    #[doc(hidden)]
    fn kernels() -> &'static KernelSet<Self>;
}

/// Declares one path's microkernels for one element type as a static table.
///
/// `$steps` are the pixel steps with a kernel of their own; any other takes the kernel with a
/// run-time step.
macro_rules! kernel_set {
    ($name:ident, $t:ty, $vector:ty, [$($feature:literal)?], steps [$($step:literal)*],
     one [$($p1:literal)*], two [$($p2:literal)*], grad_one [$($r1:literal)*], grad_two [$($r2:literal)*]) => {
        mod $name {
            use super::*;

            $(#[target_feature(enable = $feature)])?
            #[allow(unsafe_code)]
            unsafe fn run_tile<const P: usize, const VECTORS: usize, const STEP: usize>(job: Tile<'_, $t>) {
                // SAFETY: this function is compiled for the vector's instructions; the caller
                // vouches for the processor.
                unsafe { tile::<$t, $vector, P, VECTORS, STEP>(job) }
            }

            $(#[target_feature(enable = $feature)])?
            #[allow(unsafe_code)]
            unsafe fn run_grad<const P: usize, const VECTORS: usize>(job: GradTile<'_, $t>) {
                // SAFETY: compiled for the vector's instructions; the caller guarantees that the processor has them.
                unsafe { grad_tile::<$t, $vector, P, VECTORS>(job) }
            }

            fn with_step<const STEP: usize>(pixels: usize, vectors: usize) -> TileFn<$t> {
                match (vectors, pixels) {
                    $((1, $p1) => run_tile::<$p1, 1, STEP>,)*
                    $((2, $p2) => run_tile::<$p2, 2, STEP>,)*
                    _ => unreachable!("no tile of {pixels} pixels and {vectors} vectors"),
                }
            }

            fn pick_tile(pixels: usize, vectors: usize, step: usize) -> TileFn<$t> {
                match step {
                    $($step => with_step::<$step>(pixels, vectors),)*
                    _ => with_step::<0>(pixels, vectors),
                }
            }

            fn pick_grad(rows: usize, vectors: usize) -> GradFn<$t> {
                match (vectors, rows) {
                    $((1, $r1) => run_grad::<$r1, 1>,)*
                    $((2, $r2) => run_grad::<$r2, 2>,)*
                    _ => unreachable!("no gradient tile of {rows} rows and {vectors} vectors"),
                }
            }

            pub(super) static SET: KernelSet<$t> = KernelSet {
                lanes: <$vector as crate::conv::direct::vector::Vector<$t>>::LANES,
                pixels: [&[$($p1),*], &[$($p2),*]],
                rows: [&[$($r1),*], &[$($r2),*]],
                tile: pick_tile,
                grad: pick_grad,
            };
        }
    };
}

// Tiles are sized to the registers of each path: 32 of them with AVX-512, else 16, less the weights
// and the broadcast.
kernel_set!(portable_f32, f32, Four<f32>, [], steps [16], one [8 4 2 1], two [4 2 1], grad_one [8 4 1], grad_two [4 1]);
kernel_set!(portable_f64, f64, Four<f64>, [], steps [16], one [4 1], two [2 1], grad_one [4 1], grad_two [2 1]);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

    use super::*;

    kernel_set!(avx2_f32, f32, __m256, ["avx2,fma"], steps [16 32],
        one [12 8 7 6 4 2 1], two [6 5 4 3 2 1], grad_one [12 8 4 2 1], grad_two [6 4 2 1]);
    kernel_set!(avx2_f64, f64, __m256d, ["avx2,fma"], steps [16], one [8 4 1], two [4 1], grad_one [8 1], grad_two [4 1]);
    kernel_set!(avx512_f32, f32, __m512, ["avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"], steps [16 32],
        one [16 14 12 10 8 7 6 4 2 1], two [14 12 10 8 7 6 4 2 1], grad_one [24 16 12 8 4 2 1], grad_two [12 8 4 2 1]);
    kernel_set!(avx512_f64, f64, __m512d, ["avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"], steps [16],
        one [8 4 1], two [8 1], grad_one [8 1], grad_two [8 1]);

    impl DirectKernels for f32 {
        fn kernels() -> &'static KernelSet<f32> {
            match simd_path() {
                SimdPath::Portable => &portable_f32::SET,
                SimdPath::Avx2 => &avx2_f32::SET,
                SimdPath::Avx512 => &avx512_f32::SET,
            }
        }
    }

    impl DirectKernels for f64 {
        fn kernels() -> &'static KernelSet<f64> {
            match simd_path() {
                SimdPath::Portable => &portable_f64::SET,
                SimdPath::Avx2 => &avx2_f64::SET,
                SimdPath::Avx512 => &avx512_f64::SET,
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl DirectKernels for f32 {
    fn kernels() -> &'static KernelSet<f32> {
        &portable_f32::SET
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl DirectKernels for f64 {
    fn kernels() -> &'static KernelSet<f64> {
        &portable_f64::SET
    }
}
