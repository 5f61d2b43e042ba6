//! From images to features: with a tape for training, without one for inference. One interpreter serves both, so an image's
//! features under running statistics are the same bits either way.

use longtail_ops::{Operand, Real, Tally, Workspace, batch_norm_apply, conv2d_fused, inverse_std, update_running};

use super::buffers::Memory;
use super::tape::Statistics;
use super::{NORM_EPSILON, NORM_MOMENTUM};
use crate::graph::Graph;
use crate::node::{ConvNorm, Node, Operation as _, Shift, Value};
use crate::plan::{ForwardPass, Place};

/// Where batch norms take mean and variance from.
pub(super) enum Source<'a, T> {
    /// The batch; running statistics follow it when they are given.
    Batch(Option<&'a mut [T]>),
    /// Running statistics.
    Running(&'a [T]),
}

pub(super) fn run<T: Real>(
    graph: &Graph,
    pass: &ForwardPass,
    params: &[T],
    mut source: Source<'_, T>,
    batch: usize,
    memory: &mut Memory<'_, T>,
    statistics: &mut Statistics<T>,
    argmax: &mut [u8],
    workspace: &mut Workspace<T>,
) {
    for (at, node) in graph.nodes.iter().enumerate() {
        if let Node::ConvNorm(n) = node {
            convolve(graph, pass, at, n, params, &mut source, batch, memory, statistics, workspace);
            if pass.values[n.output.0] == Place::Lazy(at) {
                continue;
            }
        }
        store(graph, pass, at, params, batch, memory, statistics, argmax);
    }
}

/// Works out the value of a node, whose convolution is there if it has one, where the pass wants it stored.
pub(super) fn store<T: Real>(
    graph: &Graph,
    pass: &ForwardPass,
    at: usize,
    params: &[T],
    batch: usize,
    memory: &mut Memory<'_, T>,
    statistics: &Statistics<T>,
    argmax: &mut [u8],
) {
    let (node, len) = (&graph.nodes[at], |value| graph.len(value, batch));
    let target = pass.values[node.output().0];
    let mut out = memory.take(target);
    let y = &mut out[..len(node.output())];
    match node {
        Node::ConvNorm(n) => {
            let (_, gamma, beta) = n.split(params);
            let x = memory.get(pass.convs[at], y.len());
            let (mean, inv_std) = (&statistics.mean[n.channels.clone()], &statistics.inv_std[n.channels.clone()]);
            let gamma = if n.is_normalized() { gamma } else { inv_std }; // ones
            let residual = n.residual.map(|r| memory.get(pass.values[r.0], len(r)));
            batch_norm_apply(&n.norm_shape(batch), x, mean, inv_std, gamma, beta, residual, n.relu, y);
        }
        Node::Weightless(n) => {
            let x = |which: usize| {
                let input = n.inputs()[which];
                memory.get(pass.values[input.0], len(input))
            };
            n.forward(batch, x, argmax, y);
        }
    }
    memory.put(target, out);
}

/// The convolution, and what its batch norm (or its bias) goes by: mean and variance come out of the convolution on the way.
fn convolve<T: Real>(
    graph: &Graph,
    pass: &ForwardPass,
    at: usize,
    n: &ConvNorm,
    params: &[T],
    source: &mut Source<'_, T>,
    batch: usize,
    memory: &mut Memory<'_, T>,
    statistics: &mut Statistics<T>,
    workspace: &mut Workspace<T>,
) {
    let (weight, gamma, beta) = n.split(params);
    let mut conv = memory.take(pass.convs[at]);
    let x = &mut conv[..graph.len(n.output, batch)];
    let Statistics { mean, var, inv_std, scale, shift } = statistics;
    let tally = match source {
        _ if !n.is_normalized() => Tally::None,
        Source::Batch(_) => Tally::Moments { mean: &mut mean[n.channels.clone()], var: &mut var[n.channels.clone()] },
        Source::Running(_) => Tally::None,
    };
    let input = operand(graph, pass, n.input, batch, memory, scale, shift);
    conv2d_fused(&n.conv_shape(batch), &[(input, weight)], x, tally, workspace);
    memory.put(pass.convs[at], conv);

    let (mean, var) = (&mut mean[n.channels.clone()], &mut var[n.channels.clone()]);
    let channels = mean.len();
    let running_place = match &n.shift {
        Shift::BatchNorm { running } => running.clone(),
        Shift::Bias => {
            mean.fill(T::ZERO);
            inv_std[n.channels.clone()].fill(T::ONE);
            scale[n.channels.clone()].fill(T::ONE);
            shift[n.channels.clone()].copy_from_slice(beta);
            return;
        }
    };
    match source {
        Source::Running(running) => {
            let (running_mean, running_var) = running[running_place].split_at(channels);
            mean.copy_from_slice(running_mean);
            var.copy_from_slice(running_var);
        }
        Source::Batch(Some(running)) => {
            let (running_mean, running_var) = running[running_place].split_at_mut(channels);
            update_running(running_mean, running_var, mean, var, n.norm_shape(batch).rows, NORM_MOMENTUM);
        }
        Source::Batch(None) => {}
    }
    inverse_std(var, NORM_EPSILON, &mut inv_std[n.channels.clone()]);
    for (c, at) in n.channels.clone().enumerate() {
        scale[at] = gamma[c] * inv_std[at];
        shift[at] = beta[c] - mean[c] * inv_std[at] * gamma[c];
    }
}

/// How a convolution reads a value of this pass.
pub(super) fn operand<'a, T: Real>(
    graph: &Graph,
    pass: &ForwardPass,
    value: Value,
    batch: usize,
    memory: &'a Memory<'_, T>,
    scale: &'a [T],
    shift: &'a [T],
) -> Operand<'a, T> {
    let len = graph.len(value, batch);
    match pass.values[value.0] {
        Place::Lazy(node) => {
            let n = graph.conv_norm(node);
            let (scale, shift) = (&scale[n.channels.clone()], &shift[n.channels.clone()]);
            Operand::Normalized { x: memory.get(pass.convs[node], len), scale, shift, relu: n.relu }
        }
        place => Operand::Stored(memory.get(place, len)),
    }
}
