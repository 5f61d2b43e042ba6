//! Stage 1: what every method shares.

use serde::{Deserialize, Serialize};

use crate::loss::Stage1Loss;
use crate::method::RepresentationMethod;

/// Images of a batch at most.
pub(crate) const MOST_IN_A_BATCH: usize = 65_536;

/// Stage 1 for one variant.
///
/// Where the paper is silent, the defaults are those of protocol.md §1.5 ("ours for the paper").
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RepresentationRecipe {
    /// What is learnt beside the classes. No default.
    pub method: RepresentationMethod,
    /// Default `{cifar_resnet: 32}` (64-d; the paper follows BALMS); for photo sets `resnext50_32x4d` with `imagenet_lt` and
    /// `resnet50` with the others (protocol.md §2, §3). Images above 64 pixels take no CIFAR network, images under 32 no other.
    pub backbone: Backbone,
    /// The head trained with the backbone. Default `linear` (mpcl_mpfa.md §5 row 12).
    pub head: HeadKind,
    /// Stage-1 classification loss. Default `ce` (row 12).
    pub loss: Stage1Loss,
    /// In [0, 1). Default 0.
    pub label_smoothing: f64,
    /// Default `instance_balanced` (row 12).
    pub sampler: Sampler,
    /// Default `autoaugment_cutout` for three channels, `basic` for one, `random_resized_crop_jitter` for photo sets. Photos of
    /// `image_side` up to 64 take `basic` and `autoaugment_cutout` too, after the crop in the middle that scoring makes: with
    /// `resize_short` = `image_side` a file of that size is taken as it is.
    pub augmentation: Augmentation,
    /// 1 to 100000. Default 200.
    pub epochs: usize,
    /// 2 (batch norm) to 65536. Default 256.
    pub batch_size: usize,
    /// Images per forward: 0 the whole batch, else at least 2, and the batch goes through the network in the fewest parts
    /// that are as equal as can be and none larger than this (but for a single image too many, which joins a part: batch
    /// norm needs two). Gradients are summed over the parts, so memory follows this and not `batch_size`. Losses,
    /// prototypes and the meta-gradient are those of the whole batch; **batch norm normalises each part by that part's own
    /// mean and variance**, and running statistics move once a part: it is the batch norm of small batches (what several
    /// GPUs without synchronised batch norm do). So it changes the result and is part of the stage's key. Meta batches are
    /// cut likewise. An MPCL step then costs 12/10 of a whole one: activations are recomputed twice. Default 0.
    pub micro_batch: usize,
    /// Keep only the inputs of residual blocks between the passes, and work out what is inside again on the way back: about a
    /// third of the memory, and a third more time. Changes no bit, and is no part of the stage's key. Default false.
    pub activation_checkpointing: bool,
    /// How a GPU computes: `f32`; `tf32`, which rounds the factors of products and convolutions to 10 bits after the point; or
    /// `bf16`, which keeps activations, their gradients and tangents in bfloat16 (7 bits) and half the memory, while weights,
    /// statistics, pooled features, heads and losses stay f32. Sums are f32 in each. The CPU knows f32 alone. Changes results on a GPU; `f32` is no part of the stage's
    /// key. Default `f32`.
    pub cuda_precision: CudaPrecision,
    /// Drop the last partial batch. Default false (CIFAR convention; row 36). A last batch of one image is refused where the
    /// network shrinks it to one pixel, and warned of elsewhere.
    pub drop_last: bool,
    /// Learning rate for a batch of `lr_batch_size`, in (0, 100]; the step uses lr·batch_size/lr_batch_size (linear
    /// scaling). Default 0.2.
    pub lr: f64,
    /// The batch size that `lr` is stated for, 1 to 65536. Default: `batch_size`.
    pub lr_batch_size: usize,
    /// Default `cosine`.
    pub schedule: Schedule,
    /// Linear warm-up from lr/warmup_epochs over this many epochs, fewer than `epochs`. Default ⌈epochs/40⌉: 5 of 200.
    pub warmup_epochs: usize,
    /// In [0, 1). Default 0.9.
    pub momentum: f64,
    /// Default false.
    pub nesterov: bool,
    /// Coupled L2 as in PyTorch's SGD, in [0, 1]. Default 5e-4.
    pub weight_decay: f64,
    /// Default `all`: batch norm and biases too, as every cited code does (row 35).
    pub wd_groups: WdGroups,
    /// Minutes between checkpoints inside an epoch, in (0, 10000]. Default 10. When they fall changes no bit, and it is
    /// no part of the stage's key.
    pub checkpoint_minutes: f64,
}

/// How a GPU computes in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CudaPrecision {
    /// IEEE single precision.
    F32,
    /// TensorFloat-32.
    Tf32,
    /// bfloat16 in the network.
    Bf16,
}

/// Network architectures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Backbone {
    /// torchvision's ResNet-50; feature dim 2048. Written `resnet50`.
    Resnet50,
    /// torchvision's ResNet-101; feature dim 2048.
    Resnet101,
    /// torchvision's ResNet-152; feature dim 2048.
    Resnet152,
    /// torchvision's ResNeXt-50 32×4d; feature dim 2048. Written `resnext50_32x4d`.
    #[serde(rename = "resnext50_32x4d")]
    Resnext50,
    /// The CIFAR ResNet of depth 6n+2, 8 to 1202, with 16/32/64 channels, option A; feature dim 64. `{cifar_resnet: 32}`.
    CifarResnet(usize),
    /// The same of depth 14 or more in BBN's 128-d two-headed form (protocol.md §1.4). `{cifar_resnet_two_headed: 32}`.
    CifarResnetTwoHeaded(usize),
}

impl Backbone {
    /// Numbers in one image's feature.
    pub fn feature_dim(self) -> usize {
        match self {
            Backbone::CifarResnet(_) => 64,
            Backbone::CifarResnetTwoHeaded(_) => 128,
            Backbone::Resnet50 | Backbone::Resnet101 | Backbone::Resnet152 | Backbone::Resnext50 => 2048,
        }
    }

    /// Whether it is a network for small images.
    pub fn is_cifar(self) -> bool {
        matches!(self, Backbone::CifarResnet(_) | Backbone::CifarResnetTwoHeaded(_))
    }
}

/// The head that stage 1 trains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HeadKind {
    /// z·Wᵀ + b. Written `linear`.
    Linear,
    /// s·cos(z, w_k), no bias; the value is s, in (0, 1000]. Written `{cosine: 16.0}`.
    Cosine(f64),
    /// cos(z, w_k), no bias, rows of norm 1 at the start: LDAM's head, and taken with `loss: {ldam: …}` alone. Written `normed_linear`.
    NormedLinear,
}

/// How images, or features, are drawn (methods.md §3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Every image once an epoch, shuffled.
    InstanceBalanced,
    /// ClassAware: classes in turn, 4 images in a row.
    ClassBalanced,
    /// A class with probability proportional to √N_k, then an image of it.
    SquareRoot,
    /// From instance-balanced to class-balanced, linearly over the epochs.
    ProgressivelyBalanced,
}

/// What happens to a training image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Augmentation {
    /// Normalise only.
    None,
    /// Zero-padded random crop (pad 4) and horizontal flip (protocol.md §1.3).
    Basic,
    /// `basic`, CIFAR-10 AutoAugment, Cutout 1×16. Three channels only.
    AutoaugmentCutout,
    /// A random crop of 8 to 100 % of the area and aspect 3/4 to 4/3, resized, and a horizontal flip. Photo sets only
    /// (protocol.md §2).
    RandomResizedCrop,
    /// The same, then brightness, contrast and saturation each changed by up to 40 % in random order (cRT's recipe,
    /// protocol.md §2). Photo sets only.
    RandomResizedCropJitter,
}

/// The learning rate over the epochs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// lr/2·(1 + cos(π·e/T)), e the 0-based epoch counted from the end of warm-up, T the epochs left: written `cosine`.
    Cosine,
    /// Multiply by `gamma` at each 0-based epoch of `milestones`.
    Step(StepSchedule),
    /// Constant. Written `constant`.
    Constant,
}

/// Drops of the learning rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct StepSchedule {
    /// 0-based epochs, rising, each in 1..epochs; at least one.
    pub milestones: Vec<usize>,
    /// In (0, 1]. Default 0.1.
    pub gamma: f64,
}

/// What weight decay touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WdGroups {
    /// Applies to every parameter.
    All,
    /// Convolution and linear weights only.
    WeightsOnly,
}
