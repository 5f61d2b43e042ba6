//! The mean over all pixels: one pixel remains. On a device it is `f32` from here on.

use longtail_ops::gpu::{Activation, Driver, GpuError, View, ViewMut, gpu_mean_pool, gpu_mean_pool_gradient};
use longtail_ops::{Real, global_avg_pool, global_avg_pool_backward};

use super::{Operation, Value, first, first_mut};
use longtail_images::ImageShape;

#[derive(Clone, Debug)]
pub(crate) struct GlobalPool {
    pub(crate) input: Value,
    pub(crate) output: Value,
    /// The input, for one image.
    pub(crate) from: ImageShape,
}

impl GlobalPool {
    /// Images, pixels of each, channels.
    fn sizes(&self, batch: usize) -> (usize, usize, usize) {
        (batch, self.from.height * self.from.width, self.from.channels)
    }

    /// Numbers of input and output.
    fn lengths(&self, batch: usize) -> (usize, usize) {
        (batch * self.from.len(), batch * self.from.channels)
    }
}

impl Operation for GlobalPool {
    fn inputs(&self) -> &[Value] {
        std::slice::from_ref(&self.input)
    }

    fn output(&self) -> Value {
        self.output
    }

    fn overwrites(&self) -> bool {
        true
    }

    fn forward<'a, T: Real>(&self, batch: usize, x: impl Fn(usize) -> &'a [T], _winners: &mut [u8], y: &mut [T]) {
        let (batch, pixels, channels) = self.sizes(batch);
        global_avg_pool(batch, pixels, channels, x(0), y);
    }

    fn tangent<'a, T: Real>(&self, batch: usize, x_dot: impl Fn(usize) -> &'a [T], _winners: &[u8], y_dot: &mut [T]) {
        let (batch, pixels, channels) = self.sizes(batch);
        global_avg_pool(batch, pixels, channels, x_dot(0), y_dot);
    }

    fn backward<T: Real>(&self, batch: usize, _which: usize, dy: &[T], _winners: &[u8], dx: &mut [T], _add: bool) {
        let (batch, pixels, channels) = self.sizes(batch);
        global_avg_pool_backward(batch, pixels, channels, dy, dx);
    }

    fn forward_on<'a, A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        x: impl Fn(usize) -> View<'a, u8>,
        _winners: ViewMut<'_, u8>,
        y: ViewMut<'_, u8>,
    ) -> Result<(), GpuError> {
        let (input, output) = self.lengths(batch);
        gpu_mean_pool::<D, A>(driver, self.sizes(batch), first(x(0), input), first_mut(y, output))
    }

    fn tangent_on<'a, A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        x_dot: impl Fn(usize) -> View<'a, u8>,
        _winners: View<'_, u8>,
        y_dot: ViewMut<'_, u8>,
    ) -> Result<(), GpuError> {
        let (input, output) = self.lengths(batch);
        gpu_mean_pool::<D, A>(driver, self.sizes(batch), first(x_dot(0), input), first_mut(y_dot, output))
    }

    fn backward_on<A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        _which: usize,
        dy: View<'_, u8>,
        _winners: View<'_, u8>,
        dx: ViewMut<'_, u8>,
        _add: bool,
    ) -> Result<(), GpuError> {
        let (input, output) = self.lengths(batch);
        gpu_mean_pool_gradient::<D, A>(driver, self.sizes(batch), first(dy, output), first_mut(dx, input))
    }
}
