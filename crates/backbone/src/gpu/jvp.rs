//! The derivative of the features along a direction of the parameters, on the device.

use longtail_ops::gpu::{
    ConvPass, Driver, View, gpu_concat_part, gpu_max_pool_tangent, gpu_mean_pool, gpu_norm_products,
    gpu_norm_tangent_sums, gpu_norm_through, gpu_shortcut,
};
use longtail_ops::{PoolShape, ShortcutShape};

use super::{GpuNetwork, GpuTape, Memory, split};
use crate::error::BackboneError;
use crate::graph::{ConvNorm, IMAGE, Node, Value};

pub(super) fn run<D: Driver>(
    network: &mut GpuNetwork<D>,
    params: View<'_, f32>,
    tape: &GpuTape<D>,
    direction: View<'_, f32>,
) -> Result<(), BackboneError> {
    let mut arena = std::mem::take(&mut network.arena);
    let mut memory = Memory { images: tape.images.view(), tape: None, arena: &mut arena };
    let outcome =
        (0..network.graph.nodes.len()).try_for_each(|at| step(network, at, params, tape, direction, &mut memory));
    network.arena = arena;
    outcome
}

fn step<D: Driver>(
    network: &mut GpuNetwork<D>,
    at: usize,
    params: View<'_, f32>,
    tape: &GpuTape<D>,
    direction: View<'_, f32>,
    memory: &mut Memory<'_, D>,
) -> Result<(), BackboneError> {
    let batch = tape.batch();
    if let Node::ConvNorm(n) = &network.graph.nodes[at] {
        let n = n.clone();
        convolve(network, at, &n, params, tape, direction, memory)?;
    }
    let (driver, graph, plan) = (&network.driver, &network.graph, &network.plan.tangent);
    let node = &graph.nodes[at];
    let len = |value: Value| graph.len(value, batch);
    let target = plan.values[node.output().0];
    let mut out = memory.take(target);
    let y_dot = out.view_mut().part(0..len(node.output()));
    let value = |value: Value| memory.get(plan.values[value.0], len(value));
    match node {
        Node::ConvNorm(n) => {
            let (x, x_dot) = (tape.conv(network, at), memory.get(plan.convs[at], y_dot.len()));
            let y = n.relu.then(|| tape.value(network, n.output));
            let rest = [
                tape.numbers.scale.view().part(n.channels.clone()),
                network.slope.view().part(n.channels.clone()),
                tape.numbers.mean.view().part(n.channels.clone()),
                network.offset.view().part(n.channels.clone()),
            ];
            gpu_norm_through(driver, (x_dot, x), rest, n.residual.map(value), y, y_dot)?;
        }
        Node::Shortcut { input, shape, .. } => {
            gpu_shortcut(driver, &ShortcutShape { batch, ..*shape }, value(*input), y_dot)?;
        }
        Node::MaxPool { input, shape, winners, .. } => {
            let winners = tape.winners.view().part(batch * winners.start..batch * winners.end);
            gpu_max_pool_tangent(driver, &PoolShape { batch, ..*shape }, value(*input), winners, y_dot)?;
        }
        Node::GlobalPool { input, .. } => {
            let from = graph.shape(*input);
            gpu_mean_pool(driver, (batch, from.height * from.width, from.channels), value(*input), y_dot)?;
        }
        Node::Concat { inputs, output } => {
            let (width, mut first, mut y_dot) = (graph.shape(*output).channels, 0, y_dot);
            for &input in inputs {
                let channels = graph.shape(input).channels;
                gpu_concat_part(driver, value(input), channels, (first, width), y_dot.again())?;
                first += channels;
            }
        }
    }
    memory.put(target, out);
    Ok(())
}

/// The convolution's tangent `conv(ẋ, w) + conv(x, ẇ)`, and what takes it through the batch norm.
fn convolve<D: Driver>(
    network: &mut GpuNetwork<D>,
    at: usize,
    n: &ConvNorm,
    params: View<'_, f32>,
    tape: &GpuTape<D>,
    direction: View<'_, f32>,
    memory: &mut Memory<'_, D>,
) -> Result<(), BackboneError> {
    let (batch, place) = (tape.batch(), network.plan.tangent.convs[at]);
    let (weight, ..) = split(n, params);
    let (weight_dot, gamma_dot, beta_dot) = split(n, direction);
    let (len, shape) = (network.graph.len(n.output, batch), n.conv_shape(batch));
    let mut conv = memory.take(place);
    let (x, y) = (tape.value(network, n.input), conv.view_mut().part(0..len));
    let primal = ConvPass::Forward { x, weight: weight_dot, y, accumulate: false };
    network.convs.run(&network.driver, &shape, primal)?;
    if n.input != IMAGE {
        let x_dot = memory.get(network.plan.tangent.values[n.input.0], network.graph.len(n.input, batch));
        let y = conv.view_mut().part(0..len);
        let tangent = ConvPass::Forward { x: x_dot, weight, y, accumulate: true };
        network.convs.run(&network.driver, &shape, tangent)?;
    }
    let (x, norm) = (tape.conv(network, at), n.norm_shape(batch));
    let mean = tape.numbers.mean.view().part(n.channels.clone());
    let numbers =
        (tape.numbers.inv_std.view().part(n.channels.clone()), tape.numbers.scale.view().part(n.channels.clone()));
    let GpuNetwork { driver, room, slope, offset, .. } = network;
    gpu_norm_products(driver, room, &norm, conv.view_mut().part(0..len), None, x, mean)?;
    let rest = (slope.view_mut().part(n.channels.clone()), offset.view_mut().part(n.channels.clone()));
    gpu_norm_tangent_sums(driver, room, &norm, numbers, (gamma_dot, beta_dot), tape.batch_stats, rest)?;
    memory.put(place, conv);
    Ok(())
}
