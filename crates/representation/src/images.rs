//! Batches on their way to where the model lies. On a GPU the next one goes there through page-locked memory while it works on this one, or is
//! made there of images that it holds.

use candle_core::Tensor;
use longtail_backbone::ImageShape;
use longtail_datasets::{Batch, PlacedBatch, StoredPixels};
use longtail_training::{Compute, Feed, ImageBatch, Upload};

use crate::RepresentationError;

/// Makes tensors of batches. Loaders that work at once have one each.
pub struct ImageFeed {
    compute: Compute,
    upload: Upload,
    image: ImageShape,
    #[cfg(feature = "cuda")]
    cuda: Option<on_cuda::OnCuda>,
}

impl ImageFeed {
    /// For a device; the images of the loaders, where it is to hold them and can. A [`Compute`] that is prepared.
    ///
    /// # Errors
    /// The device's.
    #[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
    pub fn new(
        compute: &Compute,
        image: ImageShape,
        stored: Option<StoredPixels>,
    ) -> Result<Self, RepresentationError> {
        Ok(Self {
            compute: compute.clone(),
            upload: Upload::new(compute),
            image,
            #[cfg(feature = "cuda")]
            cuda: on_cuda::OnCuda::new(compute, stored)?,
        })
    }

    /// Another one, with the same images on the device.
    pub fn again(&self) -> Self {
        Self {
            compute: self.compute.clone(),
            upload: Upload::new(&self.compute),
            image: self.image,
            #[cfg(feature = "cuda")]
            cuda: self.cuda.as_ref().map(on_cuda::OnCuda::again),
        }
    }

    /// Whether the device holds the images: then batches of places are taken.
    pub fn holds_images(&self) -> bool {
        #[cfg(feature = "cuda")]
        return self.cuda.as_ref().is_some_and(on_cuda::OnCuda::holds_images);
        #[cfg(not(feature = "cuda"))]
        false
    }

    /// Whether the next batch is worth making while this one is worked on.
    pub fn works_elsewhere(&self) -> bool {
        !self.compute.device().is_cpu()
    }

    fn shape(&self, n: usize) -> (usize, usize, usize, usize) {
        (n, self.image.height, self.image.width, self.image.channels)
    }

    /// A batch of pixels, (n, H, W, C); on the CPU its memory is taken over.
    ///
    /// # Errors
    /// If the pixels are not as many as the images have; the device's.
    pub fn pixels(&mut self, images: Vec<f32>, n: usize) -> Result<Tensor, RepresentationError> {
        let shape = self.shape(n);
        Ok(self.upload.tensor(images, shape)?)
    }

    /// A loader's batch as a step takes it.
    ///
    /// # Errors
    /// As [`ImageFeed::pixels`].
    pub fn batch(&mut self, feed: Feed, batch: Batch) -> Result<ImageBatch, RepresentationError> {
        let images = self.pixels(batch.images, batch.labels.len())?;
        Ok(ImageBatch::new(feed, images, batch.labels))
    }

    /// The same of places, which are for a device that holds the images.
    ///
    /// # Errors
    /// It holds none; the device's.
    pub fn placed(&mut self, feed: Feed, batch: PlacedBatch) -> Result<ImageBatch, RepresentationError> {
        #[cfg(feature = "cuda")]
        let shape = self.shape(batch.placements.len());
        #[cfg(feature = "cuda")]
        if let Some(cuda) = &mut self.cuda {
            let images = cuda.place(&batch.placements, shape)?;
            return Ok(ImageBatch::new(feed, images, batch.labels));
        }
        let _ = (feed, batch);
        Err(RepresentationError::NotOnDevice {
            what: "a batch of places".to_owned(),
            why: "the device was given no images",
        })
    }
}

#[cfg(feature = "cuda")]
mod on_cuda {
    use std::rc::Rc;

    use candle_core::{DType, Device, Tensor};
    use longtail_backbone::device::{Driver, driver, write};
    use longtail_datasets::StoredPixels;
    use longtail_ops::gpu::{GpuVec, Placement, StoredImages};
    use longtail_training::Compute;

    use crate::RepresentationError;

    type Shape = (usize, usize, usize, usize);

    pub(super) struct OnCuda {
        device: Device,
        driver: Driver,
        stored: Option<Rc<StoredImages<Driver>>>,
        places: GpuVec<i32, Driver>,
    }

    impl OnCuda {
        /// None on the CPU.
        pub(super) fn new(
            compute: &Compute,
            stored: Option<StoredPixels>,
        ) -> Result<Option<Self>, RepresentationError> {
            let Device::Cuda(cuda) = compute.device() else { return Ok(None) };
            let driver = driver(cuda)?;
            let stored = stored.map(|stored| stored.upload(&driver)).transpose()?.map(Rc::new);
            Ok(Some(Self::with(compute.device().clone(), driver, stored)))
        }

        fn with(device: Device, driver: Driver, stored: Option<Rc<StoredImages<Driver>>>) -> Self {
            Self { device, driver, stored, places: GpuVec::default() }
        }

        pub(super) fn again(&self) -> Self {
            Self::with(self.device.clone(), Rc::clone(&self.driver), self.stored.clone())
        }

        pub(super) fn holds_images(&self) -> bool {
            self.stored.is_some()
        }

        pub(super) fn place(&mut self, placed: &[Placement], shape: Shape) -> Result<Tensor, RepresentationError> {
            let Some(stored) = &self.stored else {
                return Err(RepresentationError::NotOnDevice {
                    what: "a batch of places".to_owned(),
                    why: "the device was given no images",
                });
            };
            let batch = Tensor::zeros(shape, DType::F32, &self.device)?;
            let places = &mut self.places;
            write(&batch, |driver, to| stored.place(driver, placed, places, to))??;
            Ok(batch)
        }
    }
}
