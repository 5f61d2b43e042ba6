//! The images and the split of a run, for stages that read them and for those that only must not be of others.

use anyhow::Context;
use longtail_artifact::{ImageMatch, progress};
use longtail_datasets::identity::{compare, load_accepting, with_bar};
use longtail_datasets::{DataSource, DatasetError, Identified, Split, load_identified};
use longtail_recipe::{DataRecipe, Recipe};

use crate::Frame;

impl Frame<'_> {
    /// How the images stand to those of the run's split: files of other images are stale, also for a stage that reads no pixel.
    ///
    /// # Errors
    /// A named folder that cannot be read; an interruption.
    pub fn compare_images(&self, recipe: &Recipe) -> anyhow::Result<ImageMatch> {
        compare(&recipe.data, self.args.data.as_deref(), &self.layout, self.args.quiet)
            .map_err(DatasetError::explained)
            .with_context(|| self.cannot_start())
    }

    /// The images and their identity; with `--accept-stale` also those of a pack that was made from others.
    ///
    /// # Errors
    /// They are not there or cannot be read; an interruption.
    pub fn load_images(&self, recipe: &Recipe) -> anyhow::Result<(DataSource, Identified)> {
        let load = if self.args.accept_stale { load_accepting } else { load_identified };
        let (data, dir) = (&recipe.data, self.args.data.as_deref());
        with_bar(self.args.quiet, |progress| load(data, dir, &self.layout, progress)).map_err(DatasetError::explained)
    }

    /// Says what there is to say of the images that were loaded.
    pub fn warn_of(&self, images: &Identified) {
        if let Some(note) = images.note().filter(|_| !self.args.quiet) {
            eprintln!("warning: {note}");
        }
    }

    /// The run's split, drawn if it is not there or is of others; and the images written down as those that it is of. `afresh`: look
    /// for images that cannot be decoded once more.
    ///
    /// # Errors
    /// These images cannot give it; an interruption.
    pub fn draw_split(
        &self,
        recipe: &Recipe,
        source: &DataSource,
        images: &Identified,
        afresh: bool,
    ) -> anyhow::Result<Split> {
        let all = (source.train.len() + source.test.len()) as u64;
        let bar = progress(all, "decoding every image once", self.args.quiet);
        let split = Split::of_run(&self.layout, &recipe.data, source, afresh, &|done, _| {
            if done % 64 == 0 {
                bar.set_position(done);
            }
        });
        bar.finish_and_clear();
        let split = split.and_then(|split| images.record(&self.layout).map(|()| split));
        split.map_err(DatasetError::explained)
    }

    /// The run's split as an earlier stage drew it; with `--accept-stale` also one of other images.
    ///
    /// # Errors
    /// It is not there, is damaged or of other images.
    pub fn load_split(&self, source: &DataSource) -> anyhow::Result<Split> {
        let file = self.layout.split();
        let split = match self.args.accept_stale {
            true => Split::load_of_any_images(&file, source),
            false => Split::load(&file, source),
        };
        split.map_err(DatasetError::explained)
    }

    /// How the images changed since they were loaded, if they did.
    ///
    /// # Errors
    /// They cannot be looked at; an interruption.
    pub fn changes(&self, data: &DataRecipe, images: &Identified) -> Result<Option<String>, DatasetError> {
        with_bar(self.args.quiet, |progress| images.changes(data, self.args.data.as_deref(), progress))
    }
}
