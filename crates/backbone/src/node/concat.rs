//! Channels side by side, in the order of the inputs.

use longtail_ops::Real;
use longtail_ops::gpu::{Activation, Driver, GpuError, View, ViewMut, gpu_concat_part, gpu_concat_part_gradient};

use super::{Operation, Value, first, first_mut};

#[derive(Clone, Debug)]
pub(crate) struct Concat {
    pub(crate) inputs: Vec<Value>,
    pub(crate) output: Value,
    /// Channels of each input.
    pub(crate) channels: Vec<usize>,
    /// Pixels of an image.
    pub(crate) pixels: usize,
}

impl Concat {
    fn width(&self) -> usize {
        self.channels.iter().sum()
    }

    /// The first of an input's channels among the output's.
    fn first_of(&self, which: usize) -> usize {
        self.channels[..which].iter().sum()
    }

    /// On a device what stands side by side was pooled, so it is `f32`.
    fn side_by_side<'a, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        x: impl Fn(usize) -> View<'a, u8>,
        y: ViewMut<'_, u8>,
    ) -> Result<(), GpuError> {
        let (rows, width) = (batch * self.pixels, self.width());
        let mut y = first_mut::<f32>(y, rows * width);
        for (which, &channels) in self.channels.iter().enumerate() {
            let x = first::<f32>(x(which), rows * channels);
            gpu_concat_part(driver, x, channels, (self.first_of(which), width), y.again())?;
        }
        Ok(())
    }
}

impl Operation for Concat {
    fn inputs(&self) -> &[Value] {
        &self.inputs
    }

    fn output(&self) -> Value {
        self.output
    }

    fn forward<'a, T: Real>(&self, _batch: usize, x: impl Fn(usize) -> &'a [T], _winners: &mut [u8], y: &mut [T]) {
        for (which, &channels) in self.channels.iter().enumerate() {
            let at = self.first_of(which);
            for (x, y) in x(which).chunks_exact(channels).zip(y.chunks_exact_mut(self.width())) {
                y[at..at + channels].copy_from_slice(x);
            }
        }
    }

    fn tangent<'a, T: Real>(&self, batch: usize, x_dot: impl Fn(usize) -> &'a [T], _winners: &[u8], y_dot: &mut [T]) {
        self.forward(batch, x_dot, &mut [], y_dot);
    }

    fn backward<T: Real>(&self, _batch: usize, which: usize, dy: &[T], _winners: &[u8], dx: &mut [T], add: bool) {
        let (channels, at) = (self.channels[which], self.first_of(which));
        for (dx, dy) in dx.chunks_exact_mut(channels).zip(dy.chunks_exact(self.width())) {
            for (dx, &dy) in dx.iter_mut().zip(&dy[at..at + channels]) {
                *dx = if add { *dx + dy } else { dy };
            }
        }
    }

    fn forward_on<'a, A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        x: impl Fn(usize) -> View<'a, u8>,
        _winners: ViewMut<'_, u8>,
        y: ViewMut<'_, u8>,
    ) -> Result<(), GpuError> {
        self.side_by_side(driver, batch, x, y)
    }

    fn tangent_on<'a, A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        x_dot: impl Fn(usize) -> View<'a, u8>,
        _winners: View<'_, u8>,
        y_dot: ViewMut<'_, u8>,
    ) -> Result<(), GpuError> {
        self.side_by_side(driver, batch, x_dot, y_dot)
    }

    fn backward_on<A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        which: usize,
        dy: View<'_, u8>,
        _winners: View<'_, u8>,
        dx: ViewMut<'_, u8>,
        add: bool,
    ) -> Result<(), GpuError> {
        let (rows, channels, width) = (batch * self.pixels, self.channels[which], self.width());
        let (dy, dx) = (first::<f32>(dy, rows * width), first_mut::<f32>(dx, rows * channels));
        gpu_concat_part_gradient(driver, dy, channels, (self.first_of(which), width), dx, add)
    }
}
