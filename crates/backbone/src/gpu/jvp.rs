//! The derivative of the features along a direction of the parameters, on the device.

use longtail_ops::gpu::{
    Activation, ConvPass, Driver, View, gpu_norm_products, gpu_norm_tangent_sums, gpu_norm_through,
};

use super::memory::{Memory, Narrow, Slots, TapeSlots, narrowed, numbers_mut};
use super::{GpuNetwork, GpuTape, norm_params, replay, weight};
use crate::error::BackboneError;
use crate::node::{ConvNorm, IMAGE, Node, Operation as _, Value};

/// A point, and a direction from it.
struct Along<'a, D: Driver, A> {
    tape: &'a GpuTape<D>,
    direction: View<'a, f32>,
    /// Parameters and direction as convolutions multiply them.
    weights: View<'a, A>,
    weights_dot: View<'a, A>,
}

pub(super) fn run<A: Activation, D: Driver>(
    network: &mut GpuNetwork<D>,
    params: View<'_, f32>,
    tape: &GpuTape<D>,
    direction: View<'_, f32>,
) -> Result<(), BackboneError> {
    // Away while the pass runs, so that all else can be written.
    let (mut arena, mut narrow) = (std::mem::take(&mut network.arena), std::mem::take(&mut network.narrow));
    let outcome = run_with::<A, D>(network, params, tape, direction, (&mut arena, &mut narrow));
    (network.arena, network.narrow) = (arena, narrow);
    outcome
}

fn run_with<A: Activation, D: Driver>(
    network: &mut GpuNetwork<D>,
    params: View<'_, f32>,
    tape: &GpuTape<D>,
    direction: View<'_, f32>,
    (arena, narrow): (&mut Slots<D>, &mut Narrow<D>),
) -> Result<(), BackboneError> {
    let weights = narrowed::<A, D>(&network.driver, params, &mut narrow.weights)?;
    let weights_dot = narrowed::<A, D>(&network.driver, direction, &mut narrow.direction)?;
    let along = Along { tape, direction, weights, weights_dot };
    let mut memory = Memory { images: tape.images.view(), tape: TapeSlots::None, arena };
    for segment in network.plan.segments.clone() {
        if network.plan.checkpointing() {
            replay::run(network, segment.clone(), params, weights, tape)?;
        }
        let inside = std::mem::take(&mut network.inside);
        let outcome = { segment }.try_for_each(|at| step(network, at, &along, &inside, &mut memory));
        network.inside = inside;
        outcome?;
    }
    Ok(())
}

fn step<A: Activation, D: Driver>(
    network: &mut GpuNetwork<D>,
    at: usize,
    along: &Along<'_, D, A>,
    inside: &Slots<D>,
    memory: &mut Memory<'_, D>,
) -> Result<(), BackboneError> {
    let (tape, batch) = (along.tape, along.tape.batch());
    if let Node::ConvNorm(n) = &network.graph.nodes[at] {
        let n = n.clone();
        convolve(network, at, &n, along, inside, memory)?;
    }
    let (driver, graph, plan) = (&network.driver, &network.graph, &network.plan.tangent);
    let node = &graph.nodes[at];
    let len = |value: Value| graph.len(value, batch);
    let target = plan.values[node.output().0];
    let mut out = memory.take(target);
    let out_len = len(node.output());
    let value = |value: Value| memory.get::<A>(plan.values[value.0], len(value));
    match node {
        Node::ConvNorm(n) => {
            let (x, x_dot) =
                (tape.get::<A>(inside, network.stored_conv(at, batch)), memory.get(plan.convs[at], out_len));
            let y = n.relu.then(|| tape.get(inside, network.stored(n.output, batch)));
            let rest = [
                tape.numbers.scale.view().part(n.channels.clone()),
                network.slope.view().part(n.channels.clone()),
                tape.numbers.mean.view().part(n.channels.clone()),
                network.offset.view().part(n.channels.clone()),
            ];
            gpu_norm_through(driver, (x_dot, x), rest, n.residual.map(value), y, numbers_mut(&mut out, out_len))?;
        }
        Node::Weightless(n) => {
            let x_dot = |which: usize| memory.bytes(plan.values[n.inputs()[which].0]);
            n.tangent_on::<A, D>(driver, batch, x_dot, tape.winners.view(), out.view_mut())?;
        }
    }
    memory.put(target, out);
    Ok(())
}

/// The convolution's tangent `conv(ẋ, w) + conv(x, ẇ)`, and what takes it through the batch norm.
fn convolve<A: Activation, D: Driver>(
    network: &mut GpuNetwork<D>,
    at: usize,
    n: &ConvNorm,
    along: &Along<'_, D, A>,
    inside: &Slots<D>,
    memory: &mut Memory<'_, D>,
) -> Result<(), BackboneError> {
    let (tape, batch, place) = (along.tape, along.tape.batch(), network.plan.tangent.convs[at]);
    let (weight, weight_dot) = (weight(n, along.weights), weight(n, along.weights_dot));
    let (gamma_dot, beta_dot) = norm_params(n, along.direction);
    let (len, shape) = (network.graph.len(n.output, batch), n.conv_shape(batch));
    let mut conv = memory.take(place);
    let (x, y) = (tape.get(inside, network.stored(n.input, batch)), numbers_mut(&mut conv, len));
    let primal = ConvPass::Forward { x, weight: weight_dot, y, accumulate: false };
    network.convs.run(&network.driver, &shape, primal)?;
    if n.input != IMAGE {
        let x_dot = memory.get(network.plan.tangent.values[n.input.0], network.graph.len(n.input, batch));
        let y = numbers_mut(&mut conv, len);
        let tangent = ConvPass::Forward { x: x_dot, weight, y, accumulate: true };
        network.convs.run(&network.driver, &shape, tangent)?;
    }
    let (x, norm) = (tape.get::<A>(inside, network.stored_conv(at, batch)), n.norm_shape(batch));
    let mean = tape.numbers.mean.view().part(n.channels.clone());
    let used =
        (tape.numbers.inv_std.view().part(n.channels.clone()), tape.numbers.scale.view().part(n.channels.clone()));
    let GpuNetwork { driver, room, slope, offset, zeros, .. } = network;
    let gamma_dot = gamma_dot.unwrap_or_else(|| zeros.view().part(0..n.conv.out_channels));
    let batch_stats = tape.batch_stats && n.is_normalized();
    gpu_norm_products(driver, room, &norm, numbers_mut(&mut conv, len), None, x, mean)?;
    let rest = (slope.view_mut().part(n.channels.clone()), offset.view_mut().part(n.channels.clone()));
    gpu_norm_tangent_sums(driver, room, &norm, used, (gamma_dot, beta_dot), batch_stats, rest)?;
    memory.put(place, conv);
    Ok(())
}
