//! Stage 1 as a whole: from a recipe, images and a split to the files of one variant.

use std::sync::Arc;

use longtail_artifact::{Begin, BeginOptions, StageRun, StageSpec};
use longtail_datasets::{ImageSet, Split};
use longtail_recipe::{Recipe, RepresentationRecipe};
use longtail_training::{HeadForm, ShotBounds};

use crate::memory::{Memory, available_memory};
use crate::method::{MetaBatches, build};
use crate::model::{Model, architecture};
use crate::train::{Observer, Training};
use crate::{RepresentationError, StageData, outputs};

/// What there was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The files are there and of this recipe.
    UpToDate,
    /// Trained (or resumed), and the files written.
    Trained {
        /// Steps in all.
        steps: u64,
    },
}

/// Everything that training `variant` of `recipe` needs, at its start.
///
/// # Errors
/// If there is no such variant, data and method do not fit, or this build does not know a setting.
pub fn assemble(
    recipe: &Recipe,
    variant: &str,
    source: &Arc<ImageSet>,
    split: &Split,
) -> Result<Training, RepresentationError> {
    let part = recipe.representation(variant)?;
    let data = StageData::new(part, &recipe.data, recipe.seed, source, split)?;
    let architecture = architecture(part.backbone)?;
    let form = HeadForm::try_from(part.head)?;
    let mut model = Model::new(&architecture, data.image, form, data.num_classes, recipe.seed)?;
    model.network.set_checkpointing(part.activation_checkpointing);
    let meta = data.meta.map(|loader| Box::new(loader) as Box<dyn MetaBatches<f32>>);
    let method = build(part, model.head.feature_dim, &split.class_counts, meta, recipe.seed)?;
    Ok(Training {
        optimizer: Training::optimizer(part, &model)?,
        schedule: Training::schedule(part)?,
        model,
        method,
        loader: data.train,
        validation: data.validation,
        class_counts: split.class_counts.clone(),
        bounds: ShotBounds::from(recipe.data.shot_groups),
        epochs: part.epochs,
        checkpoint_minutes: part.checkpoint_minutes,
    })
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
    options: BeginOptions,
    observer: &mut dyn Observer,
) -> Result<Outcome, RepresentationError> {
    let mut stage = match StageRun::begin(folder, spec, options)? {
        Begin::UpToDate => return Ok(Outcome::UpToDate),
        Begin::Run(stage) => stage,
    };
    let mut training = assemble(recipe, variant, source, split)?;
    state_memory(recipe.representation(variant)?, &training, observer);
    training.run(&mut stage, observer)?;
    let normalize = &recipe.data.normalize;
    let normalize = serde_json::json!({"mean": normalize.mean, "std": normalize.std});
    let written = outputs::write(folder, &training.model, training.method.as_ref(), &normalize)?;
    let steps = training.total_steps();
    stage.finish(&written)?;
    Ok(Outcome::Trained { steps })
}

/// From here on a run says beforehand what memory it will take, bytes; smaller ones fit anywhere.
const WORTH_SAYING: usize = 1 << 30;

fn state_memory(recipe: &RepresentationRecipe, training: &Training, observer: &mut dyn Observer) {
    let memory = Memory::of(recipe, &training.model, training.loader.ahead());
    let warning = available_memory().and_then(|available| memory.warning(recipe, available));
    if memory.total() >= WORTH_SAYING || warning.is_some() {
        observer.say(&memory.line());
    }
    if let Some(warning) = warning {
        observer.say(&format!("warning: {warning}"));
    }
}
