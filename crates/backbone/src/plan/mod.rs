//! Which buffer holds what in each pass: worked out once, so that a step allocates nothing.
//!
//! Sizes are per image. A pass is simulated node by node; a buffer goes back to the pool after its last reader, and the pool
//! is the same for every pass, as no two of them run at once.

mod segments;

use std::ops::Range;

use crate::graph::Graph;
use crate::node::{ConvNorm, IMAGE, Node, Operation as _, Value};

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the image.
    Image,
    /// A buffer that the tape keeps.
    Tape(usize),
    /// A buffer of the arena.
    Arena(usize),
    /// Nowhere: those who read it work it out from this node's convolution.
    Lazy(usize),
    /// Nowhere, and nothing reads it.
    Nowhere,
}

/// A pass from the image to the features.
#[derive(Clone, Debug)]
pub(crate) struct ForwardPass {
    /// Place of every value.
    pub(crate) values: Vec<Place>,
    /// Place of each node's convolution output; `Place::Image` where there is no convolution.
    pub(crate) convs: Vec<Place>,
}

/// What becomes of a node's incoming gradient for its residual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResidualGradient {
    /// There is no residual.
    None,
    /// The buffer itself becomes the residual's gradient.
    Handed,
    /// It is copied.
    Copied,
    /// It is added to what is there.
    Added,
}

/// The pass from the features to the parameters.
#[derive(Clone, Debug)]
pub(crate) struct BackwardPass {
    /// Arena buffer of every value's gradient; the image has none.
    pub(crate) values: Vec<Option<usize>>,
    /// For each node and each input (a residual not counted): whether another consumer has written its gradient already.
    pub(crate) accumulate: Vec<Vec<bool>>,
    /// For each node.
    pub(crate) residuals: Vec<ResidualGradient>,
    /// For each node: whether its convolution is the last to add to the gradient of its input, and another node's batch norm
    /// awaits that: the other node.
    pub(crate) finishes: Vec<Option<usize>>,
}

/// All passes, and the sizes of their buffers per image.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) tape: Vec<usize>,
    pub(crate) arena: Vec<usize>,
    /// Of the buffers that a segment is worked out in again; none without activation checkpointing.
    pub(crate) inside: Vec<usize>,
    /// The nodes between cuts; without activation checkpointing all nodes are one segment.
    pub(crate) segments: Vec<Range<usize>>,
    pub(crate) forward: ForwardPass,
    /// Where later passes find what `forward` made: on the tape, or (`Place::Arena`) inside.
    pub(crate) record: ForwardPass,
    pub(crate) infer: ForwardPass,
    pub(crate) tangent: ForwardPass,
    pub(crate) backward: BackwardPass,
}

impl Plan {
    /// With `checkpointing` the tape keeps the values at cuts only; see [`segments`].
    pub(crate) fn new(graph: &Graph, checkpointing: bool) -> Self {
        Self::build(graph, checkpointing, true)
    }

    /// Every value is stored: for kernels that cannot work out a batch norm while they read.
    pub(crate) fn stored(graph: &Graph, checkpointing: bool) -> Self {
        Self::build(graph, checkpointing, false)
    }

    fn build(graph: &Graph, checkpointing: bool, lazy: bool) -> Self {
        let mut tape = Vec::new();
        let mut pool = Pool::default();
        let (segments, forward, record, inside) = match checkpointing {
            false => {
                let all = forward_pass(graph, &mut pool, &mut tape, (true, lazy), &|value| is_kept(graph, value));
                (std::iter::once(0..graph.nodes.len()).collect(), all.clone(), all, Vec::new())
            }
            true => {
                let segments = segments::segments(graph);
                let cuts = segments::cuts(graph, &segments);
                let cut = forward_pass(graph, &mut pool, &mut tape, (false, lazy), &|value| cuts.contains(&value));
                let (record, inside) = segments::record(graph, &cut, &segments);
                (segments, cut, record, inside)
            }
        };
        let nothing = |pool: &mut Pool| forward_pass(graph, pool, &mut Vec::new(), (false, lazy), &|_| false);
        let (infer, tangent) = (nothing(&mut pool), nothing(&mut pool));
        let backward = backward_pass(graph, &mut pool);
        Self { tape, arena: pool.sizes, inside, segments, forward, record, infer, tangent, backward }
    }

    /// Whether segments are worked out again.
    pub(crate) fn checkpointing(&self) -> bool {
        !self.inside.is_empty()
    }
}

/// Buffers by their size per image; those in `free` wait for use.
#[derive(Default)]
struct Pool {
    sizes: Vec<usize>,
    free: Vec<usize>,
}

impl Pool {
    fn restart(&mut self) {
        self.free = (0..self.sizes.len()).collect();
    }

    /// The smallest free buffer that is large enough; else the largest one, made larger; else a new one.
    fn take(&mut self, size: usize) -> usize {
        let fits =
            self.free.iter().copied().filter(|&slot| self.sizes[slot] >= size).min_by_key(|&slot| self.sizes[slot]);
        let slot = fits.or_else(|| self.free.iter().copied().max_by_key(|&slot| self.sizes[slot]));
        let slot = slot.unwrap_or_else(|| {
            self.sizes.push(size);
            self.sizes.len() - 1
        });
        self.sizes[slot] = self.sizes[slot].max(size);
        self.hold(slot);
        slot
    }

    fn give(&mut self, slot: usize) {
        self.free.push(slot);
    }

    /// Takes that buffer as it is.
    fn hold(&mut self, slot: usize) {
        self.free.retain(|&other| other != slot);
    }
}

/// The convolution, batch norm and ReLU that make a value, and which node that is.
fn producer(graph: &Graph, value: Value) -> Option<(usize, &ConvNorm)> {
    graph.nodes.iter().enumerate().find_map(|(at, node)| match node {
        Node::ConvNorm(n) if n.output == value => Some((at, n)),
        _ => None,
    })
}

/// Whether those who read the value work it out on the way: a batch norm without residual that only convolutions read.
fn is_lazy(graph: &Graph, value: Value) -> bool {
    let only_convolutions = || {
        graph.nodes.iter().filter(|node| node.inputs().contains(&value)).all(|node| match node {
            Node::ConvNorm(n) => n.residual != Some(value),
            _ => false,
        })
    };
    value != graph.output && producer(graph, value).is_some_and(|(_, n)| n.residual.is_none()) && only_convolutions()
}

/// What the backward pass reads again: inputs of convolutions, and outputs that tell where the ReLU let through.
fn is_kept(graph: &Graph, value: Value) -> bool {
    value == graph.output
        || graph
            .nodes
            .iter()
            .any(|node| matches!(node, Node::ConvNorm(n) if n.input == value || (n.output == value && n.relu)))
}

/// The last node that reads each value; the features are read after all nodes.
fn last_readers(graph: &Graph) -> Vec<usize> {
    let mut last_reader = vec![0; graph.values.len()];
    for (at, node) in graph.nodes.iter().enumerate() {
        node.inputs().iter().for_each(|input| last_reader[input.0] = at);
    }
    last_reader[graph.output.0] = graph.nodes.len();
    last_reader
}

/// `tape` grows by what is kept: the convolutions' outputs if `keep_convs`, and the values that `kept` names. With `lazy`, values that
/// need not be stored are not.
fn forward_pass(
    graph: &Graph,
    pool: &mut Pool,
    tape: &mut Vec<usize>,
    (keep_convs, lazy): (bool, bool),
    kept: &dyn Fn(Value) -> bool,
) -> ForwardPass {
    pool.restart();
    let last_reader = last_readers(graph);
    let mut values = vec![Place::Image; graph.values.len()];
    let mut convs = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let mut place = |size: usize, kept: bool| match kept {
            true => {
                tape.push(size);
                Place::Tape(tape.len() - 1)
            }
            false => Place::Arena(pool.take(size)),
        };
        let (output, len) = (node.output(), graph.len(node.output(), 1));
        let lazy = lazy && is_lazy(graph, output);
        let conv = if matches!(node, Node::ConvNorm(_)) { place(len, keep_convs) } else { Place::Image };
        values[output.0] = if lazy { Place::Lazy(at) } else { place(len, kept(output)) };
        convs.push(conv);
        let mut done: Vec<Place> = Vec::new();
        for input in node.inputs().into_iter().filter(|input| last_reader[input.0] == at) {
            let place = match values[input.0] {
                Place::Lazy(node) => convs[node],
                place => place,
            };
            if !done.contains(&place) {
                done.push(place); // one value may enter a node twice
            }
        }
        if !lazy {
            done.push(conv);
        }
        for place in done {
            if let Place::Arena(slot) = place {
                pool.give(slot);
            }
        }
    }
    ForwardPass { values, convs }
}

fn backward_pass(graph: &Graph, pool: &mut Pool) -> BackwardPass {
    pool.restart();
    let nodes = graph.nodes.len();
    let mut pass = BackwardPass {
        values: vec![None; graph.values.len()],
        accumulate: vec![Vec::new(); nodes],
        residuals: vec![ResidualGradient::None; nodes],
        finishes: vec![None; nodes],
    };
    let first_reader = |value: Value| graph.nodes.iter().position(|node| node.inputs().contains(&value));
    pass.values[graph.output.0] = Some(pool.take(graph.len(graph.output, 1)));
    for (at, node) in graph.nodes.iter().enumerate().rev() {
        let incoming = pass.values[node.output().0].expect("every value leads to the features");
        let contribute = |pass: &mut BackwardPass, pool: &mut Pool, value: Value| {
            let written = pass.values[value.0].is_some();
            if !written && value != IMAGE {
                pass.values[value.0] = Some(pool.take(graph.len(value, 1)));
            }
            pass.accumulate[at].push(written);
        };
        match node {
            Node::ConvNorm(n) => {
                if let Some(residual) = n.residual {
                    pass.residuals[at] = match pass.values[residual.0] {
                        Some(_) => ResidualGradient::Added,
                        // The convolution still reads what it would write to.
                        None if residual == n.input => ResidualGradient::Copied,
                        None => ResidualGradient::Handed,
                    };
                    match pass.residuals[at] {
                        ResidualGradient::Handed => pass.values[residual.0] = Some(incoming),
                        ResidualGradient::Copied => {
                            pass.values[residual.0] = Some(pool.take(graph.len(residual, 1)));
                        }
                        ResidualGradient::None | ResidualGradient::Added => {}
                    }
                }
                contribute(&mut pass, pool, n.input);
                // In the order of this pass the first reader comes last.
                if first_reader(n.input) == Some(at) {
                    pass.finishes[at] = producer(graph, n.input).map(|(node, _)| node);
                }
                if pass.residuals[at] != ResidualGradient::Handed {
                    pool.give(incoming);
                }
            }
            Node::Weightless(node) => {
                node.inputs().iter().for_each(|&input| contribute(&mut pass, pool, input));
                let overwrites = node.overwrites();
                assert!(
                    !(overwrites && pass.accumulate[at][0]),
                    "nothing after the pool's node may read what it pools"
                );
                pool.give(incoming);
            }
        }
    }
    pass
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Architecture;
    use crate::node::Weightless;
    use longtail_images::ImageShape;

    fn plan(depth: usize) -> (Graph, Plan) {
        let image = ImageShape { height: 32, width: 32, channels: 3 };
        let graph = Architecture::CifarResNet { depth }.graph(image).expect("known");
        let plan = Plan::new(&graph, false);
        (graph, plan)
    }

    #[test]
    fn a_residual_block_keeps_three_activations() {
        let (graph, plan) = plan(32);
        let convolutions = graph.nodes.iter().filter(|node| matches!(node, Node::ConvNorm(_))).count();
        assert_eq!(convolutions, 31);
        // Every convolution's output, the stem's and each block's own output, and the features.
        assert_eq!(plan.tape.len(), convolutions + 16 + 1);
    }

    #[test]
    fn every_gradient_has_one_end() {
        let (graph, plan) = plan(14);
        for (at, node) in graph.nodes.iter().enumerate() {
            let Node::ConvNorm(n) = node else { continue };
            // In this family a convolution comes first among the readers of what a batch norm makes, but for the last block.
            let by = plan.backward.finishes.iter().filter(|by| **by == Some(at)).count();
            let pooled = graph
                .nodes
                .iter()
                .any(|node| matches!(node, Node::Weightless(Weightless::GlobalPool(p)) if p.input == n.output));
            assert_eq!(by, usize::from(!pooled), "node {at}");
        }
        let handed = plan.backward.residuals.iter().filter(|r| **r == ResidualGradient::Handed).count();
        assert_eq!(handed, 6, "no residual's gradient is copied");
    }

    #[test]
    fn the_arena_does_not_grow_with_depth() {
        let sizes = |depth| plan(depth).1.arena.iter().sum::<usize>();
        assert_eq!(sizes(20), sizes(110));
        assert!(sizes(32) <= 5 * 16 * 32 * 32, "{}", sizes(32));
    }

    #[test]
    fn no_buffer_is_written_while_it_is_read() {
        let (graph, plan) = plan(14);
        let cut = Plan::new(&graph, true);
        for pass in [&plan.forward, &plan.infer, &plan.tangent, &cut.forward] {
            for (at, node) in graph.nodes.iter().enumerate() {
                let stored = |place: Place| match place {
                    Place::Lazy(node) => pass.convs[node],
                    place => place,
                };
                let written = [pass.convs[at], pass.values[node.output().0]];
                for input in node.inputs() {
                    assert!(input == IMAGE || !written.contains(&stored(pass.values[input.0])), "node {at}");
                }
                assert!(written[0] == Place::Image || written[0] != written[1], "node {at}");
            }
        }
    }

    #[test]
    fn the_pool_prefers_the_tightest_fit_and_grows_before_it_adds() {
        let mut pool = Pool::default();
        let (a, b) = (pool.take(10), pool.take(4));
        pool.restart();
        assert_eq!(pool.take(4), b);
        assert_eq!(pool.take(12), a);
        assert_eq!(pool.sizes, [12, 4]);
    }
}
