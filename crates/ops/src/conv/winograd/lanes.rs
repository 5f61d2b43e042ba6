//! What the transforms need of a vector beyond [`Vector`].

use crate::Real;
use crate::conv::direct::vector::{Four, Vector};

/// A vector that subtracts.
///
/// # Safety
/// As for [`Vector`].
#[allow(unsafe_code)]
pub(super) trait Lanes<T: Real>: Vector<T> {
    /// `self − other`
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the trait's contract: the processor has these instructions.
        unsafe { self.fma(Self::splat(-T::ONE), other) }
    }
}

impl<T: Real> Lanes<T> for Four<T> {}

#[cfg(target_arch = "x86_64")]
macro_rules! lanes {
    ($vector:ident, $t:ty, $sub:ident) => {
        #[allow(unsafe_code)]
        impl Lanes<$t> for std::arch::x86_64::$vector {
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: the trait's contract: the processor has these instructions.
                unsafe { std::arch::x86_64::$sub(self, other) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;

    lanes!(__m256, f32, _mm256_sub_ps);
    lanes!(__m256d, f64, _mm256_sub_pd);
    lanes!(__m512, f32, _mm512_sub_ps);
    lanes!(__m512d, f64, _mm512_sub_pd);
}
