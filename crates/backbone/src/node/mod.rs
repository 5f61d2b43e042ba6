//! The operations of a network: one file each, with its sizes and its passes on the CPU and on a device.
//!
//! A convolution with its batch norm, residual and ReLU is woven into the passes (`engine`, `gpu`), as most of its work is done
//! while a neighbour reads or writes; [`conv_norm`] holds its sizes. All others are [`Operation`]s.

mod concat;
mod conv_norm;
mod global_pool;
mod max_pool;
mod shortcut;

use longtail_ops::Real;
use longtail_ops::gpu::{Activation, Driver, GpuError, Plain, View, ViewMut};

pub(crate) use concat::Concat;
pub(crate) use conv_norm::{ConvNorm, Shift};
pub(crate) use global_pool::GlobalPool;
pub(crate) use max_pool::MaxPool;
pub(crate) use shortcut::Shortcut;

/// An activation of the network. Number 0 is the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value(pub(crate) usize);

/// The image that goes in.
pub(crate) const IMAGE: Value = Value(0);

/// One step of the network.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Convolution, batch norm or bias, residual, ReLU.
    ConvNorm(ConvNorm),
    /// Anything without weights.
    Weightless(Weightless),
}

impl Node {
    pub(crate) fn output(&self) -> Value {
        match self {
            Self::ConvNorm(node) => node.output,
            Self::Weightless(node) => node.output(),
        }
    }

    pub(crate) fn inputs(&self) -> Vec<Value> {
        match self {
            Self::ConvNorm(node) => std::iter::once(node.input).chain(node.residual).collect(),
            Self::Weightless(node) => node.inputs().to_vec(),
        }
    }
}

/// An operation without weights.
///
/// Slices and views hold `batch` images, channels last. A pass asks for its inputs by their place among [`Self::inputs`]. `winners`
/// are the argmaxima of all max pools, `batch` images of each. On a device, bytes are of activations, or of pooled values, which are
/// `f32`.
pub(crate) trait Operation {
    fn inputs(&self) -> &[Value];

    fn output(&self) -> Value;

    /// Whether [`Self::backward`] cannot add to what stands in `dx`.
    fn overwrites(&self) -> bool {
        false
    }

    fn forward<'a, T: Real>(&self, batch: usize, x: impl Fn(usize) -> &'a [T], winners: &mut [u8], y: &mut [T]);

    /// The derivative along a direction of the inputs.
    fn tangent<'a, T: Real>(&self, batch: usize, x_dot: impl Fn(usize) -> &'a [T], winners: &[u8], y_dot: &mut [T]);

    /// The gradient of the input at place `which`: `dx` becomes it, or with `add` grows by it.
    fn backward<T: Real>(&self, batch: usize, which: usize, dy: &[T], winners: &[u8], dx: &mut [T], add: bool);

    fn forward_on<'a, A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        x: impl Fn(usize) -> View<'a, u8>,
        winners: ViewMut<'_, u8>,
        y: ViewMut<'_, u8>,
    ) -> Result<(), GpuError>;

    fn tangent_on<'a, A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        x_dot: impl Fn(usize) -> View<'a, u8>,
        winners: View<'_, u8>,
        y_dot: ViewMut<'_, u8>,
    ) -> Result<(), GpuError>;

    fn backward_on<A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        which: usize,
        dy: View<'_, u8>,
        winners: View<'_, u8>,
        dx: ViewMut<'_, u8>,
        add: bool,
    ) -> Result<(), GpuError>;
}

/// The first `len` numbers of a buffer.
fn first<T: Plain>(bytes: View<'_, u8>, len: usize) -> View<'_, T> {
    bytes.part(0..len * size_of::<T>()).of()
}

/// The same, to write.
fn first_mut<T: Plain>(bytes: ViewMut<'_, u8>, len: usize) -> ViewMut<'_, T> {
    bytes.part(0..len * size_of::<T>()).of()
}

/// All operations without weights.
#[derive(Clone, Debug)]
pub(crate) enum Weightless {
    Shortcut(Shortcut),
    MaxPool(MaxPool),
    GlobalPool(GlobalPool),
    Concat(Concat),
}

/// Evaluates an expression over whichever operation it is.
macro_rules! of_each {
    ($weightless:expr, $node:ident => $body:expr) => {
        match $weightless {
            Weightless::Shortcut($node) => $body,
            Weightless::MaxPool($node) => $body,
            Weightless::GlobalPool($node) => $body,
            Weightless::Concat($node) => $body,
        }
    };
}

impl Operation for Weightless {
    fn inputs(&self) -> &[Value] {
        of_each!(self, node => node.inputs())
    }

    fn output(&self) -> Value {
        of_each!(self, node => node.output())
    }

    fn overwrites(&self) -> bool {
        of_each!(self, node => node.overwrites())
    }

    fn forward<'a, T: Real>(&self, batch: usize, x: impl Fn(usize) -> &'a [T], winners: &mut [u8], y: &mut [T]) {
        of_each!(self, node => node.forward(batch, x, winners, y));
    }

    fn tangent<'a, T: Real>(&self, batch: usize, x_dot: impl Fn(usize) -> &'a [T], winners: &[u8], y_dot: &mut [T]) {
        of_each!(self, node => node.tangent(batch, x_dot, winners, y_dot));
    }

    fn backward<T: Real>(&self, batch: usize, which: usize, dy: &[T], winners: &[u8], dx: &mut [T], add: bool) {
        of_each!(self, node => node.backward(batch, which, dy, winners, dx, add));
    }

    fn forward_on<'a, A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        x: impl Fn(usize) -> View<'a, u8>,
        winners: ViewMut<'_, u8>,
        y: ViewMut<'_, u8>,
    ) -> Result<(), GpuError> {
        of_each!(self, node => node.forward_on::<A, D>(driver, batch, x, winners, y))
    }

    fn tangent_on<'a, A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        x_dot: impl Fn(usize) -> View<'a, u8>,
        winners: View<'_, u8>,
        y_dot: ViewMut<'_, u8>,
    ) -> Result<(), GpuError> {
        of_each!(self, node => node.tangent_on::<A, D>(driver, batch, x_dot, winners, y_dot))
    }

    fn backward_on<A: Activation, D: Driver>(
        &self,
        driver: &D,
        batch: usize,
        which: usize,
        dy: View<'_, u8>,
        winners: View<'_, u8>,
        dx: ViewMut<'_, u8>,
        add: bool,
    ) -> Result<(), GpuError> {
        of_each!(self, node => node.backward_on::<A, D>(driver, batch, which, dy, winners, dx, add))
    }
}
