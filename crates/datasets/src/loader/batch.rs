//! A mini-batch, and how one is made from an image set.

use std::sync::{Arc, Mutex, PoisonError};

use longtail_artifact::counted;
use longtail_images::Transform;
use longtail_images::photo::{PhotoScratch, PhotoTransform};
use longtail_images::transform::Scratch;
use longtail_ops::gpu::Placement;
use longtail_ops::stream;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::error::DatasetError;
use crate::image_set::{ImageSet, Images};
use crate::loader::prefetch::Prefetch;
use crate::photo_files::PhotoFiles;

/// Images, labels, and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `(N, H, W, C)` f32, normalised.
    pub images: Vec<f32>,
    /// `(N,)`.
    pub labels: Vec<u32>,
    /// `(N,)`: positions in the image set, the data set's own training or test file.
    pub indices: Vec<u32>,
    /// Number of images N.
    pub len: usize,
}

impl Batch {
    /// Whether the batch holds no image.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A batch for a device that holds the images: what it takes to make the very bits of [`Batch::images`] there.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedBatch {
    /// `(N,)`
    pub placements: Vec<Placement>,
    /// `(N,)`
    pub labels: Vec<u32>,
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

/// Batches that are made ahead hold at most so many bytes of pixels together, but for one batch, which always may:
/// 512 images of 224×224 are 308 MB.
const AHEAD_BYTES: usize = 512 << 20;

/// What every loader shares: the images, what is done to them, and the name of their random streams.
pub(crate) struct Maker {
    source: Arc<ImageSet>,
    transform: Transform,
    seed: u64,
    /// `{purpose}/augment`.
    streams: String,
    /// Buffers for photos, as many as were ever in use at once.
    spare: Mutex<Vec<PhotoBuffers>>,
}

/// What one thread needs to decode a photo; carries nothing from one photo to the next.
#[derive(Default)]
struct PhotoBuffers {
    encoded: Vec<u8>,
    scratch: PhotoScratch,
}

impl Maker {
    /// Checks every index once, and that the transform is for such images.
    pub fn new(
        source: Arc<ImageSet>,
        indices: &[u32],
        transform: Transform,
        seed: u64,
        purpose: &str,
    ) -> Result<Self, DatasetError> {
        let bad = |problem: String| Err(DatasetError::Config { what: "loader", problem });
        if let Some(index) = indices.iter().find(|&&index| index as usize >= source.len()) {
            return bad(format!("index {index} does not exist: the set has {}", counted(source.len(), "image")));
        }
        if source.images.photos().is_some() != matches!(transform, Transform::Photo(_)) {
            return bad("photo transforms are only for photographs, pixel transforms only for stored pixels".to_owned());
        }
        Ok(Self { source, transform, seed, streams: format!("{purpose}/augment"), spare: Mutex::default() })
    }

    /// The label of an image of the set.
    pub fn label(&self, index: u32) -> u32 {
        self.source.labels[index as usize]
    }

    /// Classes of the set.
    pub fn num_classes(&self) -> usize {
        self.source.num_classes
    }

    /// How many batches of `batch_size` are made ahead where `asked` are asked for.
    pub fn depth(&self, batch_size: usize, asked: usize) -> usize {
        let batch_bytes = (batch_size * self.source.shape().len() * size_of::<f32>()).max(1);
        asked.min((AHEAD_BYTES / batch_bytes).max(1))
    }

    /// Makes one batch: on the calling thread from stored pixels, on all threads from photos.
    ///
    /// The stream of an image is (seed, `{purpose}/augment`, epoch, index + 2³²·occurrence): a function of the image and
    /// the epoch, whatever the order, and different for each time that an epoch draws the image.
    ///
    /// # Errors
    /// A photo that cannot be read or decoded; of several the first in the order of `draws`.
    pub fn batch(&self, draws: &[Draw]) -> Result<Batch, DatasetError> {
        let size = self.source.shape().len();
        let mut batch = Batch {
            images: vec![0.0; draws.len() * size],
            labels: draws.iter().map(|draw| self.label(draw.index)).collect(),
            indices: draws.iter().map(|draw| draw.index).collect(),
            len: draws.len(),
        };
        match (&self.source.images, &self.transform) {
            (Images::Photos(files), Transform::Photo(transform)) => {
                // Collected in order, so that the error does not depend on which thread was first. The parts call nothing
                // in rayon: `prefetch` counts on it.
                let made: Vec<Result<(), DatasetError>> = batch
                    .images
                    .par_chunks_exact_mut(size)
                    .zip(draws)
                    .map(|(out, draw)| self.photo(files, transform, draw, out))
                    .collect();
                made.into_iter().collect::<Result<(), _>>()?;
            }
            _ => {
                let mut scratch = Scratch::default();
                for (draw, out) in draws.iter().zip(batch.images.chunks_exact_mut(size)) {
                    let image = self.source.image(draw.index as usize);
                    self.transform.apply(image, || self.stream(draw), &mut scratch, out);
                }
            }
        }
        Ok(batch)
    }

    /// The same batch by where its images come from.
    ///
    /// # Panics
    /// If more than that is done to them: [`Transform::only_places`].
    pub fn place(&self, draws: &[Draw]) -> PlacedBatch {
        PlacedBatch {
            placements: draws.iter().map(|draw| self.transform.placement(draw.index, || self.stream(draw))).collect(),
            labels: draws.iter().map(|draw| self.label(draw.index)).collect(),
        }
    }

    /// Whether a batch can be told by [`Maker::place`].
    pub fn only_places(&self) -> bool {
        self.transform.only_places()
    }

    fn photo(
        &self,
        files: &PhotoFiles,
        transform: &PhotoTransform,
        draw: &Draw,
        out: &mut [f32],
    ) -> Result<(), DatasetError> {
        let spare = || self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffers = spare().pop().unwrap_or_default();
        let index = draw.index as usize;
        let made = files.read(index, &mut buffers.encoded).and_then(|()| {
            transform
                .apply(&buffers.encoded, || self.stream(draw), &mut buffers.scratch, out)
                .map_err(|problem| files.bad(index, &problem))
        });
        spare().push(buffers);
        made
    }

    fn stream(&self, draw: &Draw) -> ChaCha8Rng {
        stream(self.seed, &self.streams, draw.epoch, u64::from(draw.index) | u64::from(draw.occurrence) << 32)
    }
}

/// The batches of an epoch, or of a whole split, in order, made ahead on rayon.
pub struct BatchIter<B = Batch> {
    prefetch: Prefetch<Result<B, DatasetError>>,
}

impl<B> BatchIter<B> {
    pub(crate) fn new(prefetch: Prefetch<Result<B, DatasetError>>) -> Self {
        Self { prefetch }
    }
}

impl<B: Send + 'static> Iterator for BatchIter<B> {
    type Item = Result<B, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (batch, made) = self.prefetch.next()?;
        Some(made.unwrap_or(Err(DatasetError::Worker { batch })))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.prefetch.remaining(), Some(self.prefetch.remaining()))
    }
}

impl<B: Send + 'static> ExactSizeIterator for BatchIter<B> {}
