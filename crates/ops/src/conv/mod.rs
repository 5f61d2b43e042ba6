//! Two-dimensional convolution on channels-last activations: forward and both gradients.
//!
//! Activations are `(N, H, W, C)`; weights come and go in PyTorch's layout `(O, I/groups, k, k)`
//! and are packed inside. Two algorithms stand behind each function: [`direct`], a register-blocked
//! kernel for the usual shapes, and [`im2col`] with a matrix product for everything else. Which one
//! runs, and in what order its sums are taken, depends on the shape only.

mod direct;
mod im2col;
mod shape;
mod winograd;

pub(crate) use direct::DirectKernels;
pub use shape::ConvShape;
pub(crate) use winograd::WinogradKernels;

use crate::Real;

/// Scratch memory of the convolutions: packed weights and partial sums. Grown on demand and reused,
/// one per network.
#[derive(Debug, Default)]
pub struct Workspace<T> {
    packed: Vec<T>,
    partial: Vec<T>,
    runs: Vec<usize>,
}

impl<T> Workspace<T> {
    /// An empty workspace.
    pub fn new() -> Self {
        Self { packed: Vec::new(), partial: Vec::new(), runs: Vec::new() }
    }

    /// Bytes held now.
    pub fn memory_bytes(&self) -> usize {
        (self.packed.capacity() + self.partial.capacity()) * size_of::<T>()
    }
}

/// `y ← x ∗ weight` (cross-correlation, as every deep learning library has it). Overwrites `y`.
///
/// `y[n, oy, ox, o] = Σ_{ky, kx, i} x[n, oy·s − p + ky·d, ox·s − p + kx·d, i] · weight[o, i, ky,
/// kx]`, zero outside the image.
///
/// # Shapes
/// - `x`: `(N, H, W, I)` - `weight`: `(O, I/groups, k, k)` - `y`: `(N, H', W', O)`
/// # Panics
/// When a slice's length does not fit `s`, or `s` itself is not possible (see
/// [`ConvShape::check`]).
pub fn conv2d<T: Real>(s: &ConvShape, x: &[T], weight: &[T], y: &mut [T], ws: &mut Workspace<T>) {
    s.check();
    check_len("x", x.len(), s.input_len());
    check_len("weight", weight.len(), s.weight_len());
    check_len("y", y.len(), s.output_len());
    if direct::takes_forward(s) {
        direct::forward(s, x, weight, y, ws);
    } else {
        im2col::forward(s, x, weight, y, ws);
    }
}

/// The gradient of [`conv2d`] for its input: `dx ← ∂⟨dy, y⟩/∂x`, or `dx += …` when `accumulate`.
///
/// # Shapes
/// - `dy`: `(N, H', W', O)` - `weight`: `(O, I/groups, k, k)` - `dx`: `(N, H, W, I)`
/// # Panics
/// As [`conv2d`].
pub fn conv2d_backward_input<T: Real>(
    s: &ConvShape,
    dy: &[T],
    weight: &[T],
    dx: &mut [T],
    accumulate: bool,
    ws: &mut Workspace<T>,
) {
    s.check();
    check_len("dy", dy.len(), s.output_len());
    check_len("weight", weight.len(), s.weight_len());
    check_len("dx", dx.len(), s.input_len());
    if direct::takes_backward_input(s) {
        direct::backward_input(s, dy, weight, dx, accumulate, ws);
    } else {
        im2col::backward_input(s, dy, weight, dx, accumulate, ws);
    }
}

/// The gradient of [`conv2d`] for its weight: `dweight ← ∂⟨dy, y⟩/∂weight`. Overwrites `dweight`.
///
/// # Shapes
/// - `x`: `(N, H, W, I)` - `dy`: `(N, H', W', O)` - `dweight`: `(O, I/groups, k, k)`
/// # Panics
/// As [`conv2d`].
pub fn conv2d_backward_weight<T: Real>(s: &ConvShape, x: &[T], dy: &[T], dweight: &mut [T], ws: &mut Workspace<T>) {
    s.check();
    check_len("x", x.len(), s.input_len());
    check_len("dy", dy.len(), s.output_len());
    check_len("dweight", dweight.len(), s.weight_len());
    if direct::takes_backward_weight(s) {
        direct::backward_weight(s, x, dy, dweight, ws);
    } else {
        im2col::backward_weight(s, x, dy, dweight, ws);
    }
}

fn check_len(name: &str, found: usize, expected: usize) {
    assert!(found == expected, "conv2d: `{name}` has {found} elements, its shape asks for {expected}");
}

/// How many images share one partial sum of the weight gradient: a function of the shape only, so
/// that the number of threads changes no bit. At most 16 partial sums, fewer when the weight is so
/// large that they would fill memory.
fn images_per_partial(s: &ConvShape) -> usize {
    const MOST_PARTIALS: usize = 16;
    const MOST_ELEMENTS: usize = 1 << 23;
    let partials = (MOST_ELEMENTS / s.weight_len().max(1)).clamp(2, MOST_PARTIALS);
    s.batch.div_ceil(partials).max(1)
}
