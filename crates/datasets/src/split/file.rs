//! `split.safetensors`: the indices of a run, written once, checked whenever they are there.

use std::path::Path;

use longtail_artifact::{IDENTITY, NamedTensor, RunLayout, TensorData, TensorFile, counted, write_tensors};
use longtail_recipe::{DataRecipe, MetaSource, OnBadImage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ListedSpec, Skipped, Split, SplitSpec};
use crate::census::Census;
use crate::error::DatasetError;
use crate::image_set::{DataSource, ImageSet};

/// The metadata's list of photos that the census found bad.
const SKIPPED: &str = "skipped";

impl Split {
    /// The split of a run: read from its `split.safetensors`, or drawn and written there.
    ///
    /// A file that was drawn for other settings or from other images is replaced (later stages then see another hash and
    /// run again). A file for these settings must hold the very draw.
    ///
    /// # Errors
    /// Those of [`Split::draw`]; a damaged file; a file that cannot be written.
    pub fn load_or_create(layout: &RunLayout, recipe: &DataRecipe, source: &DataSource) -> Result<Self, DatasetError> {
        Self::load_or_create_with(layout, recipe, source, &|_, _| {})
    }

    /// [`Split::load_or_create`], which says how far the census has come: images done, and images in all.
    ///
    /// # Errors
    /// As [`Split::of_run`].
    pub fn load_or_create_with(
        layout: &RunLayout,
        recipe: &DataRecipe,
        source: &DataSource,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Self, DatasetError> {
        Self::of_run(layout, recipe, source, false, progress)
    }

    /// [`Split::load_or_create_with`], which takes the census again where `afresh` is asked for.
    ///
    /// The census decodes every photo once, where the recipe says `on_bad_image: skip` and the file is not there yet. Its
    /// findings stand in the file, so later stages, and later calls, decode nothing.
    ///
    /// # Errors
    /// As [`Split::load_or_create`]; [`DatasetError::Interrupted`] if the user stops the census, which then leaves what was there.
    pub fn of_run(
        layout: &RunLayout,
        recipe: &DataRecipe,
        source: &DataSource,
        afresh: bool,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Self, DatasetError> {
        let path = layout.split();
        let mut metadata = metadata(recipe, source);
        let skips = recipe.photo.as_ref().is_some_and(|photo| photo.on_bad_image == OnBadImage::Skip);
        if path.exists() && !(afresh && skips) {
            let file = open(&path)?;
            let mut found = file.metadata().clone();
            // What the census found is no setting.
            if let Some(fields) = found.as_object_mut() {
                fields.remove(SKIPPED);
            }
            if found == metadata {
                let found = read(&path, &file, source)?; // of these images, as its metadata says
                if found != Self::draw_without(recipe, source, found.skipped.clone())? {
                    let problem = "the indices do not match the draw recorded in the file".to_owned();
                    return Err(DatasetError::SplitFile { path, problem });
                }
                return Ok(found);
            }
        }
        let census = if skips { Census::of_source(source, progress)? } else { Census::default() };
        let drawn = Self::draw_without(recipe, source, census.skipped())?;
        if recipe.photo.is_some() {
            metadata[SKIPPED] = census.describe(source);
        }
        write_tensors(&path, &drawn.tensors(recipe.photo.is_some()), &metadata)?;
        Ok(drawn)
    }

    /// Reads a split that must be there, for stages that come after the one that wrote it.
    ///
    /// # Errors
    /// A missing or damaged file, a split drawn from other images, indices out of range, or counts that are not those of
    /// the training images.
    pub fn load(path: &Path, source: &DataSource) -> Result<Self, DatasetError> {
        let file = open(path)?;
        let found = file.metadata()[IDENTITY].as_str().unwrap_or("nothing");
        if found != source.hash {
            let (path, found, now) = (path.to_owned(), found.to_owned(), source.hash.clone());
            return Err(DatasetError::OtherImages { path, found, now });
        }
        read(path, &file, source)
    }

    /// [`Split::load`] of a split that may have been drawn from other images, as long as its indices fit these.
    ///
    /// # Errors
    /// As there, but for the images.
    pub fn load_of_any_images(path: &Path, source: &DataSource) -> Result<Self, DatasetError> {
        read(path, &open(path)?, source)
    }

    fn tensors(&self, of_photos: bool) -> Vec<NamedTensor> {
        let mut tensors = vec![
            ("train", &self.train),
            ("meta", &self.meta),
            ("val", &self.val),
            ("test", &self.test),
            ("class_counts", &self.class_counts),
        ];
        if of_photos {
            tensors.extend([("skipped_train", &self.skipped.train), ("skipped_test", &self.skipped.test)]);
        }
        let named = |(name, values): (&str, &Vec<u32>)| NamedTensor {
            name: name.to_owned(),
            shape: vec![values.len()],
            data: TensorData::U32(values.clone()),
        };
        tensors.into_iter().map(named).collect()
    }
}

/// What decides the draw. Two files with the same metadata hold the same indices.
fn metadata(recipe: &DataRecipe, source: &DataSource) -> Value {
    if let Some(photo) = &recipe.photo {
        return json!({
            "kind": "split",
            "dataset": recipe.dataset.name(),
            IDENTITY: source.hash,
            "draw": ListedSpec::new(recipe),
            "on_bad_image": photo.on_bad_image,
            "source": "protocol.md section 7: the lists as they are, MetaSAug's meta set by a legacy NumPy generator",
        });
    }
    json!({
        "kind": "split",
        "dataset": recipe.dataset.name(),
        IDENTITY: source.hash,
        "draw": SplitSpec::new(recipe),
        "source": "protocol.md section 7: legacy NumPy generators, MetaSAug's hold-out, LDAM's draw",
    })
}

fn open(path: &Path) -> Result<TensorFile, DatasetError> {
    TensorFile::open(path).map_err(|error| damaged(path, error.to_string()))
}

fn damaged(path: &Path, problem: String) -> DatasetError {
    DatasetError::SplitFile { path: path.to_owned(), problem }
}

fn read(path: &Path, file: &TensorFile, source: &DataSource) -> Result<Split, DatasetError> {
    let metadata = file.metadata();
    let meta_source = MetaSource::deserialize(&metadata["draw"]["meta_source"])
        .map_err(|error| damaged(path, format!("its metadata does not say where the meta set comes from: {error}")))?;
    let values = |name: &str, length: Option<usize>| {
        file.expect_u32(name, &[length]).map_err(|error| damaged(path, error.to_string()))
    };
    let indices = |name: &str, set: &ImageSet| {
        let indices = values(name, None)?;
        match indices.iter().find(|&&index| index as usize >= set.len()) {
            Some(index) => Err(damaged(
                path,
                format!("`{name}` holds index {index}, but the set has {}", counted(set.len(), "image")),
            )),
            None => Ok(indices),
        }
    };
    let skipped = if source.val_from.is_some() {
        Skipped { train: indices("skipped_train", &source.train)?, test: indices("skipped_test", &source.test)? }
    } else {
        Skipped::default()
    };
    let split = Split {
        train: indices("train", &source.train)?,
        meta: indices("meta", &source.train)?,
        val: indices("val", &source.train)?,
        test: indices("test", &source.test)?,
        class_counts: values("class_counts", Some(source.train.num_classes))?,
        meta_source,
        skipped,
    };
    let mut counts = vec![0; source.train.num_classes];
    for &index in &split.train {
        counts[source.train.labels[index as usize] as usize] += 1;
    }
    if counts != split.class_counts {
        return Err(damaged(path, "`class_counts` are not the counts of `train`".to_owned()));
    }
    split.check_kept(source)?;
    Ok(split)
}
