//! A batch of images as a step takes it.

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::Tensor;

/// Where a batch comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feed {
    /// The training loader: running statistics follow it.
    Train,
    /// Any other (a meta batch): it leaves running statistics alone.
    Side,
}

/// Images with labels. A clone is the same batch: what a pass over it left on a tape serves the clone too. Other images are another batch:
/// make a new one.
#[derive(Debug, Clone)]
pub struct ImageBatch {
    id: u64,
    feed: Feed,
    /// Normalised, `(n, H, W, C)`, contiguous.
    pub images: Tensor,
    /// Classes, (n), below K.
    pub labels: Vec<u32>,
}

impl ImageBatch {
    /// A new batch of n images `(n, H, W, C)` with n labels.
    pub fn new(feed: Feed, images: Tensor, labels: Vec<u32>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), feed, images, labels }
    }

    /// Number of images n in the batch.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether it has no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Where it comes from.
    pub fn feed(&self) -> Feed {
        self.feed
    }

    /// Tells batches of one process apart.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}
