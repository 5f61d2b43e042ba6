//! A row added to every row of a matrix: a head's bias.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, WithDType};
use longtail_backbone::by_float;

use super::column_sums::column_sums;
use super::{elements, must_be};

/// `x_ik + row_k`; differentiable.
///
/// # Shapes
/// - `x`: (n, K)  - `row`: (K), both contiguous, f32 or f64  - returns (n, K)
/// # Errors
/// If shapes or types do not fit.
pub fn add_row(x: &Tensor, row: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() { x.apply_op2(row, AddRow) } else { x.broadcast_add(row) }
}

struct AddRow;

impl CustomOp2 for AddRow {
    fn name(&self) -> &'static str {
        "longtail-add-row"
    }

    fn cpu_fwd(&self, x: &CpuStorage, of_x: &Layout, row: &CpuStorage, of_row: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, columns) = of_x.shape().dims2()?;
        must_be("elements of the row", of_row.shape().elem_count(), columns)?;
        by_float!(x, T => {
            let (mut sum, row) = (elements::<T>(x, of_x)?.to_vec(), elements::<T>(row, of_row)?);
            for values in sum.chunks_exact_mut(columns.max(1)) {
                values.iter_mut().zip(row).for_each(|(value, added)| *value += *added);
            }
            Ok((T::to_cpu_storage_owned(sum), of_x.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        row: &Tensor,
        _sum: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let of_row = row.track_op().then(|| column_sums(&upstream.contiguous()?)).transpose()?;
        Ok((x.track_op().then(|| upstream.clone()), of_row))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_gradient;
    use super::*;

    #[test]
    fn the_gradient_is_that_of_differences() {
        let (x, row) = ([0.5, -1.0, 2.0, 0.0, 3.0, 1.0], [0.1, 0.2, -0.4]);
        check_gradient(&[(&x, &[2, 3]), (&row, &[3])], &|x| add_row(&x[0], &x[1]).expect("fits"));
    }

    #[test]
    fn another_length_is_refused() {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &candle_core::Device::Cpu);
        let error = add_row(&zeros(&[2, 3]).expect("memory"), &zeros(&[2]).expect("memory")).expect_err("2 is not 3");
        assert!(error.to_string().contains("elements of the row: 2, expected 3"), "{error}");
    }
}
