//! The evaluation loader: every image once, in order.

use std::sync::Arc;

use longtail_images::Transform;

use super::batch::{BatchIter, Draw, Maker, PlacedBatch};
use super::prefetch::Prefetch;
use super::train::check_batch_size;
use crate::error::DatasetError;
use crate::image_set::ImageSet;
use crate::sampler::num_batches;

/// Every image of a split once, in the split's order.
pub struct EvalLoader {
    maker: Arc<Maker>,
    indices: Arc<Vec<u32>>,
    view: u64,
    batch_size: usize,
    prefetch: usize,
}

impl EvalLoader {
    /// The images as they are scored: normalised, nothing else.
    ///
    /// # Errors
    /// An index out of range, or a batch size of 0.
    pub fn new(
        source: Arc<ImageSet>,
        indices: Vec<u32>,
        transform: impl Into<Transform>,
        batch_size: usize,
        prefetch: usize,
    ) -> Result<Self, DatasetError> {
        check_batch_size(batch_size)?;
        // Nothing is drawn, so seed and name do not matter.
        let maker = Maker::new(source, &indices, transform.into(), 0, "evaluation")?;
        Ok(Self { maker: Arc::new(maker), indices: Arc::new(indices), view: 0, batch_size, prefetch })
    }

    /// One augmented view of the images: augmentation is a function of (seed, purpose, view, image).
    ///
    /// # Errors
    /// An index out of range, or a batch size of 0.
    pub fn augmented(
        source: Arc<ImageSet>,
        indices: Vec<u32>,
        transform: impl Into<Transform>,
        view: u64,
        seed: u64,
        purpose: &'static str,
        batch_size: usize,
        prefetch: usize,
    ) -> Result<Self, DatasetError> {
        check_batch_size(batch_size)?;
        let maker = Maker::new(source, &indices, transform.into(), seed, purpose)?;
        Ok(Self { maker: Arc::new(maker), indices: Arc::new(indices), view, batch_size, prefetch })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no image to load.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Images of a full batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Batches in all; the last may be short.
    pub fn num_batches(&self) -> usize {
        num_batches(self.indices.len(), self.batch_size, false)
    }

    /// All batches, in order.
    pub fn iter(&self) -> BatchIter {
        self.iter_from(0)
    }

    /// The batches from number `first` on.
    pub fn iter_from(&self, first: usize) -> BatchIter {
        self.batches(first, self.maker.depth(self.batch_size, self.prefetch), Maker::batch)
    }

    /// As [`EvalLoader::iter_from`], for a device that holds the images and makes the same bits of these; `None` where images
    /// are not only cropped, mirrored and normalised.
    pub fn placed_from(&self, first: usize) -> Option<BatchIter<PlacedBatch>> {
        let place = |maker: &Maker, draws: &[Draw]| Ok(maker.place(draws));
        self.maker.only_places().then(|| self.batches(first, self.prefetch, place))
    }

    fn batches<B: Send + 'static>(
        &self,
        first: usize,
        ahead: usize,
        make: impl Fn(&Maker, &[Draw]) -> Result<B, DatasetError> + Send + Sync + 'static,
    ) -> BatchIter<B> {
        let (maker, indices) = (Arc::clone(&self.maker), Arc::clone(&self.indices));
        let (batch_size, view) = (self.batch_size, self.view);
        let make = move |batch: usize| {
            let end = ((batch + 1) * batch_size).min(indices.len());
            let part = &indices[batch * batch_size..end];
            let draws: Vec<Draw> = part.iter().map(|&index| Draw { index, epoch: view, occurrence: 0 }).collect();
            make(&maker, &draws)
        };
        let batches = self.num_batches();
        BatchIter::new(Prefetch::new(Arc::new(make), first.min(batches)..batches, ahead))
    }
}

impl IntoIterator for &EvalLoader {
    type Item = Result<super::Batch, DatasetError>;
    type IntoIter = BatchIter;

    fn into_iter(self) -> BatchIter {
        self.iter()
    }
}
