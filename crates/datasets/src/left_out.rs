//! Which photographs training goes without, as far as that is known before each is decoded.

use std::path::Path;

use longtail_artifact::{RunLayout, interrupted, split_identity};
use longtail_recipe::{DataRecipe, OnBadImage};
use rayon::prelude::*;

use crate::error::DatasetError;
use crate::identity::{identify, with_bar};
use crate::image_set::{DataSource, ImageSet};
use crate::photo_files::Absence;
use crate::split::{Skipped, Split};

/// What is known of the photographs that a split leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Those that are known.
    pub skipped: Skipped,
    /// Whether there are no others. Else only decoding every one would tell (`data check --images`, and stage 1 before it trains).
    pub are_all: bool,
}

impl LeftOut {
    /// Of `source`, as `data` asks. Nothing is left out but under `on_bad_image: skip`. Then a pack knows all, as its images were
    /// decoded when it was made; so does the split of `run`, if it was drawn from these images; else what is no file, or an empty
    /// one, is known. No image is decoded.
    ///
    /// # Errors
    /// [`DatasetError::Interrupted`].
    pub fn known(
        data: &DataRecipe,
        source: &DataSource,
        dir: Option<&Path>,
        run: Option<&RunLayout>,
    ) -> Result<Self, DatasetError> {
        if data.photo.as_ref().is_none_or(|photo| photo.on_bad_image == OnBadImage::Fail) {
            return Ok(Self { skipped: Skipped::default(), are_all: true });
        }
        if source.pack().is_none()
            && let Some(layout) = run.filter(|layout| split_identity(layout).is_some())
        {
            let now = with_bar(false, |progress| identify(data, dir, std::slice::from_ref(layout), progress))?;
            // A split that cannot be read is stage 1's to speak of.
            if !now.are_others(layout)
                && let Ok(split) = Split::load_of_any_images(&layout.split(), source)
            {
                return Ok(Self { skipped: split.skipped, are_all: true });
            }
        }
        let positions = |set: &ImageSet| -> Result<Vec<u32>, DatasetError> {
            Ok(absent(set)?.into_iter().map(|(index, _)| index).collect())
        };
        let skipped = Skipped { train: positions(&source.train)?, test: positions(&source.test)? };
        Ok(Self { skipped, are_all: source.pack().is_some() })
    }
}

/// Ascending positions of images that are not there to be read, and why.
///
/// # Errors
/// [`DatasetError::Interrupted`].
pub fn absent(set: &ImageSet) -> Result<Vec<(u32, Absence)>, DatasetError> {
    let Some(files) = set.images.photos() else { return Ok(Vec::new()) };
    let look = |index: usize| if interrupted() { None } else { Some((index as u32, files.absence(index)?)) };
    let found = (0..files.len()).into_par_iter().filter_map(look).collect();
    if interrupted() { Err(DatasetError::Interrupted) } else { Ok(found) }
}
