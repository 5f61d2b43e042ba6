//! The training loader: epochs of augmented batches.

use std::sync::Arc;

use longtail_images::Transform;
use longtail_recipe::Sampler;

use super::batch::{BatchIter, Draw, Maker, PlacedBatch};
use super::prefetch::Prefetch;
use crate::error::DatasetError;
use crate::image_set::ImageSet;
use crate::sampler::{epoch_order, num_batches, occurrences};

/// How a [`Loader`] goes through its images.
#[derive(Debug, Clone, Copy)]
pub struct LoaderOptions {
    /// Which image comes when.
    pub sampler: Sampler,
    /// Images per batch, at least 1.
    pub batch_size: usize,
    /// Leave out a last batch that is not full.
    pub drop_last: bool,
    /// Epochs of the whole training; the progressively balanced sampler moves along with it.
    pub total_epochs: usize,
    /// The run's seed.
    pub seed: u64,
    /// Names the random streams `{purpose}/order` and `{purpose}/augment`. Loaders of one run need different names.
    pub purpose: &'static str,
    /// Batches made ahead, fewer where they are so large that they would fill memory; 0 makes each when it is asked for.
    /// Changes no bit.
    pub prefetch: usize,
}

/// Epochs of batches over some images of a set.
///
/// Order and augmentation are functions of (seed, purpose, epoch, image) alone: threads, prefetch depth and where an epoch
/// was resumed change no bit.
pub struct Loader {
    maker: Arc<Maker>,
    indices: Arc<Vec<u32>>,
    labels: Vec<u32>,
    options: LoaderOptions,
}

impl Loader {
    /// How many batches are made ahead: as many as were asked for, or fewer so that they fit in memory.
    pub fn ahead(&self) -> usize {
        self.maker.depth(self.options.batch_size, self.options.prefetch)
    }

    /// A loader over the images `indices` of `source`.
    ///
    /// # Errors
    /// An index out of range, or a batch size of 0.
    pub fn new(
        source: Arc<ImageSet>,
        indices: Vec<u32>,
        transform: impl Into<Transform>,
        options: LoaderOptions,
    ) -> Result<Self, DatasetError> {
        check_batch_size(options.batch_size)?;
        let maker = Maker::new(source, &indices, transform.into(), options.seed, options.purpose)?;
        let labels = indices.iter().map(|&index| maker.label(index)).collect();
        Ok(Self { maker: Arc::new(maker), indices: Arc::new(indices), labels, options })
    }

    /// Images drawn in one epoch, short last batch included.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no image to load.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Batches of one epoch.
    pub fn batches_per_epoch(&self) -> usize {
        num_batches(self.indices.len(), self.options.batch_size, self.options.drop_last)
    }

    /// The order of epoch `epoch`: positions in the image set.
    pub fn epoch_indices(&self, epoch: usize) -> Vec<u32> {
        self.order(epoch).into_iter().map(|position| self.indices[position as usize]).collect()
    }

    /// The batches of epoch `epoch`.
    pub fn epoch(&self, epoch: usize) -> BatchIter {
        self.epoch_from(epoch, 0)
    }

    /// The batches of epoch `epoch` without the first `skip_batches`, to go on inside an epoch.
    pub fn epoch_from(&self, epoch: usize, skip_batches: usize) -> BatchIter {
        self.batches(epoch, skip_batches, self.ahead(), Maker::batch)
    }

    /// As [`Loader::epoch_from`], for a device that holds the images and makes the same bits of these; `None` where images are
    /// not only cropped, mirrored and normalised.
    pub fn placed_from(&self, epoch: usize, skip_batches: usize) -> Option<BatchIter<PlacedBatch>> {
        let place = |maker: &Maker, draws: &[Draw]| Ok(maker.place(draws));
        self.maker.only_places().then(|| self.batches(epoch, skip_batches, self.options.prefetch, place))
    }

    fn batches<B: Send + 'static>(
        &self,
        epoch: usize,
        skip_batches: usize,
        ahead: usize,
        make: impl Fn(&Maker, &[Draw]) -> Result<B, DatasetError> + Send + Sync + 'static,
    ) -> BatchIter<B> {
        let order = self.order(epoch);
        let occurrences = occurrences(&order, self.indices.len());
        let (maker, indices) = (Arc::clone(&self.maker), Arc::clone(&self.indices));
        let batch_size = self.options.batch_size;
        let make = move |batch: usize| {
            let range = batch * batch_size..((batch + 1) * batch_size).min(order.len());
            let draw =
                |i: usize| Draw { index: indices[order[i] as usize], epoch: epoch as u64, occurrence: occurrences[i] };
            make(&maker, &range.map(draw).collect::<Vec<_>>())
        };
        let batches = self.batches_per_epoch();
        BatchIter::new(Prefetch::new(Arc::new(make), skip_batches.min(batches)..batches, ahead))
    }

    fn order(&self, epoch: usize) -> Vec<u32> {
        let LoaderOptions { sampler, total_epochs, seed, purpose, .. } = self.options;
        epoch_order(sampler, &self.labels, self.maker.num_classes(), epoch, total_epochs, seed, purpose)
    }
}

pub(crate) fn check_batch_size(batch_size: usize) -> Result<(), DatasetError> {
    if batch_size == 0 {
        return Err(DatasetError::Config { what: "batch_size", problem: "is 0, expected at least 1".to_owned() });
    }
    Ok(())
}
