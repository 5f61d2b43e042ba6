//! From a gradient of the features to the gradient of all parameters. The image gets none.

use std::ops::Range;

use longtail_ops::{
    InputGradient, Mask, NormRest, Operand, Real, Tally, ThroughNorm, Workspace, axpy, conv2d_backward, tally_rows,
};

use super::buffers::Buffers;
use super::replay;
use super::tape::{Coefficients, Sums, Tape, View};
use crate::graph::Graph;
use crate::node::{ConvNorm, Node, Operation as _, Value, Weightless};
use crate::plan::{Plan, ResidualGradient};

/// What one node's step needs besides the node.
struct Step<'a, T> {
    params: &'a [T],
    view: View<'a, T>,
    arena: &'a mut Buffers<T>,
    coefficients: &'a mut Coefficients<T>,
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
    inside: &mut Buffers<T>,
    coefficients: &mut Coefficients<T>,
    workspace: &mut Workspace<T>,
) {
    let output = plan.backward.values[graph.output.0].expect("the features have a gradient");
    let mut start = arena.take(output);
    start[..features_gradient.len()].copy_from_slice(features_gradient);
    arena.put(output, start);
    let again = |segment: &Range<usize>, inside: &mut Buffers<T>, workspace: &mut Workspace<T>| {
        if plan.checkpointing() {
            replay::run(graph, plan, segment.clone(), params, tape, inside, workspace);
        }
    };
    if let Some(last) = plan.segments.last() {
        again(last, inside, workspace);
    }
    for (index, segment) in plan.segments.iter().enumerate().rev() {
        for at in segment.clone().rev() {
            // The first convolution of a segment gathers the sums of the batch norm at the end of the one before.
            if at == segment.start && index > 0 {
                again(&plan.segments[index - 1], inside, workspace);
            }
            let view = View { graph, plan, tape, inside };
            let mut step = Step { params, view, arena, coefficients, workspace };
            match &graph.nodes[at] {
                Node::ConvNorm(n) => step.conv_norm(at, n, grad),
                Node::Weightless(n) => step.weightless(at, n),
            }
        }
    }
}

impl<T: Real> Step<'_, T> {
    fn len(&self, value: Value) -> usize {
        self.view.graph.len(value, self.view.tape.batch)
    }

    fn slot(&self, value: Value) -> usize {
        self.view.plan.backward.values[value.0].expect("only the image has no gradient, and nothing asks for it")
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
        let (view, View { graph, plan, tape, .. }) = (self.view, self.view);
        let (batch, channels) = (tape.batch, n.channels.clone());
        let (weight, ..) = n.split(self.params);
        let (dweight, dgamma, dbeta) = n.split_mut(grad);
        if !plan.backward.finishes.contains(&Some(at)) {
            let (mut incoming, len) = (self.take(n.output), self.len(n.output));
            tally_rows(n.conv.out_channels, &mut incoming[..len], tally(view, at, &mut self.coefficients.sums));
            self.put(n.output, incoming);
        }

        // From here on the incoming gradient is shut where the ReLU was, and its sums are known.
        let (statistics, rows) = (&tape.statistics, T::from_usize(n.norm_shape(batch).rows));
        let Coefficients { sums, slope, offset } = &mut *self.coefficients;
        for (c, at) in channels.clone().enumerate() {
            let (scale, inv_std) = (statistics.scale[at], statistics.inv_std[at]);
            dbeta[c] = sums.sum[at];
            let by_scale = sums.product[at] * inv_std;
            if n.is_normalized() {
                dgamma[c] = by_scale;
            }
            slope[at] = -(scale * inv_std * by_scale) / rows;
            offset[at] = -(scale * dbeta[c]) / rows;
        }
        let incoming_slot = self.slot(n.output);
        if let Some(residual) = n.residual {
            let how = plan.backward.residuals[at];
            if matches!(how, ResidualGradient::Copied | ResidualGradient::Added) {
                let mut buffer = self.take(residual);
                let (to, from) = (&mut buffer[..graph.len(residual, batch)], self.get(n.output));
                match how {
                    ResidualGradient::Added => axpy(to, T::ONE, from),
                    _ => to.copy_from_slice(from),
                }
                self.put(residual, buffer);
            }
        }

        let wanted = plan.backward.values[n.input.0].is_some();
        let mut dinput = if wanted { self.take(n.input) } else { Vec::new() };
        let Coefficients { sums, slope, offset } = &mut *self.coefficients;
        let rest = NormRest {
            slope: &slope[channels.clone()],
            centre: &statistics.mean[channels.clone()],
            offset: &offset[channels.clone()],
        };
        let dy = Operand::Through {
            v: &self.arena.get(incoming_slot)[..graph.len(n.output, batch)],
            x: view.conv(at),
            map: ThroughNorm {
                scale: &statistics.scale[channels],
                rest: (tape.batch_stats && n.is_normalized()).then_some(rest),
            },
            relu: None,
        };
        let input = wanted.then(|| InputGradient {
            weight,
            dx: &mut dinput[..graph.len(n.input, batch)],
            accumulate: plan.backward.accumulate[at][0],
            tally: match plan.backward.finishes[at] {
                Some(producer) => tally(view, producer, sums),
                None => Tally::None,
            },
        });
        let weight = Some((view.operand(n.input), dweight));
        conv2d_backward(&n.conv_shape(batch), dy, weight, input, self.workspace);
        if wanted {
            self.put(n.input, dinput);
        }
    }

    fn weightless(&mut self, at: usize, node: &Weightless) {
        let View { graph, plan, tape, .. } = self.view;
        for (which, &input) in node.inputs().iter().enumerate() {
            if plan.backward.values[input.0].is_none() {
                continue;
            }
            let (mut buffer, add) = (self.take(input), plan.backward.accumulate[at][which]);
            let dx = &mut buffer[..graph.len(input, tape.batch)];
            node.backward(tape.batch, which, self.get(node.output()), &tape.winners, dx, add);
            self.put(input, buffer);
        }
    }
}

/// The sums that the batch norm of a node's backward pass needs, over the gradient of the node's output.
fn tally<'a, T: Real>(view: View<'a, T>, node: usize, sums: &'a mut Sums<T>) -> Tally<'a, T> {
    let n = view.graph.conv_norm(node);
    let (statistics, channels) = (view.statistics(), n.channels.clone());
    let mask = match n.residual {
        _ if !n.relu => Mask::Open,
        None => {
            Mask::Normalized { scale: &statistics.scale[channels.clone()], shift: &statistics.shift[channels.clone()] }
        }
        Some(_) => Mask::Output(view.value(n.output)),
    };
    Tally::Products {
        x: view.conv(node),
        centre: &statistics.mean[channels.clone()],
        mask,
        sum: &mut sums.sum[channels.clone()],
        product: &mut sums.product[channels],
    }
}
