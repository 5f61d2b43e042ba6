//! Stage 1: what every method shares.

mod augmentation;
mod backbone;
mod head;
mod schedule;

pub use augmentation::Augmentation;
pub use backbone::Backbone;
pub use head::HeadKind;
pub(crate) use schedule::{RawSchedule, resolve as resolve_schedule};
pub use schedule::{Schedule, StepSchedule};

use serde::{Deserialize, Serialize};

use crate::check::{At, Problem, Span};
use crate::data::DataRecipe;
use crate::loss::{BesideLoss, RawLoss, Stage1Loss};
use crate::method::{RawMethod, RepresentationMethod, Stage1};

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
    /// Keep only the inputs of residual blocks between the passes, and work out what is inside again on the way back: half of the memory or less, and a third more time. Changes no bit, and is no part of the stage's key. Default false.
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

#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRepresentation {
    pub method: Option<RawMethod>,
    pub backbone: Option<Backbone>,
    pub head: Option<HeadKind>,
    pub loss: Option<RawLoss>,
    pub label_smoothing: Option<f64>,
    pub sampler: Option<Sampler>,
    pub augmentation: Option<Augmentation>,
    pub epochs: Option<usize>,
    pub batch_size: Option<usize>,
    pub micro_batch: Option<usize>,
    pub activation_checkpointing: Option<bool>,
    pub cuda_precision: Option<CudaPrecision>,
    pub drop_last: Option<bool>,
    pub lr: Option<f64>,
    pub lr_batch_size: Option<usize>,
    pub schedule: Option<RawSchedule>,
    pub warmup_epochs: Option<usize>,
    pub momentum: Option<f64>,
    pub nesterov: Option<bool>,
    pub weight_decay: Option<f64>,
    pub wd_groups: Option<WdGroups>,
    pub checkpoint_minutes: Option<f64>,
}

pub(crate) fn resolve(at: &At, raw: RawRepresentation, data: &DataRecipe) -> Result<RepresentationRecipe, Problem> {
    let method = raw.method.ok_or_else(|| at.missing("method", &method_choices()))?;
    let epochs = at.count("epochs", raw.epochs, 200, 1..=100_000, "passes over the training set")?;
    let batch_size = at.count("batch_size", raw.batch_size, 256, 2..=MOST_IN_A_BATCH, "batch norm needs two images")?;
    let warmup_epochs = at.count(
        "warmup_epochs",
        raw.warmup_epochs,
        if epochs > 1 { epochs.div_ceil(40) } else { 0 },
        0..=epochs - 1,
        "warm-up ends before training does",
    )?;
    let head = head::resolve(&at.key("head"), raw.head.unwrap_or(HeadKind::Linear))?;
    let beside = BesideLoss { epochs, head };
    Ok(RepresentationRecipe {
        method: RepresentationMethod::resolve(&at.key("method"), method, &Stage1 { epochs, data: data.clone() })?,
        backbone: backbone::resolve(&at.key("backbone"), raw.backbone, data)?,
        head,
        loss: Stage1Loss::resolve(&at.key("loss"), raw.loss.unwrap_or(RawLoss::Ce), &beside)?,
        label_smoothing: at.real(
            "label_smoothing",
            raw.label_smoothing,
            0.0,
            Span::below(0.0, 1.0),
            "a share of the target",
        )?,
        sampler: raw.sampler.unwrap_or(Sampler::InstanceBalanced),
        augmentation: augmentation::resolve(&at.key("augmentation"), raw.augmentation, data)?,
        epochs,
        batch_size,
        micro_batch: micro_batch(at, raw.micro_batch)?,
        activation_checkpointing: raw.activation_checkpointing.unwrap_or(false),
        cuda_precision: raw.cuda_precision.unwrap_or(CudaPrecision::F32),
        drop_last: raw.drop_last.unwrap_or(false),
        lr: at.real("lr", raw.lr, 0.2, Span::above(0.0, 100.0), "a learning rate")?,
        lr_batch_size: at.count(
            "lr_batch_size",
            raw.lr_batch_size,
            batch_size,
            1..=65536,
            "the batch size that `lr` is given for",
        )?,
        schedule: schedule::resolve(&at.key("schedule"), raw.schedule.unwrap_or(RawSchedule::Cosine), epochs)?,
        warmup_epochs,
        momentum: at.real("momentum", raw.momentum, 0.9, Span::below(0.0, 1.0), "SGD's momentum")?,
        nesterov: nesterov(at, raw.nesterov, raw.momentum)?,
        weight_decay: at.real("weight_decay", raw.weight_decay, 5e-4, Span::closed(0.0, 1.0), "coupled L2")?,
        wd_groups: raw.wd_groups.unwrap_or(WdGroups::All),
        checkpoint_minutes: at.real(
            "checkpoint_minutes",
            raw.checkpoint_minutes,
            10.0,
            Span::above(0.0, 10_000.0),
            "minutes between checkpoints",
        )?,
    })
}

/// "`{ce: {}}` or `{mpcl: {}}`", of all methods.
fn method_choices() -> String {
    let choices: Vec<String> = RepresentationMethod::NAMES.iter().map(|name| format!("`{{{name}: {{}}}}`")).collect();
    choices.join(" or ")
}

fn nesterov(at: &At, nesterov: Option<bool>, momentum: Option<f64>) -> Result<bool, Problem> {
    let nesterov = nesterov.unwrap_or(false);
    if nesterov && momentum == Some(0.0) {
        let what = "Nesterov looks ahead along the momentum, but momentum is 0";
        return Err(at.key("nesterov").conflict(what, "give a momentum above 0, or leave out `nesterov`"));
    }
    Ok(nesterov)
}

fn micro_batch(at: &At, given: Option<usize>) -> Result<usize, Problem> {
    match given {
        None => Ok(0),
        Some(1) => Err(at.key("micro_batch").conflict(
            "batch norm takes mean and variance over each part of a batch, and a part of one image, shrunk to one pixel, has no variance",
            "use 0 for the whole batch, or at least 2; 8 or more keep the statistics stable",
        )),
        given => at.count("micro_batch", given, 0, 0..=65536, "0 means the whole batch"),
    }
}

/// The largest side for what was made for images of 32 pixels. CIFAR networks take any size, but keep it for a third of their
/// layers; the crop moves by 4 pixels and Cutout takes 16, whatever the size.
const SMALL_SIDE: usize = 64;
