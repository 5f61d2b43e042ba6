//! The columns of a matrix, each times a number: LWS's scales a class.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, WithDType};
use longtail_backbone::by_float;

use super::column_sums::column_dots;
use super::{elements, must_be};

/// `x_ik · scales_k`; differentiable.
///
/// # Shapes
/// - `x`: (n, K)  - `scales`: (K), both contiguous, f32 or f64  - returns (n, K)
/// # Errors
/// If shapes or types do not fit.
pub fn scale_columns(x: &Tensor, scales: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() { x.apply_op2(scales, ScaleColumns) } else { x.broadcast_mul(scales) }
}

struct ScaleColumns;

impl CustomOp2 for ScaleColumns {
    fn name(&self) -> &'static str {
        "longtail-scale-columns"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        of_x: &Layout,
        scales: &CpuStorage,
        of_scales: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, columns) = of_x.shape().dims2()?;
        must_be("scales", of_scales.shape().elem_count(), columns)?;
        by_float!(x, T => {
            let (mut scaled, scales) = (elements::<T>(x, of_x)?.to_vec(), elements::<T>(scales, of_scales)?);
            for values in scaled.chunks_exact_mut(columns.max(1)) {
                values.iter_mut().zip(scales).for_each(|(value, scale)| *value *= *scale);
            }
            Ok((T::to_cpu_storage_owned(scaled), of_x.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        scales: &Tensor,
        _scaled: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let upstream = upstream.contiguous()?;
        let of_x = x.track_op().then(|| upstream.apply_op2_no_bwd(scales, self)).transpose()?;
        let of_scales = scales.track_op().then(|| column_dots(&upstream, x)).transpose()?;
        Ok((of_x, of_scales))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_gradient;
    use super::*;

    #[test]
    fn the_gradient_is_that_of_differences() {
        let (x, scales) = ([0.5, -1.0, 2.0, 0.0, 3.0, 1.0], [1.1, 0.2, -0.4]);
        check_gradient(&[(&x, &[2, 3]), (&scales, &[3])], &|x| scale_columns(&x[0], &x[1]).expect("fits"));
    }
}
