//! From a gradient of the features to the gradient of all parameters. The image gets none.

use longtail_ops::{
    PoolShape, Real, ShortcutShape, Workspace, batch_norm_backward, conv2d_backward_input, conv2d_backward_weight,
    global_avg_pool_backward, max_pool_backward, option_a_shortcut_backward,
};

use super::buffers::Buffers;
use super::tape::Tape;
use crate::graph::{ConvNorm, Graph, Node, Value};
use crate::plan::Plan;

/// What one node's step needs besides the node.
struct Step<'a, T> {
    graph: &'a Graph,
    plan: &'a Plan,
    params: &'a [T],
    tape: &'a Tape<T>,
    arena: &'a mut Buffers<T>,
    workspace: &'a mut Workspace<T>,
}

pub(super) fn run<T: Real>(
    graph: &Graph,
    plan: &Plan,
    params: &[T],
    tape: &Tape<T>,
    features_gradient: &[T],
    grad: &mut [T],
    arena: &mut Buffers<T>,
    workspace: &mut Workspace<T>,
) {
    let mut step = Step { graph, plan, params, tape, arena, workspace };
    let mut start = step.take(graph.output);
    start[..features_gradient.len()].copy_from_slice(features_gradient);
    step.put(graph.output, start);
    for (at, node) in graph.nodes.iter().enumerate().rev() {
        match node {
            Node::ConvNorm(n) => step.conv_norm(at, n, grad),
            _ => step.linear(at, node),
        }
    }
}

impl<T: Real> Step<'_, T> {
    fn len(&self, value: Value) -> usize {
        self.graph.len(value, self.tape.batch)
    }

    fn slot(&self, value: Value) -> usize {
        self.plan.backward.values[value.0].expect("only the image has no gradient, and nothing asks for it")
    }

    fn take(&mut self, value: Value) -> Vec<T> {
        let slot = self.slot(value);
        self.arena.take(slot)
    }

    fn put(&mut self, value: Value, buffer: Vec<T>) {
        let slot = self.slot(value);
        self.arena.put(slot, buffer);
    }

    fn get(&self, value: Value) -> &[T] {
        &self.arena.get(self.slot(value))[..self.len(value)]
    }

    fn conv_norm(&mut self, at: usize, n: &ConvNorm, grad: &mut [T]) {
        let (batch, len) = (self.tape.batch, self.len(n.output));
        let (weight, gamma, _) = n.split(self.params);
        let (dweight, dgamma, dbeta) = n.split_mut(grad);
        let accumulate = &self.plan.backward.accumulate[at];
        let conv_slot = self.plan.backward.convs[at].expect("a convolution has a buffer for its gradient");
        let mut dconv = self.arena.take(conv_slot);

        let mut residual = n.residual.map(|r| (self.take(r), self.len(r), accumulate[0]));
        let statistics = &self.tape.statistics;
        batch_norm_backward(
            &n.norm_shape(batch),
            self.tape.get(self.plan.forward.convs[at], len),
            n.relu.then(|| self.tape.get(self.plan.forward.values[n.output.0], len)),
            &statistics.mean[n.channels.clone()],
            &statistics.inv_std[n.channels.clone()],
            gamma,
            self.get(n.output),
            &mut dconv[..len],
            dgamma,
            dbeta,
            residual.as_mut().map(|(buffer, len, add)| (&mut buffer[..*len], *add)),
            self.tape.batch_stats,
        );
        if let (Some(value), Some((buffer, ..))) = (n.residual, residual) {
            self.put(value, buffer);
        }

        let shape = n.conv_shape(batch);
        let input = self.tape.get(self.plan.forward.values[n.input.0], self.len(n.input));
        conv2d_backward_weight(&shape, input, &dconv[..len], dweight, self.workspace);
        if self.plan.backward.values[n.input.0].is_some() {
            let add = accumulate[accumulate.len() - 1];
            let (mut dinput, input_len) = (self.take(n.input), self.len(n.input));
            conv2d_backward_input(&shape, &dconv[..len], weight, &mut dinput[..input_len], add, self.workspace);
            self.put(n.input, dinput);
        }
        self.arena.put(conv_slot, dconv);
    }

    fn linear(&mut self, at: usize, node: &Node) {
        let (batch, plan) = (self.tape.batch, &self.plan.backward);
        let inputs = match node {
            Node::Concat { inputs, .. } => &inputs[..],
            Node::Shortcut { input, .. } | Node::MaxPool { input, .. } | Node::GlobalPool { input, .. } => {
                std::slice::from_ref(input)
            }
            Node::ConvNorm(_) => unreachable!("it has a step of its own"),
        };
        let mut first = 0;
        for (&input, &add) in inputs.iter().zip(&plan.accumulate[at]) {
            if plan.values[input.0].is_none() {
                continue;
            }
            let mut buffer = self.take(input);
            let (from, dy) = (self.graph.shape(input), self.get(node.output()));
            let dx = &mut buffer[..batch * from.len()];
            match node {
                Node::Shortcut { shape, .. } => {
                    option_a_shortcut_backward(&ShortcutShape { batch, ..*shape }, dy, dx, add)
                }
                Node::MaxPool { shape, winners, .. } => {
                    let argmax = &self.tape.winners[batch * winners.start..batch * winners.end];
                    max_pool_backward(&PoolShape { batch, ..*shape }, dy, argmax, dx);
                }
                Node::GlobalPool { .. } => {
                    global_avg_pool_backward(batch, from.height * from.width, from.channels, dy, dx)
                }
                Node::Concat { output, .. } => {
                    concat_part_backward(dy, from.channels, first, self.graph.shape(*output).channels, dx, add);
                    first += from.channels;
                }
                Node::ConvNorm(_) => unreachable!("it has a step of its own"),
            }
            self.put(input, buffer);
        }
    }
}

/// The adjoint of copying `channels` channels to their place among `width`.
fn concat_part_backward<T: Real>(dy: &[T], channels: usize, first: usize, width: usize, dx: &mut [T], add: bool) {
    for (dx, dy) in dx.chunks_exact_mut(channels).zip(dy.chunks_exact(width)) {
        for (dx, &dy) in dx.iter_mut().zip(&dy[first..first + channels]) {
            *dx = if add { *dx + dy } else { dy };
        }
    }
}
