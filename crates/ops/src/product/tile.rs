//! The microkernel: a few rows × one panel of 64 columns, sums held in registers.

use super::{PANEL, Target};
use crate::conv::vector::{Four, Vector};
use crate::simd::{SimdPath, simd_path};

/// One packed panel and the rows that it is multiplied with.
pub(super) struct Job<'a> {
    pub targets: &'a [Target],
    /// `(targets.len(), left_stride)` from its first term on.
    pub left: &'a [f32],
    pub left_stride: usize,
    /// `(terms, 64)`.
    pub packed: &'a [f32],
    pub terms: usize,
    /// The panel's first column in row 0 of the matrix.
    pub out: *mut f32,
    pub out_stride: usize,
    /// Columns of the panel that exist.
    pub columns: usize,
}

/// Adds all rows' products.
///
/// # Safety
/// `left` holds `(targets.len() − 1)·left_stride + terms` elements, `packed` holds `terms·64`, and `out` may be written at
/// `row·out_stride + 0..columns` for every target's row.
#[allow(unsafe_code)]
pub(super) unsafe fn add_tiles(job: &Job<'_>) {
    // SAFETY: the caller's promise is passed on; `simd_path` returns only what this processor can run.
    unsafe {
        match simd_path() {
            SimdPath::Portable => rows::<Four<f32>, 2, 4>(job),
            #[cfg(target_arch = "x86_64")]
            SimdPath::Avx2 => avx2(job),
            #[cfg(target_arch = "x86_64")]
            SimdPath::Avx512 => avx512(job),
            #[cfg(not(target_arch = "x86_64"))]
            _ => rows::<Four<f32>, 2, 4>(job),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
unsafe fn avx2(job: &Job<'_>) {
    // SAFETY: the caller's promise.
    unsafe { rows::<std::arch::x86_64::__m256, 2, 6>(job) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
#[allow(unsafe_code)]
unsafe fn avx512(job: &Job<'_>) {
    // SAFETY: the caller's promise.
    unsafe { rows::<std::arch::x86_64::__m512, 4, 6>(job) }
}

/// All rows, `P` at a time and the rest one by one less. A row's sums are the same in every company.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn rows<V: Vector<f32>, const N: usize, const P: usize>(job: &Job<'_>) {
    let mut first = 0;
    // SAFETY: the caller's promise; `first + rows` stays within the targets.
    unsafe {
        while job.targets.len() - first >= P {
            fetch(job, first + P..first + 2 * P);
            tile::<V, N, P>(job, first);
            first += P;
        }
        match job.targets.len() - first {
            5 => tile::<V, N, 5>(job, first),
            4 => tile::<V, N, 4>(job, first),
            3 => tile::<V, N, 3>(job, first),
            2 => tile::<V, N, 2>(job, first),
            1 => tile::<V, N, 1>(job, first),
            _ => {}
        }
    }
}

/// Asks for the places of the next rows before they are needed: rows lie anywhere, and a few terms are over sooner than memory
/// answers.
#[inline(always)]
fn fetch(job: &Job<'_>, rows: std::ops::Range<usize>) {
    #[cfg(target_arch = "x86_64")]
    for target in job.targets.iter().take(rows.end).skip(rows.start) {
        let out = job.out.wrapping_add(target.row as usize * job.out_stride);
        for line in (0..job.columns).step_by(16) {
            // SAFETY: a prefetch reads nothing and cannot fault; SSE is part of x86-64.
            #[allow(unsafe_code)]
            unsafe {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                _mm_prefetch::<_MM_HINT_T0>(out.wrapping_add(line).cast());
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (job, rows);
}

/// `P` rows × the panel, `N` vectors of columns at a time.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn tile<V: Vector<f32>, const N: usize, const P: usize>(job: &Job<'_>, first: usize) {
    let block = N * V::LANES;
    for column in (0..job.columns).step_by(block) {
        // SAFETY: the caller's promise: rows `first..first + P` exist, columns are read within the panel of 64 (a multiple of
        // `block`) and written below `columns` only.
        unsafe {
            let mut sums = [[V::splat(0.0); N]; P];
            let mut left = job.left.as_ptr().add(first * job.left_stride);
            let mut packed = job.packed.as_ptr().add(column);
            for _ in 0..job.terms {
                let mut row = [V::splat(0.0); N];
                for n in 0..N {
                    row[n] = V::load(packed.add(n * V::LANES));
                }
                for p in 0..P {
                    let value = V::splat(*left.add(p * job.left_stride));
                    for n in 0..N {
                        sums[p][n] = sums[p][n].fma(value, row[n]);
                    }
                }
                left = left.add(1);
                packed = packed.add(PANEL);
            }
            let width = block.min(job.columns - column);
            for p in 0..P {
                let Target { row, coefficient } = job.targets[first + p];
                let out = job.out.add(row as usize * job.out_stride + column);
                let coefficient = V::splat(coefficient);
                if width == block {
                    for n in 0..N {
                        let to = out.add(n * V::LANES);
                        V::load(to).fma(coefficient, sums[p][n]).store(to);
                    }
                } else {
                    let mut whole = [0f32; PANEL];
                    std::ptr::copy_nonoverlapping(out, whole.as_mut_ptr(), width);
                    for n in 0..N {
                        let to = whole.as_mut_ptr().add(n * V::LANES);
                        V::load(to).fma(coefficient, sums[p][n]).store(to);
                    }
                    std::ptr::copy_nonoverlapping(whole.as_ptr(), out, width);
                }
            }
        }
    }
}
