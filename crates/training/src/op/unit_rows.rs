//! Rows over their norm: what a cosine head sees of features and of its own rows.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType};
use longtail_backbone::by_float;
use longtail_backbone::host::HostElement;
use longtail_ops::Real;

use super::{elements, must_be};

/// Smallest norm that a row is divided by.
const MIN_NORM: f64 = 1e-12;

/// `x_i / ‖x_i‖`, the norm at least 1e-12; differentiable.
///
/// # Shapes
/// - `x`: (n, d), contiguous, f32 or f64  - returns (n, d)
/// # Errors
/// If `x` is no such matrix.
pub fn unit_rows(x: &Tensor) -> Result<Tensor> {
    match x.device().is_cpu() {
        true => x.apply_op1(UnitRows),
        false => of_tensors(x),
    }
}

/// The same in candle's operations. The square is kept from zero, and not its root: the root's gradient at zero is not finite.
fn of_tensors(x: &Tensor) -> Result<Tensor> {
    x.broadcast_div(&x.sqr()?.sum_keepdim(1)?.maximum(MIN_NORM * MIN_NORM)?.sqrt()?)
}

struct UnitRows;

impl CustomOp1 for UnitRows {
    fn name(&self) -> &'static str {
        "longtail-unit-rows"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, dim) = layout.shape().dims2()?;
        by_float!(x, T => {
            let mut unit = elements::<T>(x, layout)?.to_vec();
            for row in unit.chunks_exact_mut(dim.max(1)) {
                let norm = norm(row);
                row.iter_mut().for_each(|value| *value /= norm);
            }
            Ok((T::to_cpu_storage_owned(unit), layout.shape().clone()))
        })
    }

    fn bwd(&self, x: &Tensor, _unit: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        x.track_op().then(|| x.apply_op2_no_bwd(&upstream.contiguous()?, &UnitRowsGradient)).transpose()
    }
}

/// `(g_i − ⟨g_i, û_i⟩·û_i) / ‖x_i‖`.
struct UnitRowsGradient;

impl CustomOp2 for UnitRowsGradient {
    fn name(&self) -> &'static str {
        "longtail-unit-rows-gradient"
    }

    fn cpu_fwd(&self, x: &CpuStorage, of_x: &Layout, g: &CpuStorage, of_g: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, dim) = of_x.shape().dims2()?;
        must_be("elements of the gradient", of_g.shape().elem_count(), rows * dim)?;
        by_float!(x, T => {
            let (x, mut gradient) = (elements::<T>(x, of_x)?, elements::<T>(g, of_g)?.to_vec());
            for (row, x) in gradient.chunks_exact_mut(dim.max(1)).zip(x.chunks_exact(dim.max(1))) {
                let norm = norm(x);
                let along: T = row.iter().zip(x).map(|(g, x)| *g * (*x / norm)).sum();
                row.iter_mut().zip(x).for_each(|(g, x)| *g = (*g - along * (*x / norm)) / norm);
            }
            Ok((T::to_cpu_storage_owned(gradient), of_x.shape().clone()))
        })
    }
}

fn norm<T: HostElement>(row: &[T]) -> T {
    let square: T = row.iter().map(|value| *value * *value).sum();
    let (norm, least) = (Real::sqrt(square), <T as Real>::from_f64(MIN_NORM));
    if norm > least { norm } else { least }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::tests::check_gradient;
    use super::*;

    #[test]
    fn three_four_five_and_a_row_of_zeros() {
        let rows = Tensor::from_slice(&[3.0, 4.0, 0.0, 0.0], (2, 2), &Device::Cpu).expect("2·2");
        let unit = unit_rows(&rows).expect("a matrix").to_vec2::<f64>().expect("f64");
        assert_eq!(unit, [[0.6, 0.8], [0.0, 0.0]]);
    }

    #[test]
    fn both_ways_agree_and_a_row_of_zeros_has_a_finite_gradient() {
        let rows =
            candle_core::Var::from_slice(&[3.0f64, 4.0, 0.0, 0.0, -1.0, 0.5], (3, 2), &Device::Cpu).expect("3·2");
        let weights = Tensor::from_slice(&[1.0f64, -2.0, 0.5, 0.25, 3.0, 1.0], (3, 2), &Device::Cpu).expect("3·2");
        let gradient = |unit: Tensor| -> Vec<f64> {
            let store = (unit * &weights).expect("one shape").sum_all().expect("a sum").backward().expect("once");
            store.get(&rows).expect("a gradient").flatten_all().expect("a view").to_vec1().expect("f64")
        };
        let by_kernel = gradient(unit_rows(&rows).expect("a matrix"));
        let by_tensors = gradient(of_tensors(&rows).expect("a matrix"));
        for (index, (kernel, tensors)) in by_kernel.iter().zip(&by_tensors).enumerate() {
            assert!((kernel - tensors).abs() <= 1e-12 * kernel.abs().max(1.0), "[{index}]: {kernel} is not {tensors}");
        }
        assert_eq!(by_kernel[2..4], [0.5 / MIN_NORM, 0.25 / MIN_NORM]);
    }

    #[test]
    fn the_gradient_is_that_of_differences() {
        check_gradient(&[(&[0.5, -1.0, 2.0, 0.1, 3.0, 1.0], &[2, 3])], &|x| unit_rows(&x[0]).expect("fits"));
    }
}
