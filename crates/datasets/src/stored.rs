//! Sets of small images that a device holds whole, so that batches are made there.

use std::sync::Arc;

use longtail_images::transform::PixelTable;
use longtail_ops::gpu::{Driver, GpuError, StoredImages};
use longtail_recipe::Normalize;

use crate::error::DatasetError;
use crate::image_set::ImageSet;

/// Larger sets stay in the program's memory. CIFAR-100's training file has 154 MB.
pub const MOST_STORED_BYTES: usize = 1 << 30;

/// The pixels of a set and what normalises them: all that a device needs to make the batches of
/// [`Loader::placed_from`](crate::Loader::placed_from).
#[derive(Debug, Clone)]
pub struct StoredPixels {
    set: Arc<ImageSet>,
    table: PixelTable,
}

impl StoredPixels {
    /// Of a set; `None` if it has photos, no image, or more than [`MOST_STORED_BYTES`].
    ///
    /// # Errors
    /// Statistics that do not fit the images.
    pub fn new(set: &Arc<ImageSet>, normalize: &Normalize) -> Result<Option<Self>, DatasetError> {
        if !(1..=MOST_STORED_BYTES).contains(&set.images.pixels().len()) {
            return Ok(None);
        }
        let table = PixelTable::new(&normalize.mean, &normalize.std, set.channels)?;
        Ok(Some(Self { set: Arc::clone(set), table }))
    }

    /// A copy on a device.
    ///
    /// # Errors
    /// The device's.
    pub fn upload<D: Driver>(&self, driver: &D) -> Result<StoredImages<D>, GpuError> {
        let shape = self.set.shape();
        let shape = [shape.height, shape.width, shape.channels];
        StoredImages::new(driver, self.set.images.pixels(), shape, self.table.values())
    }
}
