//! Sums over the rows of a matrix: what the gradients of a bias and of scales a column are.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType};
use longtail_backbone::by_float;
use longtail_backbone::host::HostElement;

use super::{elements, must_be};

/// `Σ_i a_ik`, the rows in their order; not differentiable.
///
/// # Shapes
/// - `a`: (n, K), contiguous, f32 or f64  - returns (K)
/// # Errors
/// If `a` is no such matrix.
pub(super) fn column_sums(a: &Tensor) -> Result<Tensor> {
    a.apply_op1_no_bwd(&Sums)
}

/// `Σ_i a_ik·b_ik`, the rows in their order; not differentiable.
///
/// # Shapes
/// - `a`, `b`: (n, K), contiguous, f32 or f64  - returns (K)
/// # Errors
/// If shapes or types do not fit.
pub(super) fn column_dots(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.apply_op2_no_bwd(b, &Dots)
}

struct Sums;

impl CustomOp1 for Sums {
    fn name(&self) -> &'static str {
        "longtail-column-sums"
    }

    fn cpu_fwd(&self, a: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, columns) = layout.shape().dims2()?;
        by_float!(a, T => {
            let mut sums = zeros::<T>(columns);
            for row in elements::<T>(a, layout)?.chunks_exact(columns.max(1)) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += *value);
            }
            Ok((T::to_cpu_storage_owned(sums), columns.into()))
        })
    }
}

struct Dots;

impl CustomOp2 for Dots {
    fn name(&self) -> &'static str {
        "longtail-column-dots"
    }

    fn cpu_fwd(&self, a: &CpuStorage, of_a: &Layout, b: &CpuStorage, of_b: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, columns) = of_a.shape().dims2()?;
        must_be("elements of the second matrix", of_b.shape().elem_count(), rows * columns)?;
        by_float!(a, T => {
            let mut sums = zeros::<T>(columns);
            let (a, b) = (elements::<T>(a, of_a)?, elements::<T>(b, of_b)?);
            for (a, b) in a.chunks_exact(columns.max(1)).zip(b.chunks_exact(columns.max(1))) {
                sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += *a * *b);
            }
            Ok((T::to_cpu_storage_owned(sums), columns.into()))
        })
    }
}

fn zeros<T: HostElement>(len: usize) -> Vec<T> {
    vec![<T as longtail_ops::Real>::ZERO; len]
}
