//! Activation checkpointing: where a network is cut, and where what lies between the cuts is put when it is worked out again.
//!
//! A cut is where one value alone leads on: the end of a residual block, or of the max pool after the first convolution. The
//! tape keeps the cuts' values. Before a later pass comes to a segment, the segment's convolutions run once more, into
//! buffers beside the tape that all segments share.

use std::ops::Range;

use super::{ForwardPass, Place, Pool, is_kept, last_readers};
use crate::graph::Graph;
use crate::node::{IMAGE, Node, Value, Weightless};

/// The nodes between cuts, in order; together they are all nodes.
pub(super) fn segments(graph: &Graph) -> Vec<Range<usize>> {
    let last_reader = last_readers(graph);
    let leads_on_alone = |at: usize, output: Value| {
        let mut made = graph.nodes[..=at].iter().map(Node::output);
        made.all(|value| value == output || last_reader[value.0] <= at)
    };
    let mut segments = Vec::new();
    let mut start = 0;
    for (at, node) in graph.nodes.iter().enumerate() {
        let ends_block = match node {
            Node::ConvNorm(n) => n.residual.is_some(),
            Node::Weightless(node) => matches!(node, Weightless::MaxPool(_)),
        };
        if at + 1 == graph.nodes.len() || (ends_block && leads_on_alone(at, node.output())) {
            segments.push(start..at + 1);
            start = at + 1;
        }
    }
    for (at, node) in graph.nodes.iter().enumerate() {
        let is_cut = segments.iter().any(|segment| segment.end == at + 1);
        assert!(
            is_cut || !matches!(node, Node::Weightless(Weightless::MaxPool(_))),
            "a max pool ends a segment: its argmax stays on the tape"
        );
    }
    segments
}

/// The values that the tape keeps.
pub(super) fn cuts(graph: &Graph, segments: &[Range<usize>]) -> Vec<Value> {
    segments.iter().map(|segment| graph.nodes[segment.end - 1].output()).collect()
}

/// Where later passes find what `forward` made: on the tape, or (`Place::Arena`) in the buffers beside it, whose sizes per
/// image come second.
///
/// Going backward, the last thing done in a segment needs the last convolution of the segment before it, which is then
/// worked out already: so the first convolution of a segment shares no buffer with the segment before.
pub(super) fn record(graph: &Graph, forward: &ForwardPass, segments: &[Range<usize>]) -> (ForwardPass, Vec<usize>) {
    let nowhere = |place: &Place| if matches!(place, Place::Arena(_)) { Place::Nowhere } else { *place };
    let mut record = ForwardPass {
        values: forward.values.iter().map(nowhere).collect(),
        convs: forward.convs.iter().map(nowhere).collect(),
    };
    let mut pool = Pool::default();
    let mut held = None;
    for segment in segments.iter().rev() {
        pool.restart();
        if let Some(slot) = held {
            pool.hold(slot);
        }
        let wanted = wanted(graph, &record, segment);
        for at in segment.clone() {
            let output = graph.nodes[at].output();
            if matches!(graph.nodes[at], Node::ConvNorm(_)) {
                record.convs[at] = Place::Arena(pool.take(graph.len(output, 1)));
            }
            if wanted[output.0] {
                record.values[output.0] = Place::Arena(pool.take(graph.len(output, 1)));
            }
        }
        held = match record.convs[segment.start] {
            Place::Arena(slot) => Some(slot),
            _ => None,
        };
    }
    (record, pool.sizes)
}

/// Which values of a segment must be stored: those that later passes read, and those that it takes to work these out.
fn wanted(graph: &Graph, record: &ForwardPass, segment: &Range<usize>) -> Vec<bool> {
    let mut wanted = vec![false; graph.values.len()];
    let is_absent = |value: Value| value != IMAGE && record.values[value.0] == Place::Nowhere;
    for at in segment.clone().rev() {
        let node = &graph.nodes[at];
        let output = node.output();
        wanted[output.0] |= is_absent(output) && is_kept(graph, output);
        let inputs = match node {
            Node::ConvNorm(n) if !wanted[output.0] => vec![n.input],
            node if matches!(node, Node::ConvNorm(_)) || wanted[output.0] => node.inputs(),
            _ => Vec::new(),
        };
        for input in inputs.into_iter().filter(|input| is_absent(*input)) {
            wanted[input.0] = true;
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Architecture;
    use crate::plan::Plan;
    use longtail_images::ImageShape;

    fn graph(name: &str, side: usize) -> Graph {
        let image = ImageShape { height: side, width: side, channels: 3 };
        name.parse::<Architecture>().expect("known").graph(image).expect("possible")
    }

    #[test]
    fn a_segment_is_a_block() {
        // The stem with its pool, 16 blocks, and the mean over pixels.
        assert_eq!(segments(&graph("resnet50", 224)).len(), 1 + 16 + 1);
        // Here the stem goes with the first block: it is that block's shortcut.
        assert_eq!(segments(&graph("resnet32", 32)).len(), 15 + 1);
        // And both heads stand between two cuts.
        assert_eq!(segments(&graph("resnet32_two_headed", 32)).len(), 14 + 1);
    }

    #[test]
    fn what_a_segment_needs_shares_no_buffer() {
        for (name, side) in [("resnext50_32x4d", 64), ("resnet14_two_headed", 9), ("resnet20", 8)] {
            let graph = graph(name, side);
            let plan = Plan::new(&graph, true);
            let mut held = Vec::new();
            for segment in plan.segments.iter().rev() {
                let places: Vec<Place> = segment
                    .clone()
                    .flat_map(|at| [plan.record.convs[at], plan.record.values[graph.nodes[at].output().0]])
                    .filter(|place| matches!(place, Place::Arena(_)))
                    .collect();
                for (i, place) in places.iter().enumerate() {
                    assert!(!places[..i].contains(place) && !held.contains(place), "{name}: {segment:?}");
                }
                held = vec![plan.record.convs[segment.start]];
            }
            // A convolution that finishes the gradient of another segment's end is the first of its own.
            for (at, finished) in plan.backward.finishes.iter().enumerate() {
                let of = |at: usize| plan.segments.iter().position(|segment| segment.contains(&at)).expect("in one");
                if let Some(producer) = finished.filter(|producer| of(*producer) != of(at)) {
                    assert!(plan.segments[of(at)].start == at && of(producer) + 1 == of(at), "{name}: {at}");
                }
            }
        }
    }

    #[test]
    fn an_imagenet_network_needs_less_than_three_fifths() {
        for name in ["resnet50", "resnext50_32x4d", "resnet101", "resnet152"] {
            let graph = graph(name, 224);
            let (whole, cut) = (Plan::new(&graph, false), Plan::new(&graph, true));
            let elements = |plan: &Plan| plan.tape.iter().chain(&plan.arena).chain(&plan.inside).sum::<usize>();
            let (all, rest) = (elements(&whole), elements(&cut));
            let tapes = [&whole, &cut].map(|plan| plan.tape.iter().sum::<usize>());
            println!("{name}: {rest} of {all}, tape {} of {}", tapes[1], tapes[0]);
            assert!(5 * rest < 3 * all, "{name}: {rest} of {all}");
            assert!(5 * tapes[1] < 2 * tapes[0], "{name}: {tapes:?}");
        }
    }
}
