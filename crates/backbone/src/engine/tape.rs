//! What a forward pass leaves for the passes after it.

use longtail_images::ImageShape;
use longtail_ops::{Operand, Real};

use super::buffers::Buffers;
use crate::arch::Architecture;
use crate::graph::Graph;
use crate::node::Value;
use crate::plan::{Place, Plan};

/// Mean, variance, 1/√(variance + ε), and the scale and shift that they make with γ and β, of every channel of every batch norm,
/// as used.
#[derive(Debug)]
pub(crate) struct Statistics<T> {
    pub(crate) mean: Vec<T>,
    pub(crate) var: Vec<T>,
    pub(crate) inv_std: Vec<T>,
    pub(crate) scale: Vec<T>,
    pub(crate) shift: Vec<T>,
}

impl<T> Default for Statistics<T> {
    fn default() -> Self {
        Self { mean: Vec::new(), var: Vec::new(), inv_std: Vec::new(), scale: Vec::new(), shift: Vec::new() }
    }
}

impl<T: Real> Statistics<T> {
    pub(crate) fn reserve(&mut self, channels: usize) {
        for vector in [&mut self.mean, &mut self.var, &mut self.inv_std, &mut self.scale, &mut self.shift] {
            vector.resize(channels, T::ZERO);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let vectors = [&self.mean, &self.var, &self.inv_std, &self.scale, &self.shift];
        vectors.iter().map(|v| v.capacity() * size_of::<T>()).sum()
    }
}

/// Whose forward pass it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) architecture: Architecture,
    pub(crate) image: ImageShape,
    pub(crate) checkpointing: bool,
}

/// The activations of one forward pass: at most two for each convolution with its batch norm (with activation checkpointing,
/// those between blocks alone), and the batch statistics.
///
/// A tape belongs to no network in particular: any network of the same architecture and image size can fill or read it, and
/// its memory is reused from pass to pass. `backward` and `jvp` only read it, in any order and as often as wanted.
#[derive(Debug)]
pub struct Tape<T> {
    pub(super) origin: Option<Origin>,
    pub(super) batch: usize,
    pub(super) batch_stats: bool,
    pub(super) images: Vec<T>,
    pub(super) buffers: Buffers<T>,
    pub(super) statistics: Statistics<T>,
    /// The argmax of every max pool.
    pub(super) winners: Vec<u8>,
    /// Buffer and length of the features.
    features: (usize, usize),
}

impl<T> Default for Tape<T> {
    fn default() -> Self {
        Self {
            origin: None,
            batch: 0,
            batch_stats: false,
            images: Vec::new(),
            buffers: Buffers::default(),
            statistics: Statistics::default(),
            winners: Vec::new(),
            features: (0, 0),
        }
    }
}

impl<T: Real> Tape<T> {
    /// The features `(n, d)`, row-major; empty before the first forward pass.
    pub fn features(&self) -> &[T] {
        match self.origin {
            Some(_) => &self.buffers.get(self.features.0)[..self.features.1],
            None => &[],
        }
    }

    /// Images in the batch; 0 before the first forward pass.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Bytes held now.
    pub fn memory_bytes(&self) -> usize {
        self.buffers.bytes()
            + self.winners.capacity()
            + self.statistics.bytes()
            + self.images.capacity() * size_of::<T>()
    }

    /// Gets ready for a pass over `images`, which it keeps: the first convolution's weight gradient reads them.
    pub(super) fn prepare(
        &mut self,
        origin: Origin,
        graph: &Graph,
        plan: &Plan,
        images: &[T],
        batch: usize,
        batch_stats: bool,
    ) {
        self.images.clear();
        self.images.extend_from_slice(images);
        self.buffers.reserve(&plan.tape, batch);
        self.statistics.reserve(graph.norm_channels);
        self.winners.resize(batch * graph.winners, 0);
        let Place::Tape(slot) = plan.forward.values[graph.output.0] else {
            unreachable!("the tape keeps the features")
        };
        self.features = (slot, graph.len(graph.output, batch));
        (self.origin, self.batch, self.batch_stats) = (Some(origin), batch, batch_stats);
    }
}

/// What later passes see of a forward pass: its tape, and what of it was worked out again.
#[derive(Debug)]
pub(super) struct View<'a, T> {
    pub(super) graph: &'a Graph,
    pub(super) plan: &'a Plan,
    pub(super) tape: &'a Tape<T>,
    pub(super) inside: &'a Buffers<T>,
}

impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for View<'_, T> {}

impl<'a, T: Real> View<'a, T> {
    /// The batch norms' numbers.
    pub(super) fn statistics(self) -> &'a Statistics<T> {
        &self.tape.statistics
    }

    fn get(self, place: Place, len: usize) -> &'a [T] {
        match place {
            Place::Image => &self.tape.images[..len],
            Place::Tape(slot) => &self.tape.buffers.get(slot)[..len],
            Place::Arena(slot) => &self.inside.get(slot)[..len],
            Place::Lazy(_) | Place::Nowhere => unreachable!("what a later pass reads lies on the tape or inside"),
        }
    }

    /// A value that is stored.
    pub(super) fn value(self, value: Value) -> &'a [T] {
        self.get(self.plan.record.values[value.0], self.graph.len(value, self.tape.batch))
    }

    /// The output of a node's convolution.
    pub(super) fn conv(self, node: usize) -> &'a [T] {
        let output = self.graph.conv_norm(node).output;
        self.get(self.plan.record.convs[node], self.graph.len(output, self.tape.batch))
    }

    /// How a convolution reads a value of the forward pass.
    pub(super) fn operand(self, value: Value) -> Operand<'a, T> {
        match self.plan.record.values[value.0] {
            Place::Lazy(node) => {
                let n = self.graph.conv_norm(node);
                let Statistics { scale, shift, .. } = self.statistics();
                let (scale, shift) = (&scale[n.channels.clone()], &shift[n.channels.clone()]);
                Operand::Normalized { x: self.conv(node), scale, shift, relu: n.relu }
            }
            _ => Operand::Stored(self.value(value)),
        }
    }
}

/// Numbers for every channel of every batch norm that the backward pass and the tangent work with.
#[derive(Debug)]
pub(super) struct Coefficients<T> {
    pub(super) sums: Sums<T>,
    /// Of the map through the batch norm; see [`longtail_ops::NormRest`].
    pub(super) slope: Vec<T>,
    pub(super) offset: Vec<T>,
}

/// `Σ v` and `Σ v·(x − mean)` for a gradient or tangent v.
#[derive(Debug)]
pub(super) struct Sums<T> {
    pub(super) sum: Vec<T>,
    pub(super) product: Vec<T>,
}

impl<T> Default for Coefficients<T> {
    fn default() -> Self {
        let sums = Sums { sum: Vec::new(), product: Vec::new() };
        Self { sums, slope: Vec::new(), offset: Vec::new() }
    }
}

impl<T: Real> Coefficients<T> {
    pub(super) fn reserve(&mut self, channels: usize) {
        for vector in [&mut self.sums.sum, &mut self.sums.product, &mut self.slope, &mut self.offset] {
            vector.resize(channels, T::ZERO);
        }
    }
}
