//! Which vector instructions the kernels use, and how one body of code is compiled for each.

use std::sync::atomic::{AtomicU8, Ordering};

/// A set of vector instructions that the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimdPath {
    /// What the compiler's target offers (SSE2 on x86-64).
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 (F, VL, DQ, BW) with AVX2 and FMA.
    Avx512,
}

const UNSET: u8 = 0;
static CHOSEN: AtomicU8 = AtomicU8::new(UNSET);

/// The path in use: the best one that the processor has, unless a test forced another.
pub fn simd_path() -> SimdPath {
    match CHOSEN.load(Ordering::Relaxed) {
        1 => SimdPath::Portable,
        2 => SimdPath::Avx2,
        3 => SimdPath::Avx512,
        _ => {
            let best = available_simd_paths().pop().expect("the portable path is always there");
            store(best);
            best
        }
    }
}

/// The paths that this processor can run, slowest first.
pub fn available_simd_paths() -> Vec<SimdPath> {
    #[allow(unused_mut)]
    let mut paths = vec![SimdPath::Portable];
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw");
        if avx2 {
            paths.push(SimdPath::Avx2);
        }
        if avx2 && avx512 {
            paths.push(SimdPath::Avx512);
        }
    }
    paths
}

/// Forces a path for the whole process, for tests and benches; `None` goes back to the best one.
///
/// # Panics
/// When the processor cannot run it.
#[doc(hidden)]
pub fn set_simd_path(path: Option<SimdPath>) {
    match path {
        Some(path) => {
            assert!(available_simd_paths().contains(&path), "this processor cannot run {path:?}");
            store(path);
        }
        None => CHOSEN.store(UNSET, Ordering::Relaxed),
    }
}

fn store(path: SimdPath) {
    let code = match path {
        SimdPath::Portable => 1,
        SimdPath::Avx2 => 2,
        SimdPath::Avx512 => 3,
    };
    CHOSEN.store(code, Ordering::Relaxed);
}

/// A kernel's body, to be compiled once for each path. `run` must be `#[inline(always)]`: only so
/// does it take on the instructions of the function that it lands in.
pub(crate) trait Kernel {
    /// What the kernel returns.
    type Output;
    /// The body. `FUSED`: the path has fused multiply-add, so `mul_add` is one instruction and not
    /// a library call.
    fn run<const FUSED: bool>(self) -> Self::Output;
}

/// Runs the kernel as compiled for the path in use.
#[inline]
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    match simd_path() {
        SimdPath::Portable => kernel.run::<false>(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `simd_path` returns only what `available_simd_paths` found on this processor.
        #[allow(unsafe_code)]
        SimdPath::Avx2 => unsafe { run_avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        #[allow(unsafe_code)]
        SimdPath::Avx512 => unsafe { run_avx512(kernel) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => kernel.run::<false>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<true>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<true>()
}

/// `a·b + c`, fused where that is one instruction.
#[inline(always)]
pub(crate) fn multiply_add<T: crate::Real, const FUSED: bool>(a: T, b: T, c: T) -> T {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sum<'a>(&'a [f32]);
    impl Kernel for Sum<'_> {
        type Output = f32;
        #[inline(always)]
        fn run<const FUSED: bool>(self) -> f32 {
            self.0.iter().fold(0.0, |sum, &v| multiply_add::<f32, FUSED>(v, 2.0, sum))
        }
    }

    #[test]
    fn the_portable_path_comes_first_and_dispatch_runs() {
        assert_eq!(available_simd_paths()[0], SimdPath::Portable);
        assert_eq!(dispatch(Sum(&[1.0, 2.0, 3.0])), 12.0);
    }
}
