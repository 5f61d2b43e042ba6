//! Stage 1: what every method shares.

use crate::check::{At, Problem, Span};
use crate::loss::{BesideLoss, RawLoss, Stage1Loss};
use crate::method::{RepresentationMethod, Stage1};
use crate::raw::{RawRepresentation, RawSchedule};
use crate::resolved::*;

pub(super) fn resolve(at: &At, raw: RawRepresentation, data: &DataRecipe) -> Result<RepresentationRecipe, Problem> {
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
    let head = head(&at.key("head"), raw.head.unwrap_or(HeadKind::Linear))?;
    let beside = BesideLoss { epochs, head };
    Ok(RepresentationRecipe {
        method: RepresentationMethod::resolve(&at.key("method"), method, &Stage1 { epochs, data: data.clone() })?,
        backbone: backbone(&at.key("backbone"), raw.backbone, data)?,
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
        augmentation: augmentation(&at.key("augmentation"), raw.augmentation, data)?,
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
        schedule: schedule(&at.key("schedule"), raw.schedule.unwrap_or(RawSchedule::Cosine), epochs)?,
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

/// The smallest side that a network for ImageNet takes: it halves images five times.
const IMAGENET_SIDE: usize = 32;

/// The largest side for what was made for images of 32 pixels. CIFAR networks take any size, but keep it for a third of their
/// layers; the crop moves by 4 pixels and Cutout takes 16, whatever the size.
const SMALL_SIDE: usize = 64;

fn backbone(at: &At, given: Option<Backbone>, data: &DataRecipe) -> Result<Backbone, Problem> {
    let default = match data.dataset {
        Dataset::ImagenetLt => Backbone::Resnext50,
        Dataset::Inaturalist2018 | Dataset::ImageFolder => Backbone::Resnet50,
        Dataset::FashionMnist | Dataset::Cifar100 => Backbone::CifarResnet(32),
    };
    let backbone = given.unwrap_or(default);
    let (name, side) = (data.dataset.name(), data.image_side());
    if backbone.is_cifar() && side > SMALL_SIDE {
        return Err(at.conflict(
            format!("CIFAR networks are for images of 32 pixels and keep the full size in a third of their layers, but the images of `{name}` are resized to {side} pixels"),
            format!("use `resnet50`, `resnet101`, `resnet152` or `resnext50_32x4d`, or set `data.image_side` to {SMALL_SIDE} or less"),
        ));
    }
    if !backbone.is_cifar() && side < IMAGENET_SIDE {
        return Err(at.conflict(
            format!("ImageNet networks halve the image five times and need {IMAGENET_SIDE} pixels, but the images of `{name}` have {side}"),
            "use `{cifar_resnet: 32}` or another depth 6n+2",
        ));
    }
    let source = "a CIFAR ResNet has 6n+2 layers: 3 stages of n blocks of 2 (docs/method/protocol.md §1.4)";
    let (key, depth, smallest) = match backbone {
        Backbone::CifarResnet(depth) => ("cifar_resnet", depth, 8),
        // The third stage has one block fewer, and at least one.
        Backbone::CifarResnetTwoHeaded(depth) => ("cifar_resnet_two_headed", depth, 14),
        Backbone::Resnet50 | Backbone::Resnet101 | Backbone::Resnet152 | Backbone::Resnext50 => return Ok(backbone),
    };
    if depth < smallest || depth > 1202 || !(depth - 2).is_multiple_of(6) {
        return Err(at.key(key).range(
            depth,
            format!("6n+2 from {smallest} to 1202, such as 20, 32, 44 or 56"),
            source,
        ));
    }
    Ok(backbone)
}

fn head(at: &At, head: HeadKind) -> Result<HeadKind, Problem> {
    if let HeadKind::Cosine(scale) = head {
        at.key("cosine").in_span(scale, Span::above(0.0, 1000.0), "scale of a cosine head; 16 in TailCalibX")?;
    }
    Ok(head)
}

fn augmentation(at: &At, given: Option<Augmentation>, data: &DataRecipe) -> Result<Augmentation, Problem> {
    let (dataset, side) = (data.dataset, data.image_side());
    let (channels, photos) = (dataset.channels(), dataset.is_photo_set());
    let default = match channels {
        _ if photos => Augmentation::RandomResizedCropJitter,
        3 => Augmentation::AutoaugmentCutout,
        _ => Augmentation::Basic,
    };
    let augmentation = given.unwrap_or(default);
    let (for_photos, for_pixels) = match augmentation {
        Augmentation::None => (true, true),
        Augmentation::RandomResizedCrop | Augmentation::RandomResizedCropJitter => (true, false),
        Augmentation::Basic | Augmentation::AutoaugmentCutout => (false, true),
    };
    if photos && !for_photos && side > SMALL_SIDE {
        return Err(at.conflict(
            format!(
                "this augmentation, a crop with 4 pixels of padding, is for images of 32 pixels, but the images of \
                 `{}` are resized to {side} pixels",
                dataset.name()
            ),
            format!(
                "use `random_resized_crop_jitter`, `random_resized_crop` or `none`, or set `data.image_side` to {SMALL_SIDE} or less"
            ),
        ));
    }
    if !photos && !for_pixels {
        return Err(at.conflict(
            format!(
                "a random resized crop is for photographs, but the images of `{}` are stored as pixels of one size",
                dataset.name()
            ),
            if channels == 3 { "use `autoaugment_cutout`, `basic` or `none`" } else { "use `basic` or `none`" },
        ));
    }
    if augmentation == Augmentation::AutoaugmentCutout && channels != 3 {
        return Err(at.conflict(
            format!("AutoAugment's colour operations need three channels, but `{}` has {channels}", dataset.name()),
            "use `basic` or `none`",
        ));
    }
    Ok(augmentation)
}

/// The learning rate over `epochs` epochs.
pub(crate) fn schedule(at: &At, raw: RawSchedule, epochs: usize) -> Result<Schedule, Problem> {
    let step = match raw {
        RawSchedule::Cosine => return Ok(Schedule::Cosine),
        RawSchedule::Constant => return Ok(Schedule::Constant),
        RawSchedule::Step(step) => step,
    };
    let at = at.key("step");
    let milestones = step.milestones.unwrap_or_default();
    if milestones.is_empty() {
        return Err(at.missing("milestones", "an increasing list of epochs, such as [120, 160]"));
    }
    let mut before = 0;
    for (index, milestone) in milestones.iter().enumerate() {
        if *milestone <= before || *milestone >= epochs {
            let legal = format!("above {before} and below epochs = {epochs}");
            return Err(at.key("milestones").key(index).range(
                milestone,
                legal,
                "milestones must increase and lie within the run",
            ));
        }
        before = *milestone;
    }
    let gamma = at.real("gamma", step.gamma, 0.1, Span::above(0.0, 1.0), "the learning rate is multiplied by it")?;
    Ok(Schedule::Step(StepSchedule { milestones, gamma }))
}
