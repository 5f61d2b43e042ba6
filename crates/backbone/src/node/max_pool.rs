//! The maximum of each window.

use std::ops::Range;

use longtail_ops::gpu::{
    Activation, Driver, GpuError, View, ViewMut, gpu_max_pool, gpu_max_pool_gradient, gpu_max_pool_tangent,
};
use longtail_ops::{PoolShape, Real, max_pool, max_pool_backward, max_pool_tangent};

use super::{Operation, Value, first, first_mut};

#[derive(Clone, Debug)]
pub(crate) struct MaxPool {
    pub(crate) input: Value,
    pub(crate) output: Value,
    /// For one image.
    pub(crate) shape: PoolShape,
    /// The place of its argmax among those of all max pools, for one image.
    pub(crate) winners: Range<usize>,
}

impl MaxPool {
    fn shape(&self, batch: usize) -> PoolShape {
        PoolShape { batch, ..self.shape }
    }

    fn winners(&self, batch: usize) -> Range<usize> {
        batch * self.winners.start..batch * self.winners.end
    }
}

impl Operation for MaxPool {
    fn inputs(&self) -> &[Value] {
        std::slice::from_ref(&self.input)
    }

    fn output(&self) -> Value {
        self.output
    }

    fn overwrites(&self) -> bool {
        true
    }

    fn forward<'a, T: Real>(&self, batch: usize, x: impl Fn(usize) -> &'a [T], winners: &mut [u8], y: &mut [T]) {
        max_pool(&self.shape(batch), x(0), y, &mut winners[self.winners(batch)]);
    }

    fn tangent<'a, T: Real>(&self, batch: usize, x_dot: impl Fn(usize) -> &'a [T], winners: &[u8], y_dot: &mut [T]) {
        max_pool_tangent(&self.shape(batch), x_dot(0), &winners[self.winners(batch)], y_dot);
    }

    fn backward<T: Real>(&self, batch: usize, _which: usize, dy: &[T], winners: &[u8], dx: &mut [T], _add: bool) {
        max_pool_backward(&self.shape(batch), dy, &winners[self.winners(batch)], dx);
    }

    fn forward_on<'a, A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        x: impl Fn(usize) -> View<'a, u8>,
        winners: ViewMut<'_, u8>,
        y: ViewMut<'_, u8>,
    ) -> Result<(), GpuError> {
        let (s, winners) = (self.shape(batch), winners.part(self.winners(batch)));
        gpu_max_pool::<D, A>(driver, &s, first(x(0), s.input_len()), first_mut(y, s.output_len()), winners)
    }

    fn tangent_on<'a, A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        x_dot: impl Fn(usize) -> View<'a, u8>,
        winners: View<'_, u8>,
        y_dot: ViewMut<'_, u8>,
    ) -> Result<(), GpuError> {
        let (s, winners) = (self.shape(batch), winners.part(self.winners(batch)));
        gpu_max_pool_tangent::<D, A>(
            driver,
            &s,
            first(x_dot(0), s.input_len()),
            winners,
            first_mut(y_dot, s.output_len()),
        )
    }

    fn backward_on<A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        _which: usize,
        dy: View<'_, u8>,
        winners: View<'_, u8>,
        dx: ViewMut<'_, u8>,
        _add: bool,
    ) -> Result<(), GpuError> {
        let (s, winners) = (self.shape(batch), winners.part(self.winners(batch)));
        gpu_max_pool_gradient::<D, A>(driver, &s, first(dy, s.output_len()), winners, first_mut(dx, s.input_len()))
    }
}
