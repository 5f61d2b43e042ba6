//! Works a segment of the forward pass out again on the device; as the CPU's (`engine::replay`).

use std::ops::Range;

use longtail_ops::gpu::{Activation, Driver, GpuVec, View};

use super::memory::{Memory, TapeSlots};
use super::{GpuNetwork, GpuTape, forward};
use crate::error::BackboneError;
use crate::node::Node;
use crate::plan::Place;

/// Fills the network's buffers beside the tape with what later passes read of the segment.
pub(super) fn run<A: Activation, D: Driver>(
    network: &mut GpuNetwork<D>,
    segment: Range<usize>,
    params: View<'_, f32>,
    weights: View<'_, A>,
    tape: &GpuTape<D>,
) -> Result<(), BackboneError> {
    let GpuNetwork { driver, graph, plan, inside, convs, zeros, ones, .. } = network;
    let constants = (zeros.view(), ones.view());
    let pass =
        forward::Pass { driver: &*driver, graph, plan: &plan.record, params, weights, constants, batch: tape.batch() };
    let mut memory = Memory { images: tape.images.view(), tape: TapeSlots::Read(&tape.buffers), arena: inside };
    let mut no_winners = GpuVec::<u8, D>::default(); // a max pool ends a segment: its value and its winners are on the tape
    for at in segment {
        let node = &graph.nodes[at];
        if let Node::ConvNorm(n) = node {
            pass.correlate(at, n, &mut memory, convs)?;
        }
        if let Place::Arena(_) = plan.record.values[node.output().0] {
            pass.store(at, node, &mut memory, &tape.numbers, no_winners.view_mut())?;
        }
    }
    Ok(())
}
