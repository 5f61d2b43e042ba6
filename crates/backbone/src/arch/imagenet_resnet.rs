//! The residual networks for ImageNet with bottleneck blocks, and ResNeXt-50 32×4d.
//!
//! | stage     | output | ResNet-50            | -101 | -152 | ResNeXt-50 32×4d                 |
//! |-----------|--------|----------------------|------|------|----------------------------------|
//! | `conv1`   | ⌈H/2⌉  | 7×7, 64, /2          |      |      |                                  |
//! | `maxpool` | ⌈H/4⌉  | 3×3, /2              |      |      |                                  |
//! | `layer1`  | ⌈H/4⌉  | 3 × (64, 64, 256)    | 3    | 3    | 3 × (128, 128 in 32 groups, 256) |
//! | `layer2`  | ⌈H/8⌉  | 4 × (128, 128, 512)  | 4    | 8    | 4 × (256, 256, 512)              |
//! | `layer3`  | ⌈H/16⌉ | 6 × (256, 256, 1024) | 23   | 36   | 6 × (512, 512, 1024)             |
//! | `layer4`  | ⌈H/32⌉ | 3 × (512, 512, 2048) | 3    | 3    | 3 × (1024, 1024, 2048)           |
//! | pool      | 1      | mean over all pixels: 2048 features | | |                        |
//!
//! A block is 1×1, 3×3 and 1×1, each with its norm, ReLU after the first two, plus the shortcut, ReLU. Where a stage halves the
//! image the stride stands at the 3×3 ("v1.5"). The first block of a stage has a 1×1 convolution with a norm as its shortcut.
//! No bias anywhere. The classifier, torchvision's `fc`, is not here.
//!
//! # Source
//! He et al. 2016, §4.1, and Xie et al. 2017, table 1; details, names and their order as in torchvision's
//! `models/resnet.py` (`resnet50`, `resnet101`, `resnet152`, `resnext50_32x4d`; `zero_init_residual=False`).

use crate::graph::{Conv, Graph, GraphBuilder};
use crate::node::Value;

/// What the family's members differ in.
pub(super) struct Form {
    /// Blocks of the four stages.
    blocks: [usize; 4],
    /// Groups of the 3×3 convolutions.
    groups: usize,
    /// Their channels in the first stage; each stage doubles them.
    width: usize,
}

/// Channels that a block of the first stage gives; each stage doubles them.
const OUT_CHANNELS: usize = 256;

/// The ResNet of that depth, if there is one.
pub(super) fn resnet(depth: usize) -> Option<Form> {
    let blocks = match depth {
        50 => [3, 4, 6, 3],
        101 => [3, 4, 23, 3],
        152 => [3, 8, 36, 3],
        _ => return None,
    };
    Some(Form { blocks, groups: 1, width: 64 })
}

pub(super) const RESNEXT50_32X4D: Form = Form { blocks: [3, 4, 6, 3], groups: 32, width: 32 * 4 };

pub(super) fn graph(mut net: GraphBuilder, form: &Form) -> Graph {
    let image = net.image();
    let stem = Conv::new(64, 7).stride(2);
    let conv1 = net.layer(("conv1", "bn1"), net.channels(image), stem);
    let x = net.conv_norm_relu(image, conv1);
    let mut x = net.max_pool(x, 3, 2);
    for (stage, blocks) in form.blocks.into_iter().enumerate() {
        let sizes = Bottleneck { width: form.width << stage, groups: form.groups, out: OUT_CHANNELS << stage };
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            x = bottleneck(&mut net, &format!("layer{}.{block}", stage + 1), x, &sizes, stride);
        }
    }
    let features = net.global_average_pool(x);
    net.finish(features)
}

/// Channels of one stage's blocks.
struct Bottleneck {
    width: usize,
    groups: usize,
    out: usize,
}

fn bottleneck(net: &mut GraphBuilder, name: &str, x: Value, sizes: &Bottleneck, stride: usize) -> Value {
    let &Bottleneck { width, groups, out } = sizes;
    let from = net.channels(x);
    let pointwise = |width, stride| Conv::new(width, 1).stride(stride);
    let mut layer =
        |conv, norm, from, sizes| net.layer((&format!("{name}.{conv}"), &format!("{name}.{norm}")), from, sizes);
    // The order of the files: the shortcut's layer is the last.
    let conv1 = layer("conv1", "bn1", from, pointwise(width, 1));
    let conv2 = layer("conv2", "bn2", width, Conv::new(width, 3).stride(stride).groups(groups));
    let conv3 = layer("conv3", "bn3", width, pointwise(out, 1));
    let downsample =
        (stride != 1 || from != out).then(|| layer("downsample.0", "downsample.1", from, pointwise(out, stride)));
    // The order of the passes: the first convolution is the first to read `x`, and so, going backward, the last to add to its
    // gradient.
    let y = net.conv_norm_relu(x, conv1);
    let y = net.conv_norm_relu(y, conv2);
    let shortcut = match downsample {
        Some(layer) => net.conv_norm(x, layer),
        None => x,
    };
    net.conv_norm_add_relu(y, conv3, shortcut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Architecture;
    use crate::node::Node;
    use longtail_images::ImageShape;

    const IMAGENET: ImageShape = ImageShape { height: 224, width: 224, channels: 3 };

    fn graph_of(name: &str) -> Graph {
        name.parse::<Architecture>().expect("a known name").graph(IMAGENET).expect("a possible size")
    }

    #[test]
    fn they_have_torchvisions_sizes() {
        // With `fc`, 2048·1000 + 1000 more: the counts of torchvision's model pages.
        for (name, with_classifier) in [
            ("resnet50", 25_557_032),
            ("resnet101", 44_549_160),
            ("resnet152", 60_192_808),
            ("resnext50_32x4d", 25_028_904),
        ] {
            let graph = graph_of(name);
            assert_eq!(graph.params.len() + 2_049_000, with_classifier, "{name}");
            assert_eq!((graph.feature_dim(), graph.buffers.len()), (2048, 2 * graph.norm_channels), "{name}");
        }
    }

    #[test]
    fn shapes_of_a_block_and_of_the_images_on_their_way() {
        let graph = graph_of("resnext50_32x4d");
        let shape = |name: &str| graph.params.get(name).expect("there").shape.clone();
        assert_eq!(shape("layer1.0.conv2.weight"), [128, 4, 3, 3]);
        assert_eq!(shape("layer4.2.conv2.weight"), [1024, 32, 3, 3]);
        assert_eq!(shape("layer2.0.downsample.0.weight"), [512, 256, 1, 1]);
        assert!(graph.params.get("layer2.1.downsample.0.weight").is_none());
        let sides: Vec<usize> = graph.values.iter().map(|value| value.height).collect();
        assert_eq!((sides[0], sides[1], sides[2], sides[sides.len() - 2]), (224, 112, 56, 7));
    }

    #[test]
    fn the_first_convolution_is_the_first_to_read_the_blocks_input() {
        let graph = graph_of("resnet50");
        let readers = |value: Value| graph.nodes.iter().filter(move |node| node.inputs().contains(&value));
        for node in &graph.nodes {
            let Node::ConvNorm(n) = node else { continue };
            let Some(Node::ConvNorm(first)) = readers(n.input).next() else { panic!("a convolution reads it") };
            // Names: the convolution that begins at these parameters.
            let name = |n: &crate::node::ConvNorm| {
                &graph.params.entries().iter().find(|e| e.offset == n.params.start).expect("there").name
            };
            assert!(!name(first).contains("downsample"), "{} reads before {}", name(first), name(n));
        }
    }
}
