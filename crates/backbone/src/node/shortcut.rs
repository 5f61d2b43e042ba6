//! Option A of the CIFAR networks: every `stride`-th pixel, channels padded with zeros.

use longtail_ops::gpu::{Activation, Driver, GpuError, View, ViewMut, gpu_shortcut, gpu_shortcut_gradient};
use longtail_ops::{Real, ShortcutShape, option_a_shortcut, option_a_shortcut_backward};

use super::{Operation, Value, first, first_mut};

#[derive(Clone, Debug)]
pub(crate) struct Shortcut {
    pub(crate) input: Value,
    pub(crate) output: Value,
    /// For one image.
    pub(crate) shape: ShortcutShape,
}

impl Shortcut {
    fn shape(&self, batch: usize) -> ShortcutShape {
        ShortcutShape { batch, ..self.shape }
    }
}

impl Operation for Shortcut {
    fn inputs(&self) -> &[Value] {
        std::slice::from_ref(&self.input)
    }

    fn output(&self) -> Value {
        self.output
    }

    fn forward<'a, T: Real>(&self, batch: usize, x: impl Fn(usize) -> &'a [T], _winners: &mut [u8], y: &mut [T]) {
        option_a_shortcut(&self.shape(batch), x(0), y);
    }

    fn tangent<'a, T: Real>(&self, batch: usize, x_dot: impl Fn(usize) -> &'a [T], _winners: &[u8], y_dot: &mut [T]) {
        option_a_shortcut(&self.shape(batch), x_dot(0), y_dot);
    }

    fn backward<T: Real>(&self, batch: usize, _which: usize, dy: &[T], _winners: &[u8], dx: &mut [T], add: bool) {
        option_a_shortcut_backward(&self.shape(batch), dy, dx, add);
    }

    fn forward_on<'a, A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        x: impl Fn(usize) -> View<'a, u8>,
        _winners: ViewMut<'_, u8>,
        y: ViewMut<'_, u8>,
    ) -> Result<(), GpuError> {
        let s = self.shape(batch);
        gpu_shortcut::<D, A>(driver, &s, first(x(0), s.input_len()), first_mut(y, s.output_len()))
    }

    fn tangent_on<'a, A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        x_dot: impl Fn(usize) -> View<'a, u8>,
        _winners: View<'_, u8>,
        y_dot: ViewMut<'_, u8>,
    ) -> Result<(), GpuError> {
        let s = self.shape(batch);
        gpu_shortcut::<D, A>(driver, &s, first(x_dot(0), s.input_len()), first_mut(y_dot, s.output_len()))
    }

    fn backward_on<A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        _which: usize,
        dy: View<'_, u8>,
        _winners: View<'_, u8>,
        dx: ViewMut<'_, u8>,
        add: bool,
    ) -> Result<(), GpuError> {
        let s = self.shape(batch);
        gpu_shortcut_gradient::<D, A>(driver, &s, first(dy, s.output_len()), first_mut(dx, s.input_len()), add)
    }
}
