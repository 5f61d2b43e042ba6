//! Vector registers behind one trait, so that a microkernel is written once.

use crate::Real;

/// A vector register's worth of `T`.
///
/// # Safety
/// Methods may be called only where the processor has the instructions of the implementing type;
/// they must be inlined into a function that is compiled for them. Pointers must be valid for
/// `LANES` elements; no alignment is asked.
#[allow(unsafe_code)]
pub(crate) trait Vector<T>: Copy {
    /// Elements of a register.
    const LANES: usize;
    unsafe fn splat(value: T) -> Self;
    unsafe fn load(from: *const T) -> Self;
    unsafe fn store(self, to: *mut T);
    unsafe fn add(self, other: Self) -> Self;
    /// `self + a·b`
    unsafe fn fma(self, a: Self, b: Self) -> Self;
}

/// Four elements that the compiler puts where it likes: the path for every processor.
#[derive(Clone, Copy)]
pub(crate) struct Four<T>([T; 4]);

#[allow(unsafe_code)]
impl<T: Real> Vector<T> for Four<T> {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: T) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: the caller vouches for four elements; an array of T is aligned like T.
        Self(unsafe { from.cast::<[T; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: the caller guarantees four writable elements; an array of T is aligned like T.
        unsafe { to.cast::<[T; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Self([a + e, b + f, c + g, d + h])
    }

    #[inline(always)]
    unsafe fn fma(self, x: Self, y: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h], [i, j, k, l]) = (self.0, x.0, y.0);
        Self([a + e * i, b + f * j, c + g * k, d + h * l])
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! intrinsics {
    ($vector:ident, $t:ty, $lanes:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $fma:ident) => {
        #[allow(unsafe_code)]
        impl Vector<$t> for std::arch::x86_64::$vector {
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(value: $t) -> Self {
                // SAFETY: the trait's contract: the processor has these instructions.
                unsafe { std::arch::x86_64::$splat(value) }
            }

            #[inline(always)]
            unsafe fn load(from: *const $t) -> Self {
                // SAFETY: the trait's contract: instructions, and LANES readable elements;
                // unaligned loads.
                unsafe { std::arch::x86_64::$load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $t) {
                // SAFETY: the trait's contract: instructions, and LANES writable elements;
                // unaligned stores.
                unsafe { std::arch::x86_64::$store(to, self) }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the trait's contract: the processor has these instructions.
                unsafe { std::arch::x86_64::$add(self, other) }
            }

            #[inline(always)]
            unsafe fn fma(self, a: Self, b: Self) -> Self {
                // SAFETY: the trait's contract: the processor has these instructions.
                unsafe { std::arch::x86_64::$fma(a, b, self) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;

    intrinsics!(__m256, f32, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_fmadd_ps);
    intrinsics!(__m256d, f64, 4, _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_add_pd, _mm256_fmadd_pd);
    intrinsics!(__m512, f32, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_fmadd_ps);
    intrinsics!(__m512d, f64, 8, _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_add_pd, _mm512_fmadd_pd);
}
