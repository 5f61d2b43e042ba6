//! The residual networks for small images, of depth 6n+2.
//!
//! | stage    | output  | layers                          |
//! |----------|---------|---------------------------------|
//! | `conv1`  | H × W   | 3×3, 16                         |
//! | `layer1` | H × W   | n blocks of 2 × (3×3, 16)       |
//! | `layer2` | ⌈H/2⌉   | n blocks of 2 × (3×3, 32), /2   |
//! | `layer3` | ⌈H/4⌉   | n blocks of 2 × (3×3, 64), /2   |
//! | pool     | 1       | mean over all pixels: 64 features |
//!
//! A block is conv–norm–ReLU–conv–norm, plus the shortcut, ReLU. Where sizes change the shortcut is option A: every second
//! pixel, channels padded with zeros. No bias anywhere. The classifier, the last of the 6n+2 layers, is not here.
//!
//! The two-headed form has n−1 blocks in `layer3`, then two blocks on the same input, `cb_block` and `rb_block`, whose
//! channels stand side by side: 128 features.
//!
//! # Source
//! He et al. 2016, §4.2; names and details as in LDAM-DRW's `models/resnet_cifar.py` and BBN's `resnet32`
//! (`lib/backbone/resnet_cifar.py`).

use crate::graph::{Conv, Graph, GraphBuilder};
use crate::node::Value;

/// Channels and first stride of the three stages.
const STAGES: [(usize, usize); 3] = [(16, 1), (32, 2), (64, 2)];

pub(super) fn single_headed(mut net: GraphBuilder, blocks: usize) -> Graph {
    let x = stages(&mut net, [blocks; 3]);
    let features = net.global_average_pool(x);
    net.finish(features)
}

pub(super) fn two_headed(mut net: GraphBuilder, blocks: usize) -> Graph {
    let x = stages(&mut net, [blocks, blocks, blocks - 1]);
    let heads = ["cb_block", "rb_block"].map(|name| {
        let head = basic_block(&mut net, name, x, 64, 1);
        net.global_average_pool(head) // before the concat: the mean of each channel is the same, and 64 times less to copy
    });
    let features = net.concat(&heads);
    net.finish(features)
}

fn stages(net: &mut GraphBuilder, blocks: [usize; 3]) -> Value {
    let image = net.image();
    let conv1 = net.layer(("conv1", "bn1"), net.channels(image), conv3x3(16, 1));
    let mut x = net.conv_norm_relu(image, conv1);
    for (stage, ((width, first_stride), blocks)) in STAGES.into_iter().zip(blocks).enumerate() {
        for block in 0..blocks {
            let stride = if block == 0 { first_stride } else { 1 };
            x = basic_block(net, &format!("layer{}.{block}", stage + 1), x, width, stride);
        }
    }
    x
}

fn basic_block(net: &mut GraphBuilder, name: &str, x: Value, width: usize, stride: usize) -> Value {
    let names = |i: usize| (format!("{name}.conv{i}"), format!("{name}.bn{i}"));
    let ((conv1, bn1), (conv2, bn2)) = (names(1), names(2));
    let conv1 = net.layer((&conv1, &bn1), net.channels(x), conv3x3(width, stride));
    let conv2 = net.layer((&conv2, &bn2), width, conv3x3(width, 1));
    // The convolution stands before the shortcut, so that going backward it is the last to add to the gradient of `x`.
    let y = net.conv_norm_relu(x, conv1);
    let shortcut = net.option_a_shortcut(x, width, stride);
    net.conv_norm_add_relu(y, conv2, shortcut)
}

fn conv3x3(width: usize, stride: usize) -> Conv {
    Conv::new(width, 3).stride(stride)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Architecture;
    use longtail_images::ImageShape;

    const CIFAR: ImageShape = ImageShape { height: 32, width: 32, channels: 3 };

    #[test]
    fn resnet32_has_the_published_size() {
        let graph = Architecture::CifarResNet { depth: 32 }.graph(CIFAR).expect("known");
        // He et al., table 6: 0.46M parameters with the classifier (64·10 + 10).
        assert_eq!(graph.params.len() + 650, 464_154);
        assert_eq!(graph.feature_dim(), 64);
        let names: Vec<&str> = graph.params.entries().iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names[..4], ["conv1.weight", "bn1.weight", "bn1.bias", "layer1.0.conv1.weight"]);
        assert_eq!(names.last(), Some(&"layer3.4.bn2.bias"));
        assert_eq!(graph.params.get("layer2.0.conv1.weight").expect("there").shape, [32, 16, 3, 3]);
        assert_eq!(graph.buffers.entries()[1].name, "bn1.running_var");
        assert_eq!(graph.buffers.len(), 2 * graph.norm_channels);
    }

    #[test]
    fn two_heads_share_all_but_their_block() {
        let one = Architecture::CifarResNet { depth: 32 }.graph(CIFAR).expect("known");
        let two = Architecture::CifarResNetTwoHeaded { depth: 32 }.graph(CIFAR).expect("known");
        // One block of layer3 less, two heads of 2·(64·64·9 + 2·64) more.
        assert_eq!(two.params.len(), one.params.len() + 2 * (64 * 64 * 9 + 2 * 64));
        assert_eq!(two.feature_dim(), 128);
        assert!(two.params.get("rb_block.conv2.weight").is_some() && two.params.get("layer3.4.conv1.weight").is_none());
    }

    #[test]
    fn odd_sizes_halve_upwards() {
        let graph = Architecture::CifarResNet { depth: 8 }
            .graph(ImageShape { height: 7, width: 5, channels: 1 })
            .expect("known");
        let last = graph.shape(Value(graph.output.0 - 1));
        assert_eq!((last.height, last.width, last.channels), (2, 2, 64));
    }
}
