//! From a gradient of the features to that of all parameters, on the device.

use longtail_ops::gpu::{
    Activation, ConvPass, Driver, GpuVec, View, ViewMut, gpu_add, gpu_norm_gradient_sums, gpu_norm_products,
    gpu_norm_through,
};

use super::memory::{Narrow, Slots, narrowed, numbers, numbers_mut, widened};
use super::{GpuNetwork, GpuTape, replay, weight};
use crate::error::BackboneError;
use crate::node::{ConvNorm, Node, Operation as _, Value, Weightless};
use crate::plan::ResidualGradient;

pub(super) fn run<A: Activation, D: Driver>(
    network: &mut GpuNetwork<D>,
    params: View<'_, f32>,
    tape: &GpuTape<D>,
    dfeatures: View<'_, f32>,
    mut grad: ViewMut<'_, f32>,
) -> Result<(), BackboneError> {
    let output = network.gradient_slot(network.graph.output);
    let mut start = network.arena.take(output);
    numbers_mut(&mut start, dfeatures.len()).copy_from(&network.driver, dfeatures)?;
    network.arena.put(output, start);
    // Away while the pass runs, so that all else can be written.
    let mut room = std::mem::take(&mut network.narrow.weights);
    let outcome = narrowed::<A, D>(&network.driver, params, &mut room)
        .and_then(|weights| walk(network, params, weights, tape, grad.again()));
    network.narrow.weights = room;
    outcome
}

fn walk<A: Activation, D: Driver>(
    network: &mut GpuNetwork<D>,
    params: View<'_, f32>,
    weights: View<'_, A>,
    tape: &GpuTape<D>,
    mut grad: ViewMut<'_, f32>,
) -> Result<(), BackboneError> {
    for segment in network.plan.segments.clone().into_iter().rev() {
        if network.plan.checkpointing() {
            replay::run(network, segment.clone(), params, weights, tape)?;
        }
        let inside = std::mem::take(&mut network.inside);
        let outcome = segment.rev().try_for_each(|at| match network.graph.nodes[at].clone() {
            Node::ConvNorm(n) => conv_norm::<A, D>(network, at, &n, weights, (tape, &inside), grad.again()),
            Node::Weightless(n) => weightless::<A, D>(network, at, &n, tape),
        });
        network.inside = inside;
        outcome?;
    }
    Ok(())
}

/// Takes a value's gradient out to write to it.
fn take<D: Driver>(network: &mut GpuNetwork<D>, value: Value) -> GpuVec<u8, D> {
    let slot = network.gradient_slot(value);
    network.arena.take(slot)
}

fn put<D: Driver>(network: &mut GpuNetwork<D>, value: Value, buffer: GpuVec<u8, D>) {
    let slot = network.gradient_slot(value);
    network.arena.put(slot, buffer);
}

fn conv_norm<A: Activation, D: Driver>(
    network: &mut GpuNetwork<D>,
    at: usize,
    n: &ConvNorm,
    weights: View<'_, A>,
    (tape, inside): (&GpuTape<D>, &Slots<D>),
    grad: ViewMut<'_, f32>,
) -> Result<(), BackboneError> {
    let batch = tape.batch();
    let weight = weight(n, weights);
    let (dweight, dnorm) = grad.part(n.params.clone()).split_at(n.conv.weight_len());
    let (dgamma, dbeta) = match n.is_normalized() {
        true => {
            let (dgamma, dbeta) = dnorm.split_at(n.conv.out_channels);
            (Some(dgamma), dbeta)
        }
        false => (None, dnorm),
    };
    let len = network.graph.len(n.output, batch);
    let input_len = network.graph.len(n.input, batch);
    let mean = tape.numbers.mean.view().part(n.channels.clone());
    let inv_std = tape.numbers.inv_std.view().part(n.channels.clone());
    let scale = tape.numbers.scale.view().part(n.channels.clone());
    let x = tape.get::<A>(inside, network.stored_conv(at, batch));

    // The incoming gradient is shut where the ReLU was, and summed.
    let mut incoming = take(network, n.output);
    let shape = n.norm_shape(batch);
    let y = n.relu.then(|| tape.get::<A>(inside, network.stored(n.output, batch)));
    let (driver, room) = (&network.driver, &mut network.room);
    gpu_norm_products(driver, room, &shape, numbers_mut(&mut incoming, len), y, x, mean)?;
    let slope = network.slope.view_mut().part(n.channels.clone());
    let offset = network.offset.view_mut().part(n.channels.clone());
    let dgamma = dgamma.unwrap_or_else(|| network.unused.view_mut().part(0..n.conv.out_channels));
    let batch_stats = tape.batch_stats && n.is_normalized();
    gpu_norm_gradient_sums(driver, room, &shape, (inv_std, scale), batch_stats, (dgamma, dbeta), (slope, offset))?;
    let rest =
        [scale, network.slope.view().part(n.channels.clone()), mean, network.offset.view().part(n.channels.clone())];
    let through = numbers_mut(&mut network.through, len);
    gpu_norm_through(driver, (numbers(&incoming, len), x), rest, None, None, through)?;
    put(network, n.output, incoming);

    if let Some(residual) = n.residual {
        let how = network.plan.backward.residuals[at];
        if matches!(how, ResidualGradient::Copied | ResidualGradient::Added) {
            let mut buffer = take(network, residual);
            let from = network.arena.view::<A>(network.gradient_slot(n.output), len);
            let to = numbers_mut(&mut buffer, len);
            match how {
                ResidualGradient::Added => gpu_add(&network.driver, to, from)?,
                _ => to.copy_from(&network.driver, from)?,
            }
            put(network, residual, buffer);
        }
    }

    let shape = n.conv_shape(batch);
    let x = tape.get::<A>(inside, network.stored(n.input, batch));
    let GpuNetwork { driver, convs, through, narrow: Narrow { dweight: room, .. }, .. } = network;
    let dy = numbers(through, len);
    widened(driver, dweight, room, |dweight| {
        Ok(convs.run(driver, &shape, ConvPass::WeightGradient { x, dy, dweight })?)
    })?;
    if network.plan.backward.values[n.input.0].is_some() {
        let mut dinput = take(network, n.input);
        let (dx, accumulate) = (numbers_mut(&mut dinput, input_len), network.plan.backward.accumulate[at][0]);
        let GpuNetwork { driver, convs, through, .. } = network;
        let dy = numbers::<A, D>(through, len);
        convs.run(driver, &shape, ConvPass::InputGradient { dy, weight, dx, accumulate })?;
        put(network, n.input, dinput);
    }
    Ok(())
}

fn weightless<A: Activation, D: Driver>(
    network: &mut GpuNetwork<D>,
    at: usize,
    node: &Weightless,
    tape: &GpuTape<D>,
) -> Result<(), BackboneError> {
    for (which, &input) in node.inputs().iter().enumerate() {
        if network.plan.backward.values[input.0].is_none() {
            continue;
        }
        let (mut buffer, add) = (take(network, input), network.plan.backward.accumulate[at][which]);
        let dy = network.arena.bytes(network.gradient_slot(node.output()));
        let (winners, dx) = (tape.winners.view(), buffer.view_mut());
        node.backward_on::<A, D>(&network.driver, tape.batch(), which, dy, winners, dx, add)?;
        put(network, input, buffer);
    }
    Ok(())
}
