//! A mini-batch, and how one is made from an image set.

use std::sync::Arc;

use longtail_ops::stream;

use crate::error::DatasetError;
use crate::image_set::ImageSet;
use crate::loader::prefetch::Prefetch;
use crate::transform::{Scratch, Transform};

/// Images, labels, and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `(N, H, W, C)` f32, normalised.
    pub images: Vec<f32>,
    /// `(N,)`.
    pub labels: Vec<u32>,
    /// `(N,)`: positions in the image set, the data set's own training or test file.
    pub indices: Vec<u32>,
    /// N.
    pub len: usize,
}

impl Batch {
    /// Whether the batch holds no image.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// One image of a batch: which one, and the random stream of its augmentation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    /// Position in the image set.
    pub index: u32,
    /// Epoch, pass or view.
    pub epoch: u64,
    /// How often the image came before in this epoch.
    pub occurrence: u32,
}

/// What every loader shares: the images, what is done to them, and the name of their random streams.
pub(crate) struct Maker {
    source: Arc<ImageSet>,
    transform: Transform,
    seed: u64,
    /// `{purpose}/augment`.
    streams: String,
}

impl Maker {
    /// Checks every index once, so that making a batch cannot fail.
    pub fn new(
        source: Arc<ImageSet>,
        indices: &[u32],
        transform: Transform,
        seed: u64,
        purpose: &str,
    ) -> Result<Self, DatasetError> {
        if let Some(index) = indices.iter().find(|&&index| index as usize >= source.len()) {
            return Err(DatasetError::Config {
                what: "loader",
                problem: format!("index {index} does not exist: the set has {} images", source.len()),
            });
        }
        Ok(Self { source, transform, seed, streams: format!("{purpose}/augment") })
    }

    /// The label of an image of the set.
    pub fn label(&self, index: u32) -> u32 {
        self.source.labels[index as usize]
    }

    /// Classes of the set.
    pub fn num_classes(&self) -> usize {
        self.source.num_classes
    }

    /// Makes one batch on the calling thread.
    ///
    /// The stream of an image is (seed, `{purpose}/augment`, epoch, index + 2³²·occurrence): a function of the image and
    /// the epoch, whatever the order, and different for each time that an epoch draws the image.
    pub fn batch(&self, draws: impl ExactSizeIterator<Item = Draw>) -> Batch {
        let size = self.source.shape().len();
        let len = draws.len();
        let mut batch = Batch {
            images: vec![0.0; len * size],
            labels: Vec::with_capacity(len),
            indices: Vec::with_capacity(len),
            len,
        };
        let mut scratch = Scratch::default();
        for (draw, out) in draws.zip(batch.images.chunks_exact_mut(size)) {
            let key = u64::from(draw.index) | u64::from(draw.occurrence) << 32;
            let rng = || stream(self.seed, &self.streams, draw.epoch, key);
            self.transform.apply(self.source.image(draw.index as usize), rng, &mut scratch, out);
            batch.labels.push(self.label(draw.index));
            batch.indices.push(draw.index);
        }
        batch
    }
}

/// The batches of an epoch, or of a whole split, in order, made ahead on rayon.
pub struct BatchIter {
    prefetch: Prefetch<Batch>,
}

impl BatchIter {
    pub(crate) fn new(prefetch: Prefetch<Batch>) -> Self {
        Self { prefetch }
    }
}

impl Iterator for BatchIter {
    type Item = Result<Batch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (batch, made) = self.prefetch.next()?;
        Some(made.map_err(|_| DatasetError::Worker { batch }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.prefetch.remaining(), Some(self.prefetch.remaining()))
    }
}

impl ExactSizeIterator for BatchIter {}
