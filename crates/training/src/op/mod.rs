//! Small hot operations as nodes of candle's graph: one file each, with its gradient. What methods are written in stands above
//! them and knows no device. Below it are our loops on the CPU, and candle's own operations on a GPU.

mod add_row;
mod column_sums;
mod product;
mod scale_columns;
mod unit_rows;

pub use add_row::add_row;
pub use product::row_products;
pub use scale_columns::scale_columns;
pub use unit_rows::unit_rows;

use candle_core::{Error, Result};
use longtail_backbone::host::elements;

/// An error unless both are equal.
fn must_be(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Msg(format!("{what}: {found}, expected {expected}")).bt())
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor, Var};

    /// The gradient of `Σ weights·f(arguments)` with respect to each argument, by central differences and by candle.
    pub(super) fn check_gradient(arguments: &[(&[f64], &[usize])], f: &dyn Fn(&[Tensor]) -> Tensor) {
        let scalar = |tensor: &Tensor| -> Tensor {
            let count = tensor.elem_count();
            let weights: Vec<f64> = (0..count).map(|index| ((index * 5 + 2) % 7) as f64 / 3.0 - 1.0).collect();
            let weights = Tensor::from_vec(weights, tensor.shape(), &Device::Cpu).expect("as many");
            (tensor * weights).expect("same shape").sum_all().expect("a sum")
        };
        let variables: Vec<Var> = arguments
            .iter()
            .map(|(values, shape)| Var::from_slice(values, *shape, &Device::Cpu).expect("as many"))
            .collect();
        let tensors: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
        let store = scalar(&f(&tensors)).backward().expect("differentiable");
        for (which, (values, shape)) in arguments.iter().enumerate() {
            let gradient = store.get(&variables[which]).expect("a gradient").flatten_all().expect("a view");
            let gradient = gradient.to_vec1::<f64>().expect("f64");
            for (index, exact) in gradient.iter().enumerate() {
                let at = |shift: f64| {
                    let mut moved = values.to_vec();
                    moved[index] += shift;
                    let mut tensors = tensors.clone();
                    tensors[which] = Tensor::from_vec(moved, *shape, &Device::Cpu).expect("as many");
                    scalar(&f(&tensors)).to_scalar::<f64>().expect("a scalar")
                };
                let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                let close = (exact - difference).abs() < 1e-8 * difference.abs().max(1.0);
                assert!(close, "argument {which} [{index}]: {exact} is not {difference}");
            }
        }
    }
}
