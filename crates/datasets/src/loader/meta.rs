//! The meta loader: an endless row of balanced batches, each of which can be made by itself.

use std::sync::{Arc, Mutex, PoisonError};

use longtail_images::Transform;
use longtail_recipe::Sampler;

use super::batch::{Batch, Draw, Maker, PlacedBatch};
use super::prefetch::Prefetch;
use super::train::check_batch_size;
use crate::error::DatasetError;
use crate::image_set::ImageSet;
use crate::sampler::{epoch_order, occurrences};
use crate::split::Split;

/// Meta batches by number. The meta set is gone through again and again, in a new order each pass; a batch may reach over
/// the end of a pass, and so may be larger than the set.
pub struct MetaLoader {
    row: Arc<Row>,
    /// What [`MetaLoader::batch_ahead`] has begun.
    ahead: Mutex<Option<Prefetch<Result<Batch, DatasetError>>>>,
}

/// The endless row of meta images.
struct Row {
    maker: Maker,
    indices: Vec<u32>,
    labels: Vec<u32>,
    sampler: Sampler,
    batch_size: usize,
    seed: u64,
    purpose: &'static str,
}

impl MetaLoader {
    /// Over the meta set of `split`: uniformly, or class by class where that set is the training set itself.
    ///
    /// # Errors
    /// An empty meta set, an index out of range, or a batch size of 0.
    pub fn new(
        source: Arc<ImageSet>,
        split: &Split,
        transform: impl Into<Transform>,
        batch_size: usize,
        seed: u64,
        purpose: &'static str,
    ) -> Result<Self, DatasetError> {
        check_batch_size(batch_size)?;
        if split.meta.is_empty() {
            return Err(DatasetError::Config {
                what: "meta set",
                problem: "is empty; set `meta_source` to something other than `none` in the recipe".to_owned(),
            });
        }
        let indices = split.meta.clone();
        let maker = Maker::new(source, &indices, transform.into(), seed, purpose)?;
        let labels = indices.iter().map(|&index| maker.label(index)).collect();
        let row = Row { maker, indices, labels, sampler: split.meta_sampler(), batch_size, seed, purpose };
        Ok(Self { row: Arc::new(row), ahead: Mutex::default() })
    }

    /// Batch `number`: a function of (seed, purpose, number) alone.
    ///
    /// Image j of the endless row is the (j mod M)-th of pass ⌊j/M⌋, M the size of the meta set; batch i holds the images
    /// from i·B on.
    ///
    /// # Errors
    /// A photo that cannot be read or decoded.
    pub fn batch(&self, number: u64) -> Result<Batch, DatasetError> {
        self.row.batch(number)
    }

    /// As [`MetaLoader::batch`], and begins with the next batch, for a caller that is about to do something else.
    ///
    /// # Errors
    /// As [`MetaLoader::batch`].
    pub fn batch_ahead(&self, number: u64) -> Result<Batch, DatasetError> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = ahead.take().filter(|begun| begun.number() as u64 == number);
        let mut begun = begun.unwrap_or_else(|| {
            let row = Arc::clone(&self.row);
            Prefetch::new(Arc::new(move |number| row.batch(number as u64)), number as usize..usize::MAX, 1)
        });
        let made = begun.next();
        *ahead = Some(begun);
        made.map_or_else(|| self.row.batch(number), |(batch, made)| made.unwrap_or(Err(DatasetError::Worker { batch })))
    }

    /// As [`MetaLoader::batch`], for a device that holds the images and makes the same bits of these; `None` where images are
    /// not only cropped, mirrored and normalised.
    pub fn placed(&self, number: u64) -> Option<PlacedBatch> {
        let Row { maker, .. } = self.row.as_ref();
        maker.only_places().then(|| maker.place(&self.row.draws(number)))
    }
}

impl Row {
    fn batch(&self, number: u64) -> Result<Batch, DatasetError> {
        self.maker.batch(&self.draws(number))
    }

    fn draws(&self, number: u64) -> Vec<Draw> {
        let size = self.indices.len() as u64;
        let start = number * self.batch_size as u64;
        let end = start + self.batch_size as u64;
        let mut draws = Vec::with_capacity(self.batch_size);
        for pass in start / size..=(end - 1) / size {
            let order = self.order(pass);
            let occurrences = occurrences(&order, self.indices.len());
            let from = start.saturating_sub(pass * size) as usize;
            let to = (end - pass * size).min(size) as usize;
            draws.extend((from..to).map(|i| Draw {
                index: self.indices[order[i] as usize],
                epoch: pass,
                occurrence: occurrences[i],
            }));
        }
        draws
    }

    fn order(&self, pass: u64) -> Vec<u32> {
        // Neither sampler of a meta set depends on how many epochs there are.
        epoch_order(self.sampler, &self.labels, self.maker.num_classes(), pass as usize, 1, self.seed, self.purpose)
    }
}
