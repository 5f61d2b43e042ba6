//! The derivative of the features along a direction of the parameters, read off a tape.
//!
//! A convolution's tangent is `conv(ẋ, w) + conv(x, ẇ)`; batch norm's has the tangents of the batch's mean and variance in it;
//! the ReLU lets through where it did, a max pool what it did; all else is linear.

use longtail_ops::{
    PoolShape, Real, ShortcutShape, Workspace, axpy, batch_norm_jvp, conv2d, global_avg_pool, max_pool_tangent,
    option_a_shortcut,
};

use super::buffers::Memory;
use super::forward::concat_part;
use super::tape::Tape;
use crate::graph::{Graph, IMAGE, Node};
use crate::plan::{ForwardPass, Plan};

pub(super) fn run<T: Real>(
    graph: &Graph,
    plan: &Plan,
    params: &[T],
    direction: &[T],
    tape: &Tape<T>,
    memory: &mut Memory<'_, T>,
    workspace: &mut Workspace<T>,
) {
    let batch = tape.batch;
    let pass: &ForwardPass = &plan.tangent;
    for (at, node) in graph.nodes.iter().enumerate() {
        let len = |value| graph.len(value, batch);
        let target = pass.values[node.output().0];
        let mut out = memory.take(target);
        let y_dot = &mut out[..len(node.output())];
        match node {
            Node::ConvNorm(n) => {
                let (weight, gamma, _) = n.split(params);
                let (weight_dot, gamma_dot, beta_dot) = n.split(direction);
                let shape = n.conv_shape(batch);
                let mut conv = memory.take(pass.convs[at]);
                let x_dot = &mut conv[..y_dot.len()];
                let input = tape.get(plan.forward.values[n.input.0], len(n.input));
                conv2d(&shape, input, weight_dot, x_dot, workspace);
                if n.input != IMAGE {
                    let mut second = memory.take(pass.seconds[at]);
                    let part = &mut second[..x_dot.len()];
                    conv2d(&shape, memory.get(pass.values[n.input.0], len(n.input)), weight, part, workspace);
                    axpy(x_dot, T::ONE, part);
                    memory.put(pass.seconds[at], second);
                }
                let x = tape.get(plan.forward.convs[at], len(n.output));
                let y = n.relu.then(|| tape.get(plan.forward.values[n.output.0], len(n.output)));
                let (mean, inv_std) =
                    (&tape.statistics.mean[n.channels.clone()], &tape.statistics.inv_std[n.channels.clone()]);
                let residual_dot = n.residual.map(|r| memory.get(pass.values[r.0], len(r)));
                let shape = n.norm_shape(batch);
                batch_norm_jvp(
                    &shape,
                    x,
                    x_dot,
                    mean,
                    inv_std,
                    gamma,
                    gamma_dot,
                    beta_dot,
                    residual_dot,
                    y,
                    y_dot,
                    tape.batch_stats,
                );
                memory.put(pass.convs[at], conv);
            }
            Node::Shortcut { input, shape, .. } => {
                let shape = ShortcutShape { batch, ..*shape };
                option_a_shortcut(&shape, memory.get(pass.values[input.0], len(*input)), y_dot);
            }
            Node::MaxPool { input, shape, winners, .. } => {
                let x_dot = memory.get(pass.values[input.0], len(*input));
                let argmax = &tape.winners[batch * winners.start..batch * winners.end];
                max_pool_tangent(&PoolShape { batch, ..*shape }, x_dot, argmax, y_dot);
            }
            Node::GlobalPool { input, .. } => {
                let from = graph.shape(*input);
                let x_dot = memory.get(pass.values[input.0], len(*input));
                global_avg_pool(batch, from.height * from.width, from.channels, x_dot, y_dot);
            }
            Node::Concat { inputs, output } => {
                let width = graph.shape(*output).channels;
                let mut first = 0;
                for &input in inputs {
                    let channels = graph.shape(input).channels;
                    concat_part(memory.get(pass.values[input.0], len(input)), channels, first, width, y_dot);
                    first += channels;
                }
            }
        }
        memory.put(target, out);
    }
}
