//! From images to features on the device.

use longtail_ops::gpu::{
    Activation, ConvPass, Driver, GpuConv, GpuNorm, GpuVec, View, ViewMut, gpu_norm_apply, gpu_norm_running,
    gpu_norm_statistics,
};

use super::memory::{Memory, numbers_mut};
use super::tape::Numbers;
use super::{norm_params, weight};
use crate::engine::{NORM_EPSILON, NORM_MOMENTUM, NormMode};
use crate::error::BackboneError;
use crate::graph::Graph;
use crate::node::{ConvNorm, Node, Operation as _, Shift, Value};
use crate::plan::ForwardPass;

/// One pass over one batch.
pub(super) struct Pass<'a, D: Driver, A> {
    pub(super) driver: &'a D,
    pub(super) graph: &'a Graph,
    pub(super) plan: &'a ForwardPass,
    pub(super) params: View<'a, f32>,
    /// The same, as convolutions multiply them.
    pub(super) weights: View<'a, A>,
    /// Zeros and ones, as many as the widest convolution has channels.
    pub(super) constants: (View<'a, f32>, View<'a, f32>),
    pub(super) batch: usize,
}

impl<D: Driver, A: Activation> Pass<'_, D, A> {
    pub(super) fn run(
        &self,
        mode: NormMode,
        mut running: ViewMut<'_, f32>,
        memory: &mut Memory<'_, D>,
        stats: &mut Numbers<D>,
        winners: &mut GpuVec<u8, D>,
        (room, convs): (&mut GpuNorm<D>, &mut GpuConv<D>),
    ) -> Result<(), BackboneError> {
        for (at, node) in self.graph.nodes.iter().enumerate() {
            if let Node::ConvNorm(n) = node {
                self.convolve(at, n, mode, running.again(), memory, stats, (room, convs))?;
            }
            self.store(at, node, memory, stats, winners.view_mut())?;
        }
        Ok(())
    }

    fn convolve(
        &self,
        at: usize,
        n: &ConvNorm,
        mode: NormMode,
        running: ViewMut<'_, f32>,
        memory: &mut Memory<'_, D>,
        stats: &mut Numbers<D>,
        (room, convs): (&mut GpuNorm<D>, &mut GpuConv<D>),
    ) -> Result<(), BackboneError> {
        let (driver, len) = (self.driver, self.graph.len(n.output, self.batch));
        self.correlate(at, n, memory, convs)?;
        let (gamma, beta) = norm_params(n, self.params);
        let made = memory.get::<A>(self.plan.convs[at], len);
        let stats = stats.part_mut(&n.channels);
        let epsilon = NORM_EPSILON as f32;
        let (place, gamma) = match (&n.shift, gamma) {
            (Shift::BatchNorm { running }, Some(gamma)) => (running.clone(), gamma),
            _ => {
                let (zeros, ones) = self.constants;
                let [zeros, ones] = [zeros, ones].map(|values| values.part(0..n.conv.out_channels));
                return Ok(gpu_norm_running(driver, (zeros, ones), (ones, beta), 0.0, stats)?);
            }
        };
        let (running_mean, running_var) = running.part(place).split_at(n.conv.out_channels);
        match mode {
            NormMode::Running => {
                let running = (running_mean.as_view(), running_var.as_view());
                gpu_norm_running(driver, running, (gamma, beta), epsilon, stats)?;
            }
            NormMode::Batch { track } => {
                let follow = track.then_some((NORM_MOMENTUM as f32, running_mean, running_var));
                gpu_norm_statistics(
                    driver,
                    room,
                    &n.norm_shape(self.batch),
                    made,
                    (gamma, beta),
                    epsilon,
                    follow,
                    stats,
                )?;
            }
        }
        Ok(())
    }

    /// The convolution alone.
    pub(super) fn correlate(
        &self,
        at: usize,
        n: &ConvNorm,
        memory: &mut Memory<'_, D>,
        convs: &mut GpuConv<D>,
    ) -> Result<(), BackboneError> {
        let mut conv = memory.take(self.plan.convs[at]);
        let x = memory.get::<A>(self.plan.values[n.input.0], self.graph.len(n.input, self.batch));
        let y = numbers_mut(&mut conv, self.graph.len(n.output, self.batch));
        let pass = ConvPass::Forward { x, weight: weight(n, self.weights), y, accumulate: false };
        convs.run(self.driver, &n.conv_shape(self.batch), pass)?;
        memory.put(self.plan.convs[at], conv);
        Ok(())
    }

    /// Works out the value of a node, whose convolution is there if it has one.
    pub(super) fn store(
        &self,
        at: usize,
        node: &Node,
        memory: &mut Memory<'_, D>,
        stats: &Numbers<D>,
        winners: ViewMut<'_, u8>,
    ) -> Result<(), BackboneError> {
        let (driver, graph, batch) = (self.driver, self.graph, self.batch);
        let len = |value: Value| graph.len(value, batch);
        let target = self.plan.values[node.output().0];
        let mut out = memory.take(target);
        let value = |value: Value| memory.get::<A>(self.plan.values[value.0], len(value));
        match node {
            Node::ConvNorm(n) => {
                let x = memory.get::<A>(self.plan.convs[at], len(n.output));
                let scale = stats.scale.view().part(n.channels.clone());
                let shift = stats.shift.view().part(n.channels.clone());
                let y = numbers_mut(&mut out, len(n.output));
                gpu_norm_apply(driver, x, (scale, shift), n.residual.map(value), n.relu, y)?;
            }
            Node::Weightless(n) => {
                let x = |which: usize| memory.bytes(self.plan.values[n.inputs()[which].0]);
                n.forward_on::<A, D>(driver, batch, x, winners, out.view_mut())?;
            }
        }
        memory.put(target, out);
        Ok(())
    }
}
