//! The meta-network on the device, forward and back (its form and formulas: [`MetaNetwork`]).

use longtail_ops::gpu::{
    AngleBound, Driver, GemmSize, Matrix, MatrixMut, View, ViewMut, gpu_axpy, gpu_bias, gpu_bound_angle,
    gpu_bound_angle_gradient, gpu_column_sums, gpu_relu_gradient, gpu_unit_rows, gpu_unit_rows_tangent,
};

use super::buffer::Buffer;
use longtail_training::prototype::MetaNetwork;

use crate::RepresentationError;

/// What a forward pass leaves for the way back.
#[derive(Debug)]
pub(super) struct DeviceMetaNetwork<D: Driver> {
    shape: MetaNetwork,
    bound: Option<AngleBound>,
    hidden: [Buffer<f32, D>; 2],
    moved: Buffer<f32, D>,
    bounded: Buffer<f32, D>,
    /// ĉ'.
    pub(super) unit: Buffer<f32, D>,
    norms: Buffer<f32, D>,
    /// Gradient of an activation.
    back: [Buffer<f32, D>; 2],
}

impl<D: Driver> DeviceMetaNetwork<D> {
    pub(super) fn new(shape: &MetaNetwork) -> Self {
        let angle = shape.max_angle_deg();
        Self {
            bound: (angle < 180.0).then(|| AngleBound::degrees(angle)),
            shape: shape.clone(),
            hidden: [Buffer::default(), Buffer::default()],
            moved: Buffer::default(),
            bounded: Buffer::default(),
            unit: Buffer::default(),
            norms: Buffer::default(),
            back: [Buffer::default(), Buffer::default()],
        }
    }

    /// Where weight and bias of each layer lie in Θ, with the layer's outputs and inputs.
    fn layers(&self) -> [(std::ops::Range<usize>, std::ops::Range<usize>, usize, usize); 3] {
        let layout = self.shape.layout();
        let mut start = 0;
        std::array::from_fn(|layer| {
            let shape = &layout[2 * layer].1;
            let (outputs, inputs) = (shape[0], shape[1]);
            let weight = start..start + outputs * inputs;
            let bias = weight.end..weight.end + outputs;
            start = bias.end;
            (weight, bias, outputs, inputs)
        })
    }

    /// ĉ' of c, left in `unit`.
    ///
    /// # Shapes
    /// - `theta`: flat  - `empirical`: c, (K_seen, d)
    pub(super) fn forward(
        &mut self,
        driver: &D,
        theta: View<'_, f32>,
        empirical: View<'_, f32>,
    ) -> Result<(), RepresentationError> {
        let (dim, layers) = (self.shape.dim(), self.layers());
        let rows = empirical.len() / dim;
        if self.shape.is_residual() {
            self.moved.room(driver, empirical.len())?.copy_from(driver, empirical)?;
        } else {
            self.moved.room(driver, empirical.len())?;
        }
        for (layer, (weight, bias, outputs, inputs)) in layers.into_iter().enumerate() {
            let size = GemmSize { m: rows, n: outputs, k: inputs, batch: 1 };
            let weight = Matrix::plain(theta.part(weight), inputs).turned();
            let [first, second] = &mut self.hidden;
            let (from, mut to) = match layer {
                0 => (empirical, first.room(driver, rows * outputs)?),
                1 => (first.view(), second.room(driver, rows * outputs)?),
                _ => (second.view(), self.moved.view_mut()),
            };
            let keep = if layer == 2 && self.shape.is_residual() { 1.0 } else { 0.0 };
            let product = MatrixMut::plain(to.again(), outputs);
            driver.gemm(size, 1.0, Matrix::plain(from, inputs), weight, keep, product)?;
            gpu_bias(driver, to, theta.part(bias), layer < 2)?;
        }
        if let Some(bound) = self.bound {
            let out = self.bounded.room(driver, empirical.len())?;
            gpu_bound_angle(driver, self.moved.view(), empirical, dim, bound, out)?;
        }
        let (unit, norms) = (self.unit.room(driver, empirical.len())?, self.norms.room(driver, rows)?);
        let prototypes = if self.bound.is_some() { self.bounded.view() } else { self.moved.view() };
        gpu_unit_rows(driver, prototypes, dim, unit, norms)?;
        Ok(())
    }

    /// The gradient of Θ from that of ĉ', after a forward pass at the same Θ and c.
    ///
    /// # Shapes
    /// - `dunit`: (K_seen, d)  - `gradient`: as Θ, overwritten
    pub(super) fn backward(
        &mut self,
        driver: &D,
        theta: View<'_, f32>,
        empirical: View<'_, f32>,
        dunit: View<'_, f32>,
        mut gradient: ViewMut<'_, f32>,
    ) -> Result<(), RepresentationError> {
        let (dim, layers) = (self.shape.dim(), self.layers());
        let rows = empirical.len() / dim;
        let [here, there] = &mut self.back;
        let to = here.room(driver, empirical.len())?;
        gpu_unit_rows_tangent(driver, dunit, self.unit.view(), self.norms.view(), dim, 1.0, false, to)?;
        if let Some(bound) = self.bound {
            gpu_bound_angle_gradient(driver, here.view_mut(), self.moved.view(), empirical, dim, bound)?;
        }
        let mut back = [here, there];
        for (layer, (weight, bias, outputs, inputs)) in layers.into_iter().enumerate().rev() {
            let [here, there] = back;
            let input = match layer {
                0 => empirical,
                layer => self.hidden[layer - 1].view(),
            };
            let by_weight = GemmSize { m: outputs, n: inputs, k: rows, batch: 1 };
            let (dweight, dbias) = (gradient.again().part(weight.clone()), bias);
            let a = Matrix::plain(here.view(), outputs).turned();
            driver.gemm(by_weight, 1.0, a, Matrix::plain(input, inputs), 0.0, MatrixMut::plain(dweight, inputs))?;
            gpu_column_sums(driver, here.view(), gradient.again().part(dbias))?;
            if layer > 0 {
                let by_input = GemmSize { m: rows, n: inputs, k: outputs, batch: 1 };
                let mut to = there.room(driver, rows * inputs)?;
                let weight = Matrix::plain(theta.part(weight), inputs);
                let a = Matrix::plain(here.view(), outputs);
                driver.gemm(by_input, 1.0, a, weight, 0.0, MatrixMut::plain(to.again(), inputs))?;
                gpu_relu_gradient(driver, to, input)?;
            }
            back = [there, here];
        }
        Ok(())
    }
}

/// Adds the gradient of `coefficient·mean_k ‖ĉ'_k − ĉ_k‖²` to that of ĉ'.
pub(super) fn add_proximity<D: Driver>(
    driver: &D,
    coefficient: f64,
    (unit, empirical): (View<'_, f32>, View<'_, f32>),
    rows: usize,
    mut dunit: ViewMut<'_, f32>,
) -> Result<(), RepresentationError> {
    let factor = (2.0 * coefficient / rows as f64) as f32;
    gpu_axpy(driver, dunit.again(), factor, unit)?;
    gpu_axpy(driver, dunit, -factor, empirical)?;
    Ok(())
}
