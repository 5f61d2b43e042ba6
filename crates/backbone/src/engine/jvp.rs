//! The derivative of the features along a direction of the parameters, read off a tape.
//!
//! A convolution's tangent is `conv(ẋ, w) + conv(x, ẇ)`; batch norm's has the tangents of the batch's mean and variance in it;
//! the ReLU lets through where it did; all else is linear.

use std::ops::Range;

use longtail_ops::{Mask, NormRest, Operand, Real, Tally, ThroughNorm, Workspace, batch_norm_tangent, conv2d_fused};

use super::buffers::{Buffers, Memory};
use super::replay;
use super::tape::{Coefficients, Statistics, Tape, View};
use crate::graph::Graph;
use crate::node::{ConvNorm, IMAGE, Node, Operation as _, Value};
use crate::plan::{ForwardPass, Place, Plan};

pub(super) fn run<T: Real>(
    graph: &Graph,
    plan: &Plan,
    params: &[T],
    direction: &[T],
    tape: &Tape<T>,
    memory: &mut Memory<'_, T>,
    inside: &mut Buffers<T>,
    coefficients: &mut Coefficients<T>,
    workspace: &mut Workspace<T>,
) {
    for segment in &plan.segments {
        if plan.checkpointing() {
            replay::run(graph, plan, segment.clone(), params, tape, inside, workspace);
        }
        let view = View { graph, plan, tape, inside };
        walk(view, segment.clone(), params, direction, memory, coefficients, workspace);
    }
}

/// One segment, whose activations are there.
fn walk<T: Real>(
    view: View<'_, T>,
    segment: Range<usize>,
    params: &[T],
    direction: &[T],
    memory: &mut Memory<'_, T>,
    coefficients: &mut Coefficients<T>,
    workspace: &mut Workspace<T>,
) {
    let View { graph, plan, tape, .. } = view;
    let batch = tape.batch;
    let pass: &ForwardPass = &plan.tangent;
    for at in segment {
        let node = &graph.nodes[at];
        let len = |value| graph.len(value, batch);
        if let Node::ConvNorm(n) = node {
            convolve(view, at, n, params, direction, memory, coefficients, workspace);
            if pass.values[n.output.0] == Place::Lazy(at) {
                continue;
            }
        }
        let target = pass.values[node.output().0];
        let mut out = memory.take(target);
        let y_dot = &mut out[..len(node.output())];
        match node {
            Node::ConvNorm(n) => {
                let x = view.conv(at);
                let y = n.relu.then(|| view.value(n.output));
                let x_dot = memory.get(pass.convs[at], y_dot.len());
                let residual_dot = n.residual.map(|r| memory.get(pass.values[r.0], len(r)));
                let ThroughNorm { scale, rest } = map(n, tape, &coefficients.slope, &coefficients.offset);
                let rest = rest.expect("a tangent always hangs on x");
                batch_norm_tangent(&n.norm_shape(batch), x, x_dot, scale, &rest, residual_dot, y, y_dot);
            }
            Node::Weightless(n) => {
                let x_dot = |which: usize| {
                    let input = n.inputs()[which];
                    memory.get(pass.values[input.0], len(input))
                };
                n.tangent(batch, x_dot, &tape.winners, y_dot);
            }
        }
        memory.put(target, out);
    }
}

/// The convolution's tangent, and the coefficients of its way through the batch norm.
///
/// With `x̂' = inv_std·(ẋ − mean(ẋ) − x̂·mean(x̂·ẋ))` on the batch's statistics, else `inv_std·ẋ`, the batch norm's tangent is
/// `γ·x̂' + γ̇·x̂ + β̇`.
fn convolve<T: Real>(
    view: View<'_, T>,
    at: usize,
    n: &ConvNorm,
    params: &[T],
    direction: &[T],
    memory: &mut Memory<'_, T>,
    coefficients: &mut Coefficients<T>,
    workspace: &mut Workspace<T>,
) {
    let View { graph, plan, tape, .. } = view;
    let (weight, ..) = n.split(params);
    let (weight_dot, gamma_dot, beta_dot) = n.split(direction);
    let (pass, statistics, channels) = (&plan.tangent, &tape.statistics, n.channels.clone());
    let mut conv = memory.take(pass.convs[at]);
    let x_dot = &mut conv[..graph.len(n.output, tape.batch)];
    let Coefficients { sums, slope, offset } = coefficients;
    let batch_stats = tape.batch_stats && n.is_normalized();
    let tally = match batch_stats {
        true => Tally::Products {
            x: view.conv(at),
            centre: &statistics.mean[channels.clone()],
            mask: Mask::Open,
            sum: &mut sums.sum[channels.clone()],
            product: &mut sums.product[channels.clone()],
        },
        false => Tally::None,
    };
    let shape = n.conv_shape(tape.batch);
    let primal = (view.operand(n.input), weight_dot);
    if n.input == IMAGE {
        conv2d_fused(&shape, &[primal], x_dot, tally, workspace);
    } else {
        let tangent = operand(view, n.input, memory, slope, offset);
        conv2d_fused(&shape, &[primal, (tangent, weight)], x_dot, tally, workspace);
    }
    memory.put(pass.convs[at], conv);

    let rows = T::from_usize(n.norm_shape(tape.batch).rows);
    for (c, at) in channels.enumerate() {
        let (scale, inv_std) = (statistics.scale[at], statistics.inv_std[at]);
        slope[at] = if n.is_normalized() { gamma_dot[c] * inv_std } else { T::ZERO };
        offset[at] = beta_dot[c];
        if batch_stats {
            slope[at] -= scale * inv_std * inv_std * (sums.product[at] / rows);
            offset[at] -= scale * (sums.sum[at] / rows);
        }
    }
}

/// How a tangent goes through the batch norm of a node whose coefficients are known.
fn map<'a, T: Real>(n: &ConvNorm, tape: &'a Tape<T>, slope: &'a [T], offset: &'a [T]) -> ThroughNorm<'a, T> {
    let channels = n.channels.clone();
    let rest = NormRest {
        slope: &slope[channels.clone()],
        centre: &tape.statistics.mean[channels.clone()],
        offset: &offset[channels.clone()],
    };
    ThroughNorm { scale: &tape.statistics.scale[channels], rest: Some(rest) }
}

/// How a convolution reads the tangent of a value.
fn operand<'a, T: Real>(
    view: View<'a, T>,
    value: Value,
    memory: &'a Memory<'_, T>,
    slope: &'a [T],
    offset: &'a [T],
) -> Operand<'a, T> {
    let View { graph, plan, tape, .. } = view;
    let (pass, len) = (&plan.tangent, graph.len(value, tape.batch));
    match pass.values[value.0] {
        Place::Lazy(node) => {
            let n = graph.conv_norm(node);
            let Statistics { scale, shift, .. } = &tape.statistics;
            Operand::Through {
                v: memory.get(pass.convs[node], len),
                x: view.conv(node),
                map: map(n, tape, slope, offset),
                relu: n.relu.then(|| (&scale[n.channels.clone()], &shift[n.channels.clone()])),
            }
        }
        place => Operand::Stored(memory.get(place, len)),
    }
}
