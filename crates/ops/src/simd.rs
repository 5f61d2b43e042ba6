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

impl SimdPath {
    /// The word for it in [`SIMD_VARIABLE`].
    pub fn name(self) -> &'static str {
        match self {
            SimdPath::Portable => "portable",
            SimdPath::Avx2 => "avx2",
            SimdPath::Avx512 => "avx512",
        }
    }
}

/// The environment variable that forces a path, so that one machine can see what another computes.
pub const SIMD_VARIABLE: &str = "LONGTAIL_SIMD";

/// [`SIMD_VARIABLE`] names what this processor cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{SIMD_VARIABLE} is `{found}`, but this processor supports only {available}; unset it to use the best one")]
pub struct SimdError {
    found: String,
    available: String,
}

const UNSET: u8 = 0;
static CHOSEN: AtomicU8 = AtomicU8::new(UNSET);

/// The path in use: the best one that the processor has, unless [`SIMD_VARIABLE`] or a test forces another.
///
/// # Panics
/// When the variable names what this processor cannot run. Programs call [`check_simd`] first.
pub fn simd_path() -> SimdPath {
    match CHOSEN.load(Ordering::Relaxed) {
        1 => SimdPath::Portable,
        2 => SimdPath::Avx2,
        3 => SimdPath::Avx512,
        _ => {
            let path = check_simd().unwrap_or_else(|error| panic!("{error}"));
            store(path);
            path
        }
    }
}

/// What [`simd_path`] will be. For the start of a program: a wrong word in the environment is refused before any work.
///
/// # Errors
/// [`SIMD_VARIABLE`] is set to no path's name, or to one that this processor cannot run.
pub fn check_simd() -> Result<SimdPath, SimdError> {
    match std::env::var_os(SIMD_VARIABLE) {
        Some(word) => chosen(&word.to_string_lossy(), &available_simd_paths()),
        None => Ok(available_simd_paths().pop().expect("the portable path is always there")),
    }
}

/// The path of that name among those that there are.
fn chosen(word: &str, available: &[SimdPath]) -> Result<SimdPath, SimdError> {
    let names = || available.iter().map(|path| path.name()).collect::<Vec<_>>().join(", ");
    let found = available.iter().copied().find(|path| path.name() == word);
    found.ok_or_else(|| SimdError { found: word.to_owned(), available: names() })
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
pub trait Kernel {
    /// What the kernel returns.
    type Output;
    /// The body. `FUSED`: the path has fused multiply-add, so `mul_add` is one instruction and not
    /// a library call.
    fn run<const FUSED: bool>(self) -> Self::Output;
}

/// Runs the kernel as compiled for the path in use.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    match simd_path() {
        SimdPath::Portable => kernel.run::<false>(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `simd_path` returns only what `available_simd_paths` found on this processor.
        #[allow(unsafe_code)]
        SimdPath::Avx2 => unsafe { run_avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `simd_path` returns only what `available_simd_paths` found on this processor.
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
    fn a_path_is_chosen_by_name_among_those_that_the_processor_has() {
        let old = [SimdPath::Portable, SimdPath::Avx2];
        assert_eq!(chosen("avx2", &old), Ok(SimdPath::Avx2));
        for word in ["avx512", "AVX2", "sse9", ""] {
            let error = chosen(word, &old).expect_err("not among them").to_string();
            assert!(error.contains(&format!("`{word}`")) && error.contains("only portable, avx2;"), "{error}");
        }
    }

    #[test]
    fn the_portable_path_comes_first_and_dispatch_runs() {
        assert_eq!(available_simd_paths()[0], SimdPath::Portable);
        assert_eq!(dispatch(Sum(&[1.0, 2.0, 3.0])), 12.0);
    }
}
