//! The network on a GPU: the same graph and the same four passes as [`Network`](crate::Network), over any driver.
//!
//! Every value is stored, as cuDNN cannot work out a batch norm while it reads; the tape keeps two activations for each
//! convolution. Vectors of parameters, gradients and directions lie on the device in its own order of a weight's axes, in which
//! everything that goes element by element works alike: [`GpuNetwork::upload_params`] and [`GpuNetwork::download_params`] turn them.

mod backward;
mod forward;
mod jvp;
mod layout;
mod tape;

use longtail_ops::gpu::{Driver, GpuConv, GpuNorm, GpuVec, View, ViewMut};

use crate::arch::Architecture;
use crate::engine::NormMode;
use crate::error::BackboneError;
use crate::graph::{ConvNorm, Graph, Value};
use crate::image::ImageShape;
use crate::params::ParamIndex;
use crate::plan::{Place, Plan};

pub use tape::GpuTape;
use tape::Numbers;

/// A network on a device, with the memory that its passes share. It holds no weights.
#[derive(Debug)]
pub struct GpuNetwork<D: Driver> {
    driver: D,
    architecture: Architecture,
    image: ImageShape,
    graph: Graph,
    plan: Plan,
    arena: Slots<D>,
    /// A convolution's gradient, between its batch norm and itself.
    through: GpuVec<f32, D>,
    room: GpuNorm<D>,
    convs: GpuConv<D>,
    /// Slope and offset of a batch norm's gradient or tangent, of all channels.
    slope: GpuVec<f32, D>,
    offset: GpuVec<f32, D>,
    /// Of the inference pass; training keeps its own on the tape.
    numbers: Numbers<D>,
    winners: GpuVec<u8, D>,
}

/// Buffers by number.
#[derive(Debug)]
struct Slots<D: Driver> {
    slots: Vec<GpuVec<f32, D>>,
}

impl<D: Driver> Default for Slots<D> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<D: Driver> Slots<D> {
    fn reserve(&mut self, driver: &D, sizes: &[usize], batch: usize) -> Result<(), BackboneError> {
        self.slots.resize_with(sizes.len(), GpuVec::default);
        for (slot, size) in self.slots.iter_mut().zip(sizes) {
            slot.reserve(driver, size * batch)?;
        }
        Ok(())
    }

    fn view(&self, slot: usize, len: usize) -> View<'_, f32> {
        self.slots[slot].view().part(0..len)
    }

    /// Takes a buffer out, so that it can be written while others are read. It must be put back.
    fn take(&mut self, slot: usize) -> GpuVec<f32, D> {
        std::mem::take(&mut self.slots[slot])
    }

    fn put(&mut self, slot: usize, buffer: GpuVec<f32, D>) {
        self.slots[slot] = buffer;
    }
}

/// What a pass from images to features may touch.
struct Memory<'a, D: Driver> {
    images: View<'a, f32>,
    /// Absent in a pass that fills none.
    tape: Option<&'a mut Slots<D>>,
    arena: &'a mut Slots<D>,
}

impl<D: Driver> Memory<'_, D> {
    fn get(&self, place: Place, len: usize) -> View<'_, f32> {
        match place {
            Place::Image => self.images.part(0..len),
            Place::Tape(slot) => self.tape.as_ref().expect("a pass with a tape").view(slot, len),
            Place::Arena(slot) => self.arena.view(slot, len),
            Place::Lazy(_) | Place::Nowhere => unreachable!("every value is stored"),
        }
    }

    fn slots(&mut self, place: Place) -> (&mut Slots<D>, usize) {
        match place {
            Place::Tape(slot) => (self.tape.as_mut().expect("a pass with a tape"), slot),
            Place::Arena(slot) => (self.arena, slot),
            Place::Image | Place::Lazy(_) | Place::Nowhere => unreachable!("no pass writes there"),
        }
    }

    fn take(&mut self, place: Place) -> GpuVec<f32, D> {
        let (slots, slot) = self.slots(place);
        slots.take(slot)
    }

    fn put(&mut self, place: Place, buffer: GpuVec<f32, D>) {
        let (slots, slot) = self.slots(place);
        slots.put(slot, buffer);
    }
}

/// Weight, γ and β of a vector on the device.
fn split<'a>(n: &ConvNorm, params: View<'a, f32>) -> (View<'a, f32>, View<'a, f32>, View<'a, f32>) {
    let (weight, channels) = (n.conv.weight_len(), n.conv.out_channels);
    let all = params.part(n.params.clone());
    (all.part(0..weight), all.part(weight..weight + channels), all.part(weight + channels..weight + 2 * channels))
}

impl<D: Driver> GpuNetwork<D> {
    /// A network for images of that size.
    ///
    /// # Errors
    /// A depth that the architecture does not come in; an image without pixels or channels; no memory.
    pub fn new(driver: D, architecture: &Architecture, image: ImageShape) -> Result<Self, BackboneError> {
        let graph = architecture.graph(image)?;
        let plan = Plan::stored(&graph);
        let (slope, offset) =
            (GpuVec::zeros(&driver, graph.norm_channels)?, GpuVec::zeros(&driver, graph.norm_channels)?);
        let numbers = Numbers::new(&driver, graph.norm_channels)?;
        Ok(Self {
            driver,
            architecture: *architecture,
            image,
            graph,
            plan,
            arena: Slots::default(),
            through: GpuVec::default(),
            room: GpuNorm::default(),
            convs: GpuConv::default(),
            slope,
            offset,
            numbers,
            winners: GpuVec::default(),
        })
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
        self.arena.reserve(&self.driver, &self.plan.arena, n)?;
        let GpuTape { images, buffers, numbers, winners, .. } = tape;
        let images = images.view().part(0..n * self.image.len());
        let mut memory = Memory { images, tape: Some(buffers), arena: &mut self.arena };
        let pass =
            forward::Pass { driver: &self.driver, graph: &self.graph, plan: &self.plan.forward, params, batch: n };
        pass.run(mode, running, &mut memory, numbers, winners, (&mut self.room, &mut self.convs))
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
        self.arena.reserve(&self.driver, &self.plan.arena, n)?;
        self.winners.reserve(&self.driver, n * self.graph.winners)?;
        let mut memory = Memory { images, tape: None, arena: &mut self.arena };
        let pass = forward::Pass { driver: &self.driver, graph: &self.graph, plan: &self.plan.infer, params, batch: n };
        pass.run(
            NormMode::Running,
            running,
            &mut memory,
            &mut self.numbers,
            &mut self.winners,
            (&mut self.room, &mut self.convs),
        )?;
        let made = memory.get(self.plan.infer.values[self.graph.output.0], features.len());
        Ok(features.copy_from(&self.driver, made)?)
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
        self.arena.reserve(&self.driver, &self.plan.arena, tape.batch())?;
        let largest = self.graph.nodes.iter().map(|node| self.graph.len(node.output(), tape.batch())).max();
        self.through.reserve(&self.driver, largest.unwrap_or(0))?;
        backward::run(self, params, tape, dfeatures, grad)
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
        self.arena.reserve(&self.driver, &self.plan.arena, tape.batch())?;
        jvp::run(self, params, tape, direction)?;
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
        let here = (self.architecture, self.image);
        match tape.origin {
            Some(origin) if origin == here => Ok(()),
            origin => {
                let words =
                    |(architecture, image): (Architecture, ImageShape)| format!("{architecture} on images of {image}");
                let found = origin.map_or_else(|| "no forward pass yet".to_owned(), words);
                Err(BackboneError::Tape { found, expected: words(here) })
            }
        }
    }

    /// Place and length of a value's gradient.
    fn gradient_slot(&self, value: Value) -> usize {
        self.plan.backward.values[value.0].expect("only the image has no gradient, and nothing asks for it")
    }
}
