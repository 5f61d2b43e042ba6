//! Stage 1: what every method shares.

use super::mpcl;
use crate::check::{At, Problem, Span};
use crate::raw::{RawMethod, RawRepresentation, RawSchedule};
use crate::resolved::*;

pub(super) fn resolve(
    at: &At,
    raw: RawRepresentation,
    data: &DataRecipe,
) -> Result<RepresentationRecipe, Problem> {
    let method = raw
        .method
        .ok_or_else(|| at.missing("method", "`{ce: {}}` or `{mpcl: {}}`"))?;
    let epochs = at.count(
        "epochs",
        raw.epochs,
        200,
        1..=100_000,
        "passes over the training set",
    )?;
    let batch_size = at.count(
        "batch_size",
        raw.batch_size,
        256,
        2..=65536,
        "batch norm needs two images",
    )?;
    let warmup_epochs = at.count(
        "warmup_epochs",
        raw.warmup_epochs,
        if epochs > 1 { epochs.div_ceil(40) } else { 0 },
        0..=epochs - 1,
        "warm-up ends before training does",
    )?;
    Ok(RepresentationRecipe {
        method: match method {
            RawMethod::Ce(raw) => {
                RepresentationMethod::Ce(mpcl::resolve_ce(&at.key("method.ce"), raw)?)
            }
            RawMethod::Mpcl(raw) => {
                let resolved = mpcl::resolve(&at.key("method.mpcl"), *raw, epochs, data)?;
                RepresentationMethod::Mpcl(Box::new(resolved))
            }
        },
        backbone: backbone(
            &at.key("backbone"),
            raw.backbone.unwrap_or(Backbone::Resnet(32)),
        )?,
        head: head(&at.key("head"), raw.head.unwrap_or(HeadKind::Linear))?,
        loss: raw.loss.unwrap_or(Stage1Loss::Ce),
        label_smoothing: at.real(
            "label_smoothing",
            raw.label_smoothing,
            0.0,
            Span::below(0.0, 1.0),
            "a share of the target",
        )?,
        sampler: raw.sampler.unwrap_or(Sampler::InstanceBalanced),
        augmentation: augmentation(&at.key("augmentation"), raw.augmentation, data.dataset)?,
        epochs,
        batch_size,
        drop_last: raw.drop_last.unwrap_or(false),
        lr: at.real(
            "lr",
            raw.lr,
            0.2,
            Span::above(0.0, 100.0),
            "a learning rate",
        )?,
        lr_batch_size: at.count(
            "lr_batch_size",
            raw.lr_batch_size,
            batch_size,
            1..=65536,
            "the batch that `lr` is stated for",
        )?,
        schedule: schedule(
            &at.key("schedule"),
            raw.schedule.unwrap_or(RawSchedule::Cosine),
            epochs,
        )?,
        warmup_epochs,
        momentum: at.real(
            "momentum",
            raw.momentum,
            0.9,
            Span::below(0.0, 1.0),
            "SGD's momentum",
        )?,
        nesterov: nesterov(at, raw.nesterov, raw.momentum)?,
        weight_decay: at.real(
            "weight_decay",
            raw.weight_decay,
            5e-4,
            Span::closed(0.0, 1.0),
            "coupled L2",
        )?,
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

fn nesterov(at: &At, nesterov: Option<bool>, momentum: Option<f64>) -> Result<bool, Problem> {
    let nesterov = nesterov.unwrap_or(false);
    if nesterov && momentum == Some(0.0) {
        let what = "Nesterov's step looks ahead along the momentum, and momentum is 0";
        return Err(at
            .key("nesterov")
            .conflict(what, "give a momentum above 0, or leave out `nesterov`"));
    }
    Ok(nesterov)
}

fn backbone(at: &At, backbone: Backbone) -> Result<Backbone, Problem> {
    let source = "a CIFAR ResNet has 6n+2 layers: 3 stages of n blocks of 2 (protocol.md §1.4)";
    let (key, depth, smallest) = match backbone {
        Backbone::Resnet(depth) => ("resnet", depth, 8),
        // The third stage has one block fewer, and at least one.
        Backbone::ResnetTwoHeaded(depth) => ("resnet_two_headed", depth, 14),
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
        at.key("cosine").in_span(
            scale,
            Span::above(0.0, 1000.0),
            "scale of a cosine head; 16 in TailCalibX",
        )?;
    }
    Ok(head)
}

fn augmentation(
    at: &At,
    given: Option<Augmentation>,
    dataset: Dataset,
) -> Result<Augmentation, Problem> {
    let channels = dataset.channels();
    let default = if channels == 3 {
        Augmentation::AutoaugmentCutout
    } else {
        Augmentation::Basic
    };
    let augmentation = given.unwrap_or(default);
    if augmentation == Augmentation::AutoaugmentCutout && channels != 3 {
        return Err(at.conflict(
            format!(
                "AutoAugment's colour operations need three channels, and `{}` has {channels}",
                dataset.name()
            ),
            "use `basic` or `none`",
        ));
    }
    Ok(augmentation)
}

/// The learning rate over `epochs` epochs.
pub(super) fn schedule(at: &At, raw: RawSchedule, epochs: usize) -> Result<Schedule, Problem> {
    let step = match raw {
        RawSchedule::Cosine => return Ok(Schedule::Cosine),
        RawSchedule::Constant => return Ok(Schedule::Constant),
        RawSchedule::Step(step) => step,
    };
    let at = at.key("step");
    let milestones = step.milestones.unwrap_or_default();
    if milestones.is_empty() {
        return Err(at.missing("milestones", "a rising list of epochs, such as [120, 160]"));
    }
    let mut before = 0;
    for (index, milestone) in milestones.iter().enumerate() {
        if *milestone <= before || *milestone >= epochs {
            let legal = format!("above {before} and below epochs = {epochs}");
            return Err(at.key("milestones").key(index).range(
                milestone,
                legal,
                "milestones rise, and fall inside the run",
            ));
        }
        before = *milestone;
    }
    let gamma = at.real(
        "gamma",
        step.gamma,
        0.1,
        Span::above(0.0, 1.0),
        "the rate is multiplied by it",
    )?;
    Ok(Schedule::Step(StepSchedule { milestones, gamma }))
}
