//! Products of matrices in the order of sums of [`longtail_ops::gemm`], whatever the number of threads.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, WithDType};
use longtail_backbone::by_float;
use longtail_backbone::host::HostElement;
use longtail_ops::{Real, gemm};

use super::must_be;

/// `scale · a·bᵀ`: every row of `a` against every row of `b`; differentiable.
///
/// # Shapes
/// - `a`: (n, d)  - `b`: (K, d), both f32 or f64  - returns (n, K)
/// # Errors
/// If shapes or types do not fit.
pub fn row_products(a: &Tensor, b: &Tensor, scale: f64) -> Result<Tensor> {
    match a.device().is_cpu() {
        true => a.apply_op2(b, RowProducts { scale }),
        false if scale == 1.0 => a.matmul(&b.t()?),
        false => a.matmul(&b.t()?)? * scale,
    }
}

/// `scale · a·b` for matrices of any strides; not differentiable.
///
/// # Shapes
/// - `a`: (m, k)  - `b`: (k, n)  - returns (m, n)
/// # Errors
/// If shapes or types do not fit.
fn product(a: &Tensor, b: &Tensor, scale: f64) -> Result<Tensor> {
    a.apply_op2_no_bwd(b, &Product { scale })
}

struct RowProducts {
    scale: f64,
}

impl CustomOp2 for RowProducts {
    fn name(&self) -> &'static str {
        "longtail-row-products"
    }

    fn cpu_fwd(&self, a: &CpuStorage, of_a: &Layout, b: &CpuStorage, of_b: &Layout) -> Result<(CpuStorage, Shape)> {
        Product { scale: self.scale }.cpu_fwd(a, of_a, b, &of_b.transpose(0, 1)?)
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _products: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let of_a = a.track_op().then(|| product(upstream, b, self.scale)).transpose()?;
        let of_b = b.track_op().then(|| product(&upstream.t()?, a, self.scale)).transpose()?;
        Ok((of_a, of_b))
    }
}

struct Product {
    scale: f64,
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "longtail-product"
    }

    fn cpu_fwd(&self, a: &CpuStorage, of_a: &Layout, b: &CpuStorage, of_b: &Layout) -> Result<(CpuStorage, Shape)> {
        let ((m, k), (inner, n)) = (of_a.shape().dims2()?, of_b.shape().dims2()?);
        must_be("rows of the second matrix", inner, k)?;
        by_float!(a, T => {
            let mut out = vec![<T as Real>::ZERO; m * n];
            let ((a, of_a), (b, of_b)) = (strided::<T>(a, of_a)?, strided::<T>(b, of_b)?);
            gemm(m, n, k, <T as Real>::from_f64(self.scale), a, of_a, b, of_b, <T as Real>::ZERO, &mut out, (n, 1));
            Ok((T::to_cpu_storage_owned(out), (m, n).into()))
        })
    }
}

/// A matrix's elements from its first on, and the strides of its rows and columns.
fn strided<'a, T: HostElement>(storage: &'a CpuStorage, layout: &Layout) -> Result<(&'a [T], (usize, usize))> {
    let strides = (layout.stride()[0], layout.stride()[1]);
    Ok((&storage.as_slice::<T>()?[layout.start_offset()..], strides))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::tests::check_gradient;
    use super::*;

    const A: [f64; 6] = [1.0, -0.5, 0.25, 2.0, 0.75, -1.5];
    const B: [f64; 6] = [0.3, 1.1, -0.7, -0.2, 0.9, 0.4];

    #[test]
    fn two_by_two_by_hand() {
        let matrix = |values: &[f64]| Tensor::from_slice(values, (2, 2), &Device::Cpu).expect("2·2");
        let (a, b) = (matrix(&[1.0, 2.0, 3.0, 4.0]), matrix(&[5.0, 6.0, 7.0, 8.0]));
        let products = row_products(&a, &b, 2.0).expect("fits").to_vec2::<f64>().expect("f64");
        assert_eq!(products, [[34.0, 46.0], [78.0, 106.0]]);
        assert!(row_products(&a, &matrix(&[1.0; 4]).reshape((4, 1)).expect("4"), 1.0).is_err());
    }

    #[test]
    fn the_gradient_is_that_of_differences() {
        check_gradient(&[(&A, &[2, 3]), (&B, &[2, 3])], &|x| row_products(&x[0], &x[1], 1.7).expect("fits"));
    }

    #[test]
    fn an_argument_that_is_no_variable_costs_no_gradient() {
        let constant = Tensor::from_slice(&A, (2, 3), &Device::Cpu).expect("2·3");
        let weights = candle_core::Var::from_slice(&B, (2, 3), &Device::Cpu).expect("2·3");
        let store = row_products(&constant, &weights, 1.0).expect("fits").sum_all().expect("a sum").backward();
        let store = store.expect("differentiable");
        assert!(store.get(&weights).is_some() && store.get(&constant).is_none());
    }
}
