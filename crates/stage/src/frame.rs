//! One run of a stage: what its arguments come to, whether there is work, and how it ends.

use std::path::Path;

use anyhow::Context;
use longtail_artifact::{
    ArtifactError, Begin, BeginOptions, Device, ImageMatch, RunLayout, StageRun, StageSpec, stage_specs,
};
use longtail_recipe::{Recipe, RecipeError};
use longtail_training::Compute;
use serde_json::{Value, json};

use crate::{StageArgs, Terminal};

/// A stage's files are there and of this recipe.
pub const UP_TO_DATE: &str = "up to date";
/// They are there, of another recipe or other inputs, and the user takes them as they are.
pub const KEPT: &str = "kept as it is";

/// A stage's run around its own work.
#[derive(Debug)]
pub struct Frame<'a> {
    pub(crate) args: &'a StageArgs,
    pub(crate) layout: RunLayout,
    stage: &'static str,
    of: String,
    cannot_start: String,
    overrides: Vec<(String, String)>,
}

impl<'a> Frame<'a> {
    /// Of `stage`, as [`stage_specs`] calls it; `of` is what it is run on, in lines (`features ce: up to date`); `cannot_start` opens
    /// errors from before there was work.
    ///
    /// # Errors
    /// A `--set` without `=`.
    pub fn new(
        stage: &'static str,
        of: &str,
        cannot_start: String,
        args: &'a StageArgs,
    ) -> Result<Self, ArtifactError> {
        let overrides = args.overrides()?;
        Ok(Self { args, layout: RunLayout::new(&args.run), stage, of: of.to_owned(), cannot_start, overrides })
    }

    /// The recipe, with what `--set` and `--seed` change.
    ///
    /// # Errors
    /// It cannot be read, or a value that cannot be.
    pub fn recipe(&self) -> Result<Recipe, RecipeError> {
        longtail_recipe::read(&self.args.recipe, &self.overrides)
    }

    /// Where everything of the run lies.
    pub fn layout(&self) -> &RunLayout {
        &self.layout
    }

    /// What errors from before there was work begin with.
    pub fn cannot_start(&self) -> String {
        self.cannot_start.clone()
    }

    /// What `--device` comes to in this build on this machine. Where there was something to choose, stderr is told.
    ///
    /// # Errors
    /// [`ArtifactError::NoCuda`], [`ArtifactError::NoDevice`].
    pub fn device(&self) -> Result<Device, ArtifactError> {
        self.args.device(self.stage, Compute::gpus())
    }

    /// Stage 1's files are of this recipe and of these images, or the user takes them as they are.
    ///
    /// # Errors
    /// [`ArtifactError::Upstream`].
    pub fn require_representation(&self, recipe: &Recipe, images: &ImageMatch, device: &str) -> anyhow::Result<()> {
        let variant = &self.args.variant;
        let part = recipe.representation_part(variant)?;
        let spec = stage_specs::representation(&self.layout, images, part, device);
        self.require(&self.layout.representation(variant), &spec)
    }

    /// And so are stage 2's.
    ///
    /// # Errors
    /// [`ArtifactError::Upstream`].
    pub fn require_features(&self, recipe: &Recipe, images: &ImageMatch, device: &str) -> anyhow::Result<()> {
        let variant = &self.args.variant;
        let spec = stage_specs::features(&self.layout, images, variant, recipe.features_part(variant)?, device);
        self.require(&self.layout.features(variant), &spec)
    }

    fn require(&self, folder: &Path, spec: &StageSpec) -> anyhow::Result<()> {
        stage_specs::require_up_to_date(folder, spec, self.args.accept_stale).with_context(|| self.cannot_start())
    }

    /// What the arguments say of how to begin.
    pub fn options(&self) -> BeginOptions {
        BeginOptions {
            force: self.args.force,
            accept_stale: self.args.accept_stale,
            accept_device_change: self.args.accept_device_change,
        }
    }

    /// The stage at work in its folder; `None` where there is no work, and this was told as [`Self::done`] tells an outcome.
    ///
    /// # Errors
    /// [`StageRun::begin`]'s.
    pub fn begin(&self, folder: &Path, spec: &StageSpec) -> Result<Option<StageRun>, ArtifactError> {
        let words = match StageRun::begin(folder, spec, self.options())? {
            Begin::Run(stage) => return Ok(Some(stage)),
            Begin::UpToDate => UP_TO_DATE,
            Begin::KeptStale => KEPT,
        };
        let (stage, variant) = (self.stage, &self.args.variant);
        self.done(&json!({"stage": stage, "variant": variant, "of": self.of, "status": words}), words);
        Ok(None)
    }

    /// A bar and lines of this run.
    pub fn terminal(&self) -> Terminal {
        Terminal::new(format!("{} {}", self.stage, self.of), self.args.quiet)
    }

    /// With `--json` the outcome as one object on stdout, else as a line on stderr: `features ce: …`.
    pub fn done(&self, outcome: &Value, line: &str) {
        if self.args.json {
            println!("{outcome}");
        } else if !self.args.quiet {
            eprintln!("{} {}: {line}", self.stage, self.of);
        }
    }

    /// As [`Self::done`], where the line is an answer and goes to stdout: `ce+mpfa: …`.
    pub fn answer(&self, outcome: &Value, line: &str) {
        if self.args.json {
            println!("{outcome}");
        } else if !self.args.quiet {
            println!("{}: {line}", self.of);
        }
    }
}
