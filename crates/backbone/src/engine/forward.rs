//! From images to features: with a tape for training, without one for inference. One interpreter serves both, so an image's
//! features under running statistics are the same bits either way.

use longtail_ops::{
    PoolShape, Real, ShortcutShape, Workspace, batch_norm_apply, batch_norm_statistics, conv2d, global_avg_pool,
    inverse_std, max_pool, option_a_shortcut, update_running,
};

use super::buffers::Memory;
use super::tape::Statistics;
use super::{NORM_EPSILON, NORM_MOMENTUM};
use crate::graph::{ConvNorm, Graph, Node};
use crate::plan::ForwardPass;

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
        let len = |value| graph.len(value, batch);
        let target = pass.values[node.output().0];
        let mut out = memory.take(target);
        let y = &mut out[..len(node.output())];
        match node {
            Node::ConvNorm(n) => {
                let (weight, gamma, beta) = n.split(params);
                let mut conv = memory.take(pass.convs[at]);
                let x = &mut conv[..y.len()];
                conv2d(&n.conv_shape(batch), memory.get(pass.values[n.input.0], len(n.input)), weight, x, workspace);
                normalizers(n, x, batch, &mut source, statistics);
                let (mean, inv_std) = (&statistics.mean[n.channels.clone()], &statistics.inv_std[n.channels.clone()]);
                let residual = n.residual.map(|r| memory.get(pass.values[r.0], len(r)));
                batch_norm_apply(&n.norm_shape(batch), x, mean, inv_std, gamma, beta, residual, n.relu, y);
                memory.put(pass.convs[at], conv);
            }
            Node::Shortcut { input, shape, .. } => {
                let shape = ShortcutShape { batch, ..*shape };
                option_a_shortcut(&shape, memory.get(pass.values[input.0], len(*input)), y);
            }
            Node::MaxPool { input, shape, winners, .. } => {
                let x = memory.get(pass.values[input.0], len(*input));
                let argmax = &mut argmax[batch * winners.start..batch * winners.end];
                max_pool(&PoolShape { batch, ..*shape }, x, y, argmax);
            }
            Node::GlobalPool { input, .. } => {
                let from = graph.shape(*input);
                let x = memory.get(pass.values[input.0], len(*input));
                global_avg_pool(batch, from.height * from.width, from.channels, x, y);
            }
            Node::Concat { inputs, output } => {
                let width = graph.shape(*output).channels;
                let mut first = 0;
                for &input in inputs {
                    let channels = graph.shape(input).channels;
                    concat_part(memory.get(pass.values[input.0], len(input)), channels, first, width, y);
                    first += channels;
                }
            }
        }
        memory.put(target, out);
    }
}

/// Fills in the mean and 1/σ that this batch norm uses, and lets running statistics follow the batch where asked.
fn normalizers<T: Real>(
    n: &ConvNorm,
    x: &[T],
    batch: usize,
    source: &mut Source<'_, T>,
    statistics: &mut Statistics<T>,
) {
    let Statistics { mean, var, inv_std } = statistics;
    let (mean, var) = (&mut mean[n.channels.clone()], &mut var[n.channels.clone()]);
    let channels = mean.len();
    match source {
        Source::Running(running) => {
            let (running_mean, running_var) = running[n.running.clone()].split_at(channels);
            mean.copy_from_slice(running_mean);
            var.copy_from_slice(running_var);
        }
        Source::Batch(running) => {
            let shape = n.norm_shape(batch);
            batch_norm_statistics(&shape, x, mean, var);
            if let Some(running) = running {
                let (running_mean, running_var) = running[n.running.clone()].split_at_mut(channels);
                update_running(running_mean, running_var, mean, var, shape.rows, NORM_MOMENTUM);
            }
        }
    }
    inverse_std(var, NORM_EPSILON, &mut inv_std[n.channels.clone()]);
}

/// Copies one input's channels to their place among the output's `width` channels.
pub(super) fn concat_part<T: Real>(x: &[T], channels: usize, first: usize, width: usize, y: &mut [T]) {
    for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(width)) {
        y[first..first + channels].copy_from_slice(x);
    }
}
