//! Two-dimensional convolution on channels-last activations: forward and both gradients, with what
//! surrounds a convolution in a network taken along.
//!
//! Activations are `(N, H, W, C)`; weights come and go in PyTorch's layout `(O, I/groups, k, k)`
//! and are packed inside. A batch is cut into [`strips`]; each strip is copied into a padded
//! [`source`] on which the kernels work. The copy applies batch norm and ReLU, or their derivatives,
//! where the caller asks ([`Operand`]); and the sums that the next batch norm needs are taken while
//! the result is still in cache ([`Tally`]). Which kernel runs, and in what order its sums are taken,
//! depends on the shape only.

mod backward;
mod direct;
mod forward;
mod operand;
mod shape;
mod source;
mod strips;
mod tally;
mod winograd;

pub use backward::{InputGradient, conv2d_backward};
pub(crate) use direct::{DirectKernels, vector};
pub use forward::conv2d_fused;
pub use operand::{NormRest, Operand, ThroughNorm};
pub use shape::ConvShape;
pub(crate) use tally::{BlockMoments, merge_moments};
pub use tally::{Mask, Tally, tally_rows};
pub(crate) use winograd::WinogradKernels;

use crate::Real;

/// Scratch memory of the convolutions: packed weights and partial sums. Grown on demand and reused,
/// one per network.
#[derive(Debug, Default)]
pub struct Workspace<T> {
    packed: Vec<T>,
    partial: Vec<T>,
    tallies: Vec<T>,
    runs: Vec<usize>,
}

impl<T> Workspace<T> {
    /// Makes an empty workspace; buffers grow when they are needed.
    pub fn new() -> Self {
        Self { packed: Vec::new(), partial: Vec::new(), tallies: Vec::new(), runs: Vec::new() }
    }

    /// Bytes held now.
    pub fn memory_bytes(&self) -> usize {
        (self.packed.capacity() + self.partial.capacity() + self.tallies.capacity()) * size_of::<T>()
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
    conv2d_fused(s, &[(Operand::Stored(x), weight)], y, Tally::None, ws);
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
    let dx = InputGradient { weight, dx, accumulate, tally: Tally::None };
    conv2d_backward(s, Operand::Stored(dy), None, Some(dx), ws);
}

/// The gradient of [`conv2d`] for its weight: `dweight ← ∂⟨dy, y⟩/∂weight`. Overwrites `dweight`.
///
/// # Shapes
/// - `x`: `(N, H, W, I)` - `dy`: `(N, H', W', O)` - `dweight`: `(O, I/groups, k, k)`
/// # Panics
/// As [`conv2d`].
pub fn conv2d_backward_weight<T: Real>(s: &ConvShape, x: &[T], dy: &[T], dweight: &mut [T], ws: &mut Workspace<T>) {
    conv2d_backward(s, Operand::Stored(dy), Some((Operand::Stored(x), dweight)), None, ws);
}

fn check_len(name: &str, found: usize, expected: usize) {
    assert!(found == expected, "conv2d: `{name}` has {found} elements, its shape asks for {expected}");
}

/// A plain matrix product as one tall image: its strips may then span images.
fn without_borders(s: &ConvShape) -> ConvShape {
    if s.is_pointwise() { ConvShape { batch: 1, height: s.batch * s.height, ..*s } } else { *s }
}
