//! Which buffer holds what in each pass: worked out once, so that a step allocates nothing.
//!
//! Sizes are per image. A pass is simulated node by node; a buffer goes back to the pool after its last reader, and the pool
//! is the same for every pass, as no two of them run at once.

use crate::graph::{Graph, IMAGE, Node, Value};

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the image.
    Image,
    /// A buffer that the tape keeps.
    Tape(usize),
    /// A buffer of the arena.
    Arena(usize),
}

/// A pass from the image to the features.
#[derive(Clone, Debug)]
pub(crate) struct ForwardPass {
    /// Place of every value.
    pub(crate) values: Vec<Place>,
    /// Place of each node's convolution output; `Place::Image` where there is no convolution.
    pub(crate) convs: Vec<Place>,
    /// A second buffer like it, for the tangent's other half.
    pub(crate) seconds: Vec<Place>,
}

/// The pass from the features to the parameters.
#[derive(Clone, Debug)]
pub(crate) struct BackwardPass {
    /// Arena buffer of every value's gradient; the image has none.
    pub(crate) values: Vec<Option<usize>>,
    /// Arena buffer of the gradient of each node's convolution output.
    pub(crate) convs: Vec<Option<usize>>,
    /// For each node, in the order in which it writes gradients (residual, then the convolution's input; else the order of
    /// its inputs): whether another consumer has written there already.
    pub(crate) accumulate: Vec<Vec<bool>>,
}

/// All passes, and the sizes of their buffers per image.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) tape: Vec<usize>,
    pub(crate) arena: Vec<usize>,
    pub(crate) forward: ForwardPass,
    pub(crate) infer: ForwardPass,
    pub(crate) tangent: ForwardPass,
    pub(crate) backward: BackwardPass,
}

impl Plan {
    pub(crate) fn new(graph: &Graph) -> Self {
        let mut tape = Vec::new();
        let mut pool = Pool::default();
        let forward = forward_pass(graph, &mut pool, &mut Some(&mut tape), false);
        let infer = forward_pass(graph, &mut pool, &mut None, false);
        let tangent = forward_pass(graph, &mut pool, &mut None, true);
        let backward = backward_pass(graph, &mut pool);
        Self { tape, arena: pool.sizes, forward, infer, tangent, backward }
    }

    /// Elements per image of tape and arena together.
    pub(crate) fn elements_per_image(&self) -> usize {
        self.tape.iter().chain(&self.arena).sum()
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
        self.free.retain(|&other| other != slot);
        slot
    }

    fn give(&mut self, slot: usize) {
        self.free.push(slot);
    }
}

/// What the backward pass reads again: inputs of convolutions, and outputs that tell where the ReLU let through.
fn is_kept(graph: &Graph, value: Value) -> bool {
    value == graph.output
        || graph
            .nodes
            .iter()
            .any(|node| matches!(node, Node::ConvNorm(n) if n.input == value || (n.output == value && n.relu)))
}

fn conv_len(graph: &Graph, node: &Node) -> Option<usize> {
    matches!(node, Node::ConvNorm(_)).then(|| graph.len(node.output(), 1))
}

fn forward_pass(graph: &Graph, pool: &mut Pool, tape: &mut Option<&mut Vec<usize>>, second: bool) -> ForwardPass {
    pool.restart();
    let mut last_reader = vec![0; graph.values.len()];
    for (at, node) in graph.nodes.iter().enumerate() {
        node.inputs().iter().for_each(|input| last_reader[input.0] = at);
    }
    last_reader[graph.output.0] = graph.nodes.len();

    let mut values = vec![Place::Image; graph.values.len()];
    let (mut convs, mut seconds) = (Vec::new(), Vec::new());
    for (at, node) in graph.nodes.iter().enumerate() {
        let mut place = |size: usize, kept: bool| match tape.as_mut().filter(|_| kept) {
            Some(tape) => {
                tape.push(size);
                Place::Tape(tape.len() - 1)
            }
            None => Place::Arena(pool.take(size)),
        };
        let conv = conv_len(graph, node).map_or(Place::Image, |size| place(size, true));
        let other = conv_len(graph, node).filter(|_| second).map_or(Place::Image, |size| place(size, true));
        values[node.output().0] = place(graph.len(node.output(), 1), is_kept(graph, node.output()));
        convs.push(conv);
        seconds.push(other);
        let mut done: Vec<Place> =
            node.inputs().iter().filter(|v| last_reader[v.0] == at).map(|v| values[v.0]).collect();
        done.dedup(); // one value may enter a node twice
        done.extend([conv, other]);
        for place in done {
            if let Place::Arena(slot) = place {
                pool.give(slot);
            }
        }
    }
    ForwardPass { values, convs, seconds }
}

fn backward_pass(graph: &Graph, pool: &mut Pool) -> BackwardPass {
    pool.restart();
    let nodes = graph.nodes.len();
    let mut pass = BackwardPass {
        values: vec![None; graph.values.len()],
        convs: vec![None; nodes],
        accumulate: vec![Vec::new(); nodes],
    };
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
                // The order of the engine: batch norm and residual, then the incoming gradient is free, then the convolution.
                let conv = pool.take(graph.len(n.output, 1));
                pass.convs[at] = Some(conv);
                if let Some(residual) = n.residual {
                    contribute(&mut pass, pool, residual);
                }
                pool.give(incoming);
                contribute(&mut pass, pool, n.input);
                pool.give(conv);
            }
            _ => {
                node.inputs().into_iter().for_each(|input| contribute(&mut pass, pool, input));
                let overwrites = matches!(node, Node::GlobalPool { .. } | Node::MaxPool { .. });
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
    use crate::image::ImageShape;

    fn plan(depth: usize) -> (Graph, Plan) {
        let image = ImageShape { height: 32, width: 32, channels: 3 };
        let graph = Architecture::CifarResNet { depth }.graph(image).expect("known");
        let plan = Plan::new(&graph);
        (graph, plan)
    }

    #[test]
    fn a_block_keeps_two_activations() {
        let (graph, plan) = plan(32);
        let convolutions = graph.nodes.iter().filter(|node| matches!(node, Node::ConvNorm(_))).count();
        assert_eq!(convolutions, 31);
        assert_eq!(plan.tape.len(), 2 * convolutions + 1, "conv output and block output each, and the features");
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
        for pass in [&plan.forward, &plan.infer, &plan.tangent] {
            for (at, node) in graph.nodes.iter().enumerate() {
                let written = [pass.convs[at], pass.seconds[at], pass.values[node.output().0]];
                for input in node.inputs() {
                    assert!(input == IMAGE || !written.contains(&pass.values[input.0]), "node {at}");
                }
                let distinct: Vec<Place> = written.into_iter().filter(|&p| p != Place::Image).collect();
                assert!((1..distinct.len()).all(|i| !distinct[..i].contains(&distinct[i])), "node {at}");
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
