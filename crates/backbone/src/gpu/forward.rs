//! From images to features on the device.

use longtail_ops::gpu::{
    ConvPass, Driver, GpuConv, GpuNorm, GpuVec, View, ViewMut, gpu_concat_part, gpu_max_pool, gpu_mean_pool,
    gpu_norm_apply, gpu_norm_running, gpu_norm_statistics, gpu_shortcut,
};
use longtail_ops::{PoolShape, ShortcutShape};

use super::tape::Numbers;
use super::{Memory, split};
use crate::engine::{NORM_EPSILON, NORM_MOMENTUM, NormMode};
use crate::error::BackboneError;
use crate::graph::{ConvNorm, Graph, Node};
use crate::plan::ForwardPass;

/// One pass over one batch.
pub(super) struct Pass<'a, D: Driver> {
    pub(super) driver: &'a D,
    pub(super) graph: &'a Graph,
    pub(super) plan: &'a ForwardPass,
    pub(super) params: View<'a, f32>,
    pub(super) batch: usize,
}

impl<D: Driver> Pass<'_, D> {
    pub(super) fn run(
        &self,
        mode: NormMode,
        mut running: ViewMut<'_, f32>,
        memory: &mut Memory<'_, D>,
        numbers: &mut Numbers<D>,
        winners: &mut GpuVec<u8, D>,
        (room, convs): (&mut GpuNorm<D>, &mut GpuConv<D>),
    ) -> Result<(), BackboneError> {
        for (at, node) in self.graph.nodes.iter().enumerate() {
            if let Node::ConvNorm(n) = node {
                self.convolve(at, n, mode, running.again(), memory, numbers, (room, convs))?;
            }
            self.store(at, node, memory, numbers, winners)?;
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
        numbers: &mut Numbers<D>,
        (room, convs): (&mut GpuNorm<D>, &mut GpuConv<D>),
    ) -> Result<(), BackboneError> {
        let (driver, len) = (self.driver, self.graph.len(n.output, self.batch));
        let (weight, gamma, beta) = split(n, self.params);
        let mut conv = memory.take(self.plan.convs[at]);
        let x = memory.get(self.plan.values[n.input.0], self.graph.len(n.input, self.batch));
        let y = conv.view_mut().part(0..len);
        convs.run(driver, &n.conv_shape(self.batch), ConvPass::Forward { x, weight, y, accumulate: false })?;
        let (running_mean, running_var) = running.part(n.running.clone()).split_at(n.conv.out_channels);
        let numbers = numbers.part_mut(&n.channels);
        let epsilon = NORM_EPSILON as f32;
        match mode {
            NormMode::Running => {
                let running = (running_mean.as_view(), running_var.as_view());
                gpu_norm_running(driver, running, (gamma, beta), epsilon, numbers)?;
            }
            NormMode::Batch { track } => {
                let follow = track.then_some((NORM_MOMENTUM as f32, running_mean, running_var));
                let (shape, made) = (n.norm_shape(self.batch), conv.view().part(0..len));
                gpu_norm_statistics(driver, room, &shape, made, (gamma, beta), epsilon, follow, numbers)?;
            }
        }
        memory.put(self.plan.convs[at], conv);
        Ok(())
    }

    fn store(
        &self,
        at: usize,
        node: &Node,
        memory: &mut Memory<'_, D>,
        numbers: &Numbers<D>,
        winners: &mut GpuVec<u8, D>,
    ) -> Result<(), BackboneError> {
        let (driver, graph, batch) = (self.driver, self.graph, self.batch);
        let len = |value| graph.len(value, batch);
        let target = self.plan.values[node.output().0];
        let mut out = memory.take(target);
        let y = out.view_mut().part(0..len(node.output()));
        let value = |value: crate::graph::Value| memory.get(self.plan.values[value.0], len(value));
        match node {
            Node::ConvNorm(n) => {
                let x = memory.get(self.plan.convs[at], y.len());
                let scale = numbers.scale.view().part(n.channels.clone());
                let shift = numbers.shift.view().part(n.channels.clone());
                gpu_norm_apply(driver, x, (scale, shift), n.residual.map(value), n.relu, y)?;
            }
            Node::Shortcut { input, shape, .. } => {
                gpu_shortcut(driver, &ShortcutShape { batch, ..*shape }, value(*input), y)?;
            }
            Node::MaxPool { input, shape, winners: place, .. } => {
                let winners = winners.view_mut().part(batch * place.start..batch * place.end);
                gpu_max_pool(driver, &PoolShape { batch, ..*shape }, value(*input), y, winners)?;
            }
            Node::GlobalPool { input, .. } => {
                let from = graph.shape(*input);
                gpu_mean_pool(driver, (batch, from.height * from.width, from.channels), value(*input), y)?;
            }
            Node::Concat { inputs, output } => {
                let (width, mut first, mut y) = (graph.shape(*output).channels, 0, y);
                for &input in inputs {
                    let channels = graph.shape(input).channels;
                    gpu_concat_part(driver, value(input), channels, (first, width), y.again())?;
                    first += channels;
                }
            }
        }
        memory.put(target, out);
        Ok(())
    }
}
