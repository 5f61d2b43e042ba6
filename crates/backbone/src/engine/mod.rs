//! The network as a function of its flat parameters: forward, inference, backward, and along a direction.

mod backward;
mod buffers;
mod forward;
mod jvp;
mod replay;
mod tape;

use longtail_images::ImageShape;
use longtail_ops::{ChaCha8Rng, Real, Workspace};

use crate::arch::Architecture;
use crate::error::BackboneError;
use crate::graph::Graph;
use crate::node::Node;
use crate::params::{ParamIndex, ParamKind};
use crate::plan::Plan;
use buffers::{Buffers, Memory, TapeBuffers};
use forward::Source;
use tape::{Coefficients, Origin, Statistics};

pub use tape::Tape;

/// ε under the root of every batch norm. Source: `torch.nn.BatchNorm2d`'s default.
pub const NORM_EPSILON: f64 = 1e-5;
/// How far running statistics follow one batch. Source: `torch.nn.BatchNorm2d`'s default.
pub const NORM_MOMENTUM: f64 = 0.1;

/// Where batch norms take their mean and variance from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormMode {
    /// The batch's own. With `track`, running statistics follow; without, they are not touched (a virtual step).
    Batch {
        /// Whether running statistics follow this batch.
        track: bool,
    },
    /// The running ones, as constants.
    Running,
}

/// A network: the plan of its passes, and the memory they share.
///
/// It holds no weights. Parameters and running statistics are flat vectors of the caller, laid out as [`Network::params`] and
/// [`Network::buffers`] say. After the first step of the largest batch a step allocates nothing. No result depends on the
/// number of threads.
#[derive(Debug)]
pub struct Network<T: Real> {
    architecture: Architecture,
    image: ImageShape,
    graph: Graph,
    plan: Plan,
    arena: Buffers<T>,
    /// Where a segment is worked out again; empty without activation checkpointing.
    inside: Buffers<T>,
    workspace: Workspace<T>,
    coefficients: Coefficients<T>,
    /// Of the inference pass; training keeps its own on the tape.
    statistics: Statistics<T>,
    /// Likewise.
    winners: Vec<u8>,
}

impl<T: Real> Network<T> {
    /// A network for images of that size.
    ///
    /// # Errors
    /// A depth that the architecture does not come in; an image without pixels or channels.
    pub fn new(architecture: &Architecture, image: ImageShape) -> Result<Self, BackboneError> {
        Ok(Self::of_graph(architecture, image, architecture.graph(image)?))
    }

    pub(crate) fn of_graph(architecture: &Architecture, image: ImageShape, graph: Graph) -> Self {
        let plan = Plan::new(&graph, false);
        Self {
            architecture: *architecture,
            image,
            graph,
            plan,
            arena: Buffers::default(),
            inside: Buffers::default(),
            workspace: Workspace::default(),
            coefficients: Coefficients::default(),
            statistics: Statistics::default(),
            winners: Vec::new(),
        }
    }

    /// Whether the tape keeps only what lies between residual blocks, and [`Self::backward`] and [`Self::jvp`] work out the
    /// inside of a block again before they come to it: another forward pass of time for a third of the tape. Off at
    /// first. Changes no bit of any result; tapes of one setting are refused under the other.
    pub fn set_checkpointing(&mut self, on: bool) {
        if on != self.plan.checkpointing() {
            self.plan = Plan::new(&self.graph, on);
            (self.arena, self.inside) = (Buffers::default(), Buffers::default());
        }
    }

    /// What [`Self::set_checkpointing`] set last.
    pub fn checkpointing(&self) -> bool {
        self.plan.checkpointing()
    }

    /// Values of one image that a channel's batch norm sees where it sees the fewest: pixels of the smallest map. Times the
    /// images of a batch this must be more than 1, else the variance is 0.
    pub fn fewest_norm_pixels(&self) -> usize {
        let rows = self.graph.nodes.iter().filter_map(|node| match node {
            Node::ConvNorm(node) => Some(node.norm_shape(1).rows),
            _ => None,
        });
        rows.min().unwrap_or(usize::MAX)
    }

    /// Numbers in one image's feature.
    pub fn feature_dim(&self) -> usize {
        self.graph.feature_dim()
    }

    /// Which network this is.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The images it takes.
    pub fn image(&self) -> ImageShape {
        self.image
    }

    /// What is learned: names, shapes and places in the flat vector, in torchvision's order.
    pub fn params(&self) -> &ParamIndex {
        &self.graph.params
    }

    /// The running statistics: a second flat vector.
    pub fn buffers(&self) -> &ParamIndex {
        &self.graph.buffers
    }

    /// Fresh parameters and running statistics; see `ParamIndex::init`.
    pub fn init(&self, rng: &mut ChaCha8Rng) -> (Vec<T>, Vec<T>) {
        let conv_init = self.graph.conv_init;
        (self.graph.params.init(conv_init, rng), self.graph.buffers.init(conv_init, rng))
    }

    /// Features of a batch, left in `tape.features()`, with all that [`Self::backward`] and [`Self::jvp`] need.
    ///
    /// `running` is read in mode `Running`, updated in mode `Batch { track: true }`, and else left alone:
    /// `running ← 0.9·running + 0.1·batch` with the unbiased variance, as PyTorch has it.
    ///
    /// # Shapes
    /// - `params`, `running`: as [`Self::params`] and [`Self::buffers`] - `images`: `(n, H, W, C)`, n ≥ 1
    /// - features: `(n, d)`, at least 0 as they come after a ReLU
    /// # Errors
    /// A length that does not fit; an empty batch. The tape and `running` are then untouched.
    pub fn forward(
        &mut self,
        params: &[T],
        running: &mut [T],
        images: &[T],
        n: usize,
        mode: NormMode,
        tape: &mut Tape<T>,
    ) -> Result<(), BackboneError> {
        self.check_inputs(params, running, images, n)?;
        let source = match mode {
            NormMode::Batch { track: true } => Source::Batch(Some(running)),
            NormMode::Batch { track: false } => Source::Batch(None),
            NormMode::Running => Source::Running(running),
        };
        let batch_stats = matches!(mode, NormMode::Batch { .. });
        tape.prepare(self.origin(), &self.graph, &self.plan, images, n, batch_stats);
        self.arena.reserve(&self.plan.arena, n);
        let mut memory = Memory { images, tape: TapeBuffers::Filled(&mut tape.buffers), arena: &mut self.arena };
        let (graph, pass) = (&self.graph, &self.plan.forward);
        let (statistics, winners) = (&mut tape.statistics, &mut tape.winners);
        forward::run(graph, pass, params, source, n, &mut memory, statistics, winners, &mut self.workspace);
        Ok(())
    }

    /// Features under running statistics, without a tape, in a few buffers that all layers share.
    ///
    /// # Shapes
    /// - `images`: `(n, H, W, C)`, n ≥ 1 - `features`: `(n, d)`, overwritten
    /// # Errors
    /// A length that does not fit; an empty batch.
    pub fn infer(
        &mut self,
        params: &[T],
        running: &[T],
        images: &[T],
        n: usize,
        features: &mut [T],
    ) -> Result<(), BackboneError> {
        self.check_inputs(params, running, images, n)?;
        self.check_features("features", features.len(), n)?;
        self.arena.reserve(&self.plan.arena, n);
        self.statistics.reserve(self.graph.norm_channels);
        self.winners.resize(n * self.graph.winners, 0);
        let mut no_tape = Buffers::default();
        let mut memory = Memory { images, tape: TapeBuffers::Filled(&mut no_tape), arena: &mut self.arena };
        let (graph, pass) = (&self.graph, &self.plan.infer);
        forward::run(
            graph,
            pass,
            params,
            Source::Running(running),
            n,
            &mut memory,
            &mut self.statistics,
            &mut self.winners,
            &mut self.workspace,
        );
        features.copy_from_slice(memory.get(pass.values[graph.output.0], features.len()));
        Ok(())
    }

    /// The gradient of a scalar for all parameters, from its gradient for the features: `grad ← Jᵀ·dfeatures`. Overwrites `grad`.
    ///
    /// `params` must be those of the tape's forward pass. The tape is only read: two calls give the same bits.
    ///
    /// # Shapes
    /// - `dfeatures`: `(n, d)` of the tape's n - `grad`: as [`Self::params`]
    /// # Errors
    /// A length that does not fit; a tape that no forward pass of such a network has filled.
    pub fn backward(
        &mut self,
        params: &[T],
        tape: &Tape<T>,
        dfeatures: &[T],
        grad: &mut [T],
    ) -> Result<(), BackboneError> {
        self.check_tape(tape)?;
        self.check_params("params", params.len())?;
        self.check_params("grad", grad.len())?;
        self.check_features("dfeatures", dfeatures.len(), tape.batch)?;
        self.arena.reserve(&self.plan.arena, tape.batch);
        self.inside.reserve(&self.plan.inside, tape.batch);
        self.coefficients.reserve(self.graph.norm_channels);
        let Self { graph, plan, arena, inside, coefficients, workspace, .. } = self;
        backward::run(graph, plan, params, tape, dfeatures, grad, arena, inside, coefficients, workspace);
        Ok(())
    }

    /// The derivative of the features along a direction of the parameters: `features_dot ← J·direction`. Overwrites `features_dot`.
    ///
    /// Exact, by forward differentiation: in batch mode the batch's mean and variance move too; in running mode they do not.
    ///
    /// # Shapes
    /// - `direction`: as [`Self::params`] - `features_dot`: `(n, d)` of the tape's n
    /// # Errors
    /// As [`Self::backward`].
    /// # Source
    /// The rules of forward differentiation; used for the meta-gradient's `∇_Θ⟨∇_W L, v⟩`.
    pub fn jvp(
        &mut self,
        params: &[T],
        tape: &Tape<T>,
        direction: &[T],
        features_dot: &mut [T],
    ) -> Result<(), BackboneError> {
        self.check_tape(tape)?;
        self.check_params("params", params.len())?;
        self.check_params("direction", direction.len())?;
        self.check_features("features_dot", features_dot.len(), tape.batch)?;
        self.arena.reserve(&self.plan.arena, tape.batch);
        self.inside.reserve(&self.plan.inside, tape.batch);
        let mut no_tape = Buffers::default();
        let mut memory = Memory { images: &[], tape: TapeBuffers::Filled(&mut no_tape), arena: &mut self.arena };
        self.coefficients.reserve(self.graph.norm_channels);
        let (graph, plan, inside) = (&self.graph, &self.plan, &mut self.inside);
        let (coefficients, workspace) = (&mut self.coefficients, &mut self.workspace);
        jvp::run(graph, plan, params, direction, tape, &mut memory, inside, coefficients, workspace);
        features_dot.copy_from_slice(memory.get(self.plan.tangent.values[self.graph.output.0], features_dot.len()));
        Ok(())
    }

    /// Bytes that training on batches of `n` images takes: one tape and the network's own buffers, without the caller's flat
    /// vectors and without the convolutions' workspace.
    pub fn memory_bytes(&self, n: usize) -> usize {
        self.tape_bytes(n) + self.pass_bytes(n)
    }

    /// Bytes of a tape of `n` images.
    pub fn tape_bytes(&self, n: usize) -> usize {
        let per_image = self.plan.tape.iter().sum::<usize>() + self.image.len();
        let statistics = 5 * self.graph.norm_channels;
        (n * per_image + statistics) * size_of::<T>() + n * self.graph.winners
    }

    /// Bytes of the network's own buffers, which all passes share, once it has trained and inferred on `n` images.
    pub fn pass_bytes(&self, n: usize) -> usize {
        let per_image = self.plan.arena.iter().chain(&self.plan.inside).sum::<usize>();
        let (coefficients, statistics) = (4 * self.graph.norm_channels, 5 * self.graph.norm_channels);
        (n * per_image + coefficients + statistics) * size_of::<T>() + n * self.graph.winners
    }

    /// At most the bytes of the convolutions' workspace: the packed weights of both products of a tangent, and the partial sums of
    /// a weight gradient, for the largest convolution; batch norms' tallies, some
    /// hundredths of it, are left out. Small images take less.
    pub fn workspace_bytes_at_most(&self) -> usize {
        let lengths = self.params().entries().iter().filter(|entry| entry.kind == ParamKind::ConvWeight);
        let largest = lengths.map(crate::params::ParamEntry::len).max().unwrap_or(0);
        // 16/9 of a 3x3 weight in Winograd's form; 16 partial sums, or up to twice as many where a kernel takes several strips at
        // once, and fewer where they would be more than 2^24 numbers.
        (2 * 2 * largest + (2 * 16 * largest).min((1 << 24).max(4 * largest))) * size_of::<T>()
    }

    /// Bytes of its own buffers held now: what [`Self::pass_bytes`] states.
    pub fn buffer_bytes(&self) -> usize {
        let Coefficients { sums, slope, offset } = &self.coefficients;
        let coefficients: usize = [&sums.sum, &sums.product, slope, offset].iter().map(|v| v.capacity()).sum();
        self.arena.bytes()
            + self.inside.bytes()
            + coefficients * size_of::<T>()
            + self.statistics.bytes()
            + self.winners.capacity()
    }

    /// Bytes of the convolutions' workspace held now: packed weights, and the partial sums of weight gradients.
    pub fn workspace_bytes(&self) -> usize {
        self.workspace.memory_bytes()
    }

    fn origin(&self) -> Origin {
        Origin { architecture: self.architecture, image: self.image, checkpointing: self.plan.checkpointing() }
    }

    fn check_inputs(&self, params: &[T], running: &[T], images: &[T], n: usize) -> Result<(), BackboneError> {
        if n == 0 {
            return Err(BackboneError::EmptyBatch);
        }
        self.check_params("params", params.len())?;
        let why = || format!("running statistics of {}", self.architecture);
        length("running", running.len(), self.graph.buffers.len(), why)?;
        length("images", images.len(), n * self.image.len(), || format!("{n} images of {}", self.image))
    }

    fn check_params(&self, what: &'static str, found: usize) -> Result<(), BackboneError> {
        length(what, found, self.graph.params.len(), || format!("parameters of {}", self.architecture))
    }

    fn check_features(&self, what: &'static str, found: usize, n: usize) -> Result<(), BackboneError> {
        let dim = self.feature_dim();
        length(what, found, n * dim, || format!("{n} features of {dim}"))
    }

    fn check_tape(&self, tape: &Tape<T>) -> Result<(), BackboneError> {
        let describe = |origin: &Origin| {
            let cut = if origin.checkpointing { ", with activation checkpointing" } else { "" };
            format!("{} on images of {}{cut}", origin.architecture, origin.image)
        };
        let expected = self.origin();
        match &tape.origin {
            Some(found) if *found == expected => Ok(()),
            Some(found) => Err(BackboneError::Tape { found: describe(found), expected: describe(&expected) }),
            None => Err(BackboneError::Tape { found: "no forward pass yet".to_owned(), expected: describe(&expected) }),
        }
    }
}

fn length(
    what: &'static str,
    found: usize,
    expected: usize,
    why: impl FnOnce() -> String,
) -> Result<(), BackboneError> {
    if found == expected { Ok(()) } else { Err(BackboneError::Length { what, found, expected, why: why() }) }
}
