//! Stage 1 as a whole: from a recipe, images and a split to the files of one variant.

use std::sync::Arc;

use candle_core::DType;
use longtail_artifact::{Begin, BeginOptions, StageRun, StageSpec};
use longtail_datasets::{ImageSet, Split};
use longtail_ops::gpu::Element;
use longtail_recipe::{CudaPrecision, Recipe, RepresentationRecipe};
use longtail_training::step::MicroBatch;
use longtail_training::{Compute, HeadForm, Model, Pending, Step, move_state};

use crate::data::MetaImages;
use crate::memory::{Memory, available_memory};
use crate::method::{MetaBatches, build};
use crate::train::{Observer, Training};
use crate::{ImageFeed, RepresentationError, StageData, architecture, batch_norm, outputs};

/// What there was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The files are there and of this recipe.
    UpToDate,
    /// The files are there, of another recipe or other inputs, and the user takes them as they are.
    KeptStale,
    /// Trained (or resumed), and the files written.
    Trained {
        /// Total number of steps.
        steps: u64,
    },
}

/// Everything that training `variant` of `recipe` needs, at its start, on `compute`.
///
/// # Errors
/// If there is no such variant, data and method do not fit, this build does not know a setting, or the GPU cannot be used.
pub fn assemble(
    recipe: &Recipe,
    variant: &str,
    source: &Arc<ImageSet>,
    split: &Split,
    compute: &Compute,
) -> Result<Training, RepresentationError> {
    let part = recipe.representation(variant)?;
    let on_gpu = !compute.device().is_cpu();
    compute.prepare(part.cuda_precision == CudaPrecision::Tf32)?;
    let data = StageData::new(variant, part, &recipe.data, recipe.seed, source, split)?;
    let architecture = architecture(part.backbone);
    let form = HeadForm::from(part.head);
    let dtype = DType::F32;
    let mut model = Model::new(&architecture, data.image, form, data.num_classes, recipe.seed, dtype)?;
    batch_norm::check(variant, part, split.train.len(), &model.network)?;
    model.network.set_checkpointing(part.activation_checkpointing);
    let feed = ImageFeed::new(compute, data.image, data.stored)?;
    let meta = data.meta.map(|loader| Box::new(MetaImages::new(loader, feed.again())) as Box<dyn MetaBatches>);
    let mut method = build(part, model.head.feature_dim, &split.class_counts, meta, recipe.seed, dtype)?;
    if on_gpu {
        model = model.on(compute, element(part.cuda_precision))?;
        move_state(method.state(), compute)?;
    }
    let optimizer = Training::optimizer(part, &model)?;
    Ok(Training {
        step: Step::new(model, optimizer, MicroBatch::new(part.micro_batch, part.batch_size)),
        schedule: Training::schedule(part)?,
        method,
        loader: data.train,
        validation: data.validation,
        class_counts: split.class_counts.clone(),
        bounds: recipe.data.shot_groups,
        epochs: part.epochs,
        checkpoint_minutes: part.checkpoint_minutes,
        feed,
        pending: Pending::default(),
    })
}

/// What a GPU stores activations in.
pub fn element(precision: CudaPrecision) -> Element {
    match precision {
        CudaPrecision::Bf16 => Element::Bf16,
        CudaPrecision::F32 | CudaPrecision::Tf32 => Element::F32,
    }
}

/// Trains and writes the files of `variant` unless they are up to date.
///
/// # Errors
/// Those of [`assemble`] and [`Training::run`], or a folder that another process is writing to.
pub fn run(
    recipe: &Recipe,
    variant: &str,
    source: &Arc<ImageSet>,
    split: &Split,
    folder: &std::path::Path,
    spec: &StageSpec,
    compute: &Compute,
    options: BeginOptions,
    observer: &mut dyn Observer,
) -> Result<Outcome, RepresentationError> {
    let mut stage = match StageRun::begin(folder, spec, options)? {
        Begin::UpToDate => return Ok(Outcome::UpToDate),
        Begin::KeptStale => return Ok(Outcome::KeptStale),
        Begin::Run(stage) => stage,
    };
    let mut training = assemble(recipe, variant, source, split, compute)?;
    let part = recipe.representation(variant)?;
    if let Some(warning) = batch_norm::check(variant, part, split.train.len(), &training.step.model.network)? {
        observer.say(&format!("warning: {warning}"));
    }
    if compute.device().is_cpu() {
        state_memory(part, &training, observer);
    }
    training.run(&mut stage, observer)?;
    let normalize = &recipe.data.normalize;
    let normalize = serde_json::json!({"mean": normalize.mean, "std": normalize.std});
    let written = outputs::write(folder, &training.step.model, training.method.as_ref(), &normalize)?;
    let steps = training.total_steps();
    let changed = observer.images_changed()?;
    stage.images_changed(changed.as_deref());
    stage.finish(&written)?;
    match changed {
        Some(how) => Err(RepresentationError::ImagesChanged { how }),
        None => Ok(Outcome::Trained { steps }),
    }
}

/// From here on a run says beforehand what memory it will take, bytes; smaller ones fit anywhere.
const WORTH_SAYING: usize = 1 << 30;

fn state_memory(recipe: &RepresentationRecipe, training: &Training, observer: &mut dyn Observer) {
    let memory = Memory::of(recipe, &training.step.model, training.loader.ahead());
    let warning = available_memory().and_then(|available| memory.warning(recipe, available));
    if memory.total() >= WORTH_SAYING || warning.is_some() {
        observer.say(&memory.line());
    }
    if let Some(warning) = warning {
        observer.say(&format!("warning: {warning}"));
    }
}
