//! Sets of small images whose bytes lie on the device: a batch goes there as a few numbers an image.

use super::{Driver, GpuError, GpuVec, ViewMut, check_len, int, launch_each, long};

/// One image of a batch: which of the set, how it is moved, whether it is mirrored after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Position in the set.
    pub image: u32,
    /// Row of the image that becomes row 0. Where there is none, black comes in.
    pub top: i32,
    /// Column of the image that becomes column 0, before it is mirrored.
    pub left: i32,
    /// Left and right change places.
    pub mirrored: bool,
}

impl Placement {
    /// The image as it is.
    pub fn of(image: u32) -> Self {
        Self { image, top: 0, left: 0, mirrored: false }
    }

    fn numbers(self) -> [i32; 4] {
        [self.image as i32, self.top, self.left, i32::from(self.mirrored)]
    }
}

/// The bytes of all images of a set, and the value that each byte stands for.
#[derive(Debug)]
pub struct StoredImages<D: Driver> {
    /// `(N, H, W, C)`
    pixels: GpuVec<u8, D>,
    /// `(C, 256)`
    table: GpuVec<f32, D>,
    /// H, W, C.
    shape: [usize; 3],
}

impl<D: Driver> StoredImages<D> {
    /// Copies a set to the device.
    ///
    /// # Shapes
    /// - `pixels`: `(N, H, W, C)`  - `shape`: H, W, C  - `table`: `(C, 256)`, of each channel the value of each byte
    ///
    /// # Errors
    /// The device's.
    ///
    /// # Panics
    /// If lengths do not fit.
    pub fn new(driver: &D, pixels: &[u8], shape: [usize; 3], table: &[f32]) -> Result<Self, GpuError> {
        let len: usize = shape.iter().product();
        assert!(len > 0 && pixels.len().is_multiple_of(len), "stored images: whole images");
        check_len("stored images", "table", table.len(), shape[2] * 256);
        Ok(Self { pixels: GpuVec::of(driver, pixels)?, table: GpuVec::of(driver, table)?, shape })
    }

    /// Numbers of one image.
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Makes a batch.
    ///
    /// # Shapes
    /// - `placements`: N, copied by way of `room`  - `out`: `(N, H, W, C)`, overwritten
    ///
    /// # Errors
    /// The device's.
    ///
    /// # Panics
    /// If an image is not in the set, or `out` has another length.
    #[allow(unsafe_code)]
    pub fn place(
        &self,
        driver: &D,
        placements: &[Placement],
        room: &mut GpuVec<i32, D>,
        out: ViewMut<'_, f32>,
    ) -> Result<(), GpuError> {
        let count = self.pixels.len() / self.image_len();
        assert!(placements.iter().all(|placed| (placed.image as usize) < count), "every image is below {count}");
        check_len("place", "out", out.len(), placements.len() * self.image_len());
        let numbers: Vec<i32> = placements.iter().flat_map(|placed| placed.numbers()).collect();
        room.reserve(driver, numbers.len())?;
        room.view_mut().part(0..numbers.len()).write(driver, &numbers)?;
        let [height, width, channels] = self.shape;
        let arguments = [
            self.pixels.view().argument(),
            self.table.view().argument(),
            room.view().argument(),
            int(height),
            int(width),
            int(channels),
            long(out.len()),
            out.argument(),
        ];
        // SAFETY: every image is in the set, `room` has four numbers for each, `out` has room for all; a byte has 256 values.
        unsafe { launch_each(driver, "images_place", out.len(), &arguments) }
    }
}
