//! The network on a GPU: the same graph and the same four passes as [`Network`](crate::Network), over any driver.
//!
//! Every value is stored, as cuDNN cannot work out a batch norm while it reads; the tape keeps two activations for each
//! convolution. Vectors of parameters, gradients and directions lie on the device in its own order of a weight's axes, in which
//! everything that goes element by element works alike: [`GpuNetwork::to_device_order`] and [`GpuNetwork::from_device_order`] turn them.

mod backward;
mod forward;
mod jvp;
mod layout;
mod memory;
mod replay;
mod tape;

use half::bf16;
use longtail_images::ImageShape;
use longtail_ops::gpu::{Activation, Driver, Element, GpuConv, GpuNorm, GpuVec, Plain, View, ViewMut};

use crate::arch::Architecture;
use crate::engine::NormMode;
use crate::error::BackboneError;
use crate::graph::Graph;
use crate::node::{ConvNorm, Node, Value, Weightless};
use crate::params::ParamIndex;
use crate::plan::{Place, Plan};

use memory::{Memory, Narrow, Slots, TapeSlots, narrowed};
pub use tape::GpuTape;
use tape::{Numbers, Origin};

/// A network on a device, with the memory that its passes share. It holds no weights.
#[derive(Debug)]
pub struct GpuNetwork<D: Driver> {
    driver: D,
    architecture: Architecture,
    image: ImageShape,
    graph: Graph,
    plan: Plan,
    arena: Slots<D>,
    /// Where a segment is worked out again; empty without activation checkpointing.
    inside: Slots<D>,
    /// Of activations, their gradients and tangents; what is pooled, and all that has a number a weight or a channel, is `f32`.
    element: Element,
    /// A convolution's gradient, between its batch norm and itself.
    through: GpuVec<u8, D>,
    /// With bfloat16: weights, a direction, a weight's gradient and images in it.
    narrow: Narrow<D>,
    room: GpuNorm<D>,
    convs: GpuConv<D>,
    /// Slope and offset of a batch norm's gradient or tangent, of all channels.
    slope: GpuVec<f32, D>,
    offset: GpuVec<f32, D>,
    /// Zeros and ones for biases, and the gradient of a γ that is not there: as many as the widest convolution has channels.
    zeros: GpuVec<f32, D>,
    ones: GpuVec<f32, D>,
    unused: GpuVec<f32, D>,
    /// Of the inference pass; training keeps its own on the tape.
    numbers: Numbers<D>,
    winners: GpuVec<u8, D>,
}

/// γ and β of a vector on the device; of a bias no γ.
fn norm_params<'a>(n: &ConvNorm, params: View<'a, f32>) -> (Option<View<'a, f32>>, View<'a, f32>) {
    let all = params.part(n.params.clone());
    let (weight, channels, end) = (n.conv.weight_len(), n.conv.out_channels, n.params.len());
    (n.is_normalized().then(|| all.part(weight..weight + channels)), all.part(end - channels..end))
}

/// A convolution's weight of a vector laid out as the parameters.
fn weight<'a, A: Plain>(n: &ConvNorm, params: View<'a, A>) -> View<'a, A> {
    params.part(n.params.start..n.params.start + n.conv.weight_len())
}

/// Most pooled values of an image: outputs of the global pool, and those side by side.
///
/// # Panics
/// If the features are not pooled.
fn pooled_values(graph: &Graph) -> usize {
    let is_pooled = |node: &&Node| matches!(node, Node::Weightless(Weightless::GlobalPool(_) | Weightless::Concat(_)));
    let pooled: Vec<Value> = graph.nodes.iter().filter(is_pooled).map(Node::output).collect();
    assert!(pooled.contains(&graph.output), "features are pooled");
    pooled.iter().map(|value| graph.shape(*value).len()).max().unwrap_or(0)
}

impl<D: Driver> GpuNetwork<D> {
    /// A network for images of that size.
    ///
    /// # Errors
    /// A depth that the architecture does not come in; an image without pixels or channels; no memory.
    pub fn new(driver: D, architecture: &Architecture, image: ImageShape) -> Result<Self, BackboneError> {
        Self::with_element(driver, architecture, image, Element::F32)
    }

    /// The same, with activations, their gradients and tangents in `element`. Weights, statistics and features are `f32` all the
    /// same; with bfloat16 a convolution multiplies weights that were rounded to it, and adds in `f32`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_element(
        driver: D,
        architecture: &Architecture,
        image: ImageShape,
        element: Element,
    ) -> Result<Self, BackboneError> {
        Self::of_graph(driver, architecture, image, architecture.graph(image)?, element)
    }

    pub(crate) fn of_graph(
        driver: D,
        architecture: &Architecture,
        image: ImageShape,
        graph: Graph,
        element: Element,
    ) -> Result<Self, BackboneError> {
        let widest = graph.nodes.iter().map(|node| graph.shape(node.output()).channels).max().unwrap_or(0);
        let [zeros, ones, unused] = [0.0, 1.0, 0.0].map(|value| GpuVec::of(&driver, &vec![value; widest]));
        let plan = Plan::stored(&graph, false);
        let (slope, offset) =
            (GpuVec::zeros(&driver, graph.norm_channels)?, GpuVec::zeros(&driver, graph.norm_channels)?);
        let numbers = Numbers::new(&driver, graph.norm_channels)?;
        Ok(Self {
            driver,
            architecture: *architecture,
            image,
            graph,
            plan,
            element,
            arena: Slots::default(),
            inside: Slots::default(),
            through: GpuVec::default(),
            narrow: Narrow::default(),
            room: GpuNorm::default(),
            convs: GpuConv::default(),
            slope,
            offset,
            zeros: zeros?,
            ones: ones?,
            unused: unused?,
            numbers,
            winners: GpuVec::default(),
        })
    }

    /// As [`Network::set_checkpointing`](crate::Network::set_checkpointing).
    pub fn set_checkpointing(&mut self, on: bool) {
        if on != self.plan.checkpointing() {
            self.plan = Plan::stored(&self.graph, on);
            (self.arena, self.inside) = (Slots::default(), Slots::default());
        }
    }

    /// Where it runs.
    pub fn driver(&self) -> &D {
        &self.driver
    }

    /// Numbers in one image's feature.
    pub fn feature_dim(&self) -> usize {
        self.graph.feature_dim()
    }

    /// What is learned: names, shapes and places, in PyTorch's order of axes.
    pub fn params(&self) -> &ParamIndex {
        &self.graph.params
    }

    /// The running statistics.
    pub fn buffers(&self) -> &ParamIndex {
        &self.graph.buffers
    }

    /// Features of a batch, left in [`GpuTape::features`]; as [`Network::forward`](crate::Network::forward).
    ///
    /// # Shapes
    /// - `params`: as [`Self::upload_params`] makes them  - `running`: as [`Self::buffers`]  - `images`: `(n, H, W, C)`, n ≥ 1
    /// # Errors
    /// A length that does not fit; an empty batch; the device's.
    pub fn forward(
        &mut self,
        params: View<'_, f32>,
        running: ViewMut<'_, f32>,
        images: View<'_, f32>,
        n: usize,
        mode: NormMode,
        tape: &mut GpuTape<D>,
    ) -> Result<(), BackboneError> {
        self.check_inputs(params, running.len(), images, n)?;
        tape.prepare(self, images, n, matches!(mode, NormMode::Batch { .. }))?;
        match self.element {
            Element::F32 => self.forward_in::<f32>(params, running, n, mode, tape)?,
            Element::Bf16 => self.forward_in::<bf16>(params, running, n, mode, tape)?,
        }
        tape.origin = Some(self.origin());
        Ok(())
    }

    fn forward_in<A: Activation>(
        &mut self,
        params: View<'_, f32>,
        running: ViewMut<'_, f32>,
        n: usize,
        mode: NormMode,
        tape: &mut GpuTape<D>,
    ) -> Result<(), BackboneError> {
        self.reserve(n)?;
        let Self { driver, graph, plan, arena, narrow, room, convs, zeros, ones, .. } = self;
        let GpuTape { images, buffers, numbers, winners, .. } = tape;
        let mut memory = Memory { images: images.view(), tape: TapeSlots::Filled(buffers), arena };
        let weights = narrowed::<A, D>(driver, params, &mut narrow.weights)?;
        let constants = (zeros.view(), ones.view());
        let pass = forward::Pass { driver: &*driver, graph, plan: &plan.forward, params, weights, constants, batch: n };
        pass.run(mode, running, &mut memory, numbers, winners, (room, convs))
    }

    /// Room for a pass over `batch` images.
    fn reserve(&mut self, batch: usize) -> Result<(), BackboneError> {
        let sizes = (self.element, pooled_values(&self.graph));
        self.arena.reserve(&self.driver, &self.plan.arena, sizes, batch)
    }

    /// Room for a pass that reads a tape of `batch` images.
    fn reserve_after(&mut self, batch: usize) -> Result<(), BackboneError> {
        self.reserve(batch)?;
        let sizes = (self.element, pooled_values(&self.graph));
        self.inside.reserve(&self.driver, &self.plan.inside, sizes, batch)
    }

    /// Features under running statistics, without a tape.
    ///
    /// # Shapes
    /// - `images`: `(n, H, W, C)`, n ≥ 1  - `features`: `(n, d)`, overwritten
    /// # Errors
    /// As [`Self::forward`].
    pub fn infer(
        &mut self,
        params: View<'_, f32>,
        running: ViewMut<'_, f32>,
        images: View<'_, f32>,
        n: usize,
        features: ViewMut<'_, f32>,
    ) -> Result<(), BackboneError> {
        self.check_inputs(params, running.len(), images, n)?;
        self.check_features("features", features.len(), n)?;
        match self.element {
            Element::F32 => self.infer_in::<f32>(params, running, images, n, features),
            Element::Bf16 => self.infer_in::<bf16>(params, running, images, n, features),
        }
    }

    fn infer_in<A: Activation>(
        &mut self,
        params: View<'_, f32>,
        running: ViewMut<'_, f32>,
        images: View<'_, f32>,
        n: usize,
        features: ViewMut<'_, f32>,
    ) -> Result<(), BackboneError> {
        self.reserve(n)?;
        let Self { driver, graph, plan, arena, narrow, room, convs, numbers, winners, zeros, ones, .. } = self;
        winners.reserve(driver, n * graph.winners)?;
        let images = narrowed::<A, D>(driver, images, &mut narrow.images)?.of();
        let weights = narrowed::<A, D>(driver, params, &mut narrow.weights)?;
        let mut memory = Memory { images, tape: TapeSlots::None, arena };
        let constants = (zeros.view(), ones.view());
        let pass = forward::Pass { driver: &*driver, graph, plan: &plan.infer, params, weights, constants, batch: n };
        pass.run(NormMode::Running, running, &mut memory, numbers, winners, (room, convs))?;
        let made = memory.get(plan.infer.values[graph.output.0], features.len());
        Ok(features.copy_from(driver, made)?)
    }

    /// The gradient of all parameters from that of the features; as [`Network::backward`](crate::Network::backward).
    ///
    /// # Shapes
    /// - `dfeatures`: `(n, d)`  - `grad`: as `params`, overwritten
    /// # Errors
    /// A length that does not fit; a tape that no forward pass has filled; the device's.
    pub fn backward(
        &mut self,
        params: View<'_, f32>,
        tape: &GpuTape<D>,
        dfeatures: View<'_, f32>,
        grad: ViewMut<'_, f32>,
    ) -> Result<(), BackboneError> {
        self.check_tape(tape)?;
        self.check_len("params", params.len(), self.graph.params.len())?;
        self.check_len("grad", grad.len(), self.graph.params.len())?;
        self.check_features("dfeatures", dfeatures.len(), tape.batch())?;
        self.reserve_after(tape.batch())?;
        let largest = self.graph.nodes.iter().map(|node| self.graph.len(node.output(), tape.batch())).max();
        self.through.reserve(&self.driver, largest.unwrap_or(0) * self.element.bytes())?;
        match self.element {
            Element::F32 => backward::run::<f32, D>(self, params, tape, dfeatures, grad),
            Element::Bf16 => backward::run::<bf16, D>(self, params, tape, dfeatures, grad),
        }
    }

    /// The derivative of the features along a direction of the parameters; as [`Network::jvp`](crate::Network::jvp).
    ///
    /// # Shapes
    /// - `direction`: as `params`  - `features_dot`: `(n, d)`, overwritten
    /// # Errors
    /// As [`Self::backward`].
    pub fn jvp(
        &mut self,
        params: View<'_, f32>,
        tape: &GpuTape<D>,
        direction: View<'_, f32>,
        features_dot: ViewMut<'_, f32>,
    ) -> Result<(), BackboneError> {
        self.check_tape(tape)?;
        self.check_len("params", params.len(), self.graph.params.len())?;
        self.check_len("direction", direction.len(), self.graph.params.len())?;
        self.check_features("features_dot", features_dot.len(), tape.batch())?;
        self.reserve_after(tape.batch())?;
        match self.element {
            Element::F32 => jvp::run::<f32, D>(self, params, tape, direction)?,
            Element::Bf16 => jvp::run::<bf16, D>(self, params, tape, direction)?,
        }
        let Place::Arena(slot) = self.plan.tangent.values[self.graph.output.0] else {
            unreachable!("a tangent lies in the arena")
        };
        let made = self.arena.view(slot, features_dot.len());
        Ok(features_dot.copy_from(&self.driver, made)?)
    }

    fn check_inputs(
        &self,
        params: View<'_, f32>,
        running: usize,
        images: View<'_, f32>,
        n: usize,
    ) -> Result<(), BackboneError> {
        if n == 0 {
            return Err(BackboneError::EmptyBatch);
        }
        self.check_len("params", params.len(), self.graph.params.len())?;
        self.check_len("running", running, self.graph.buffers.len())?;
        self.check_len("images", images.len(), n * self.image.len())
    }

    fn check_features(&self, what: &'static str, found: usize, n: usize) -> Result<(), BackboneError> {
        self.check_len(what, found, n * self.feature_dim())
    }

    fn check_len(&self, what: &'static str, found: usize, expected: usize) -> Result<(), BackboneError> {
        let why = || format!("{} on images of {}", self.architecture, self.image);
        if found == expected { Ok(()) } else { Err(BackboneError::Length { what, found, expected, why: why() }) }
    }

    fn check_tape(&self, tape: &GpuTape<D>) -> Result<(), BackboneError> {
        let here = self.origin();
        match tape.origin {
            Some(origin) if origin == here => Ok(()),
            origin => {
                let found = origin.map_or_else(|| "no forward pass yet".to_owned(), |origin| origin.to_string());
                Err(BackboneError::Tape { found, expected: here.to_string() })
            }
        }
    }

    fn origin(&self) -> Origin {
        let checkpointing = self.plan.checkpointing();
        Origin { architecture: self.architecture, image: self.image, element: self.element, checkpointing }
    }

    /// Place and length of a value's gradient.
    fn gradient_slot(&self, value: Value) -> usize {
        self.plan.backward.values[value.0].expect("only the image has no gradient, and nothing asks for it")
    }
}
