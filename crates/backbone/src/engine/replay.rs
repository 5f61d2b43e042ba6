//! Works a segment of the forward pass out again, from the value before it and the batch norms' numbers on the tape: the same
//! kernels on the same numbers, so the same bits. Statistics are read and never taken again; running ones do not move.

use std::ops::Range;

use longtail_ops::{Real, Tally, Workspace, conv2d_fused};

use super::buffers::{Buffers, Memory, TapeBuffers};
use super::forward;
use super::tape::{Statistics, Tape};
use crate::graph::Graph;
use crate::node::Node;
use crate::plan::{Place, Plan};

/// Fills `inside` with what later passes read of the segment.
pub(super) fn run<T: Real>(
    graph: &Graph,
    plan: &Plan,
    segment: Range<usize>,
    params: &[T],
    tape: &Tape<T>,
    inside: &mut Buffers<T>,
    workspace: &mut Workspace<T>,
) {
    let (pass, batch) = (&plan.record, tape.batch);
    let mut memory = Memory { images: &tape.images, tape: TapeBuffers::Read(&tape.buffers), arena: inside };
    for at in segment {
        if let Node::ConvNorm(n) = &graph.nodes[at] {
            let (weight, ..) = n.split(params);
            let mut conv = memory.take(pass.convs[at]);
            let Statistics { scale, shift, .. } = &tape.statistics;
            let input = forward::operand(graph, pass, n.input, batch, &memory, scale, shift);
            let x = &mut conv[..graph.len(n.output, batch)];
            conv2d_fused(&n.conv_shape(batch), &[(input, weight)], x, Tally::None, workspace);
            memory.put(pass.convs[at], conv);
        }
        if let Place::Arena(_) = pass.values[graph.nodes[at].output().0] {
            forward::store(graph, pass, at, params, batch, &mut memory, &tape.statistics, &mut []);
        }
    }
}
