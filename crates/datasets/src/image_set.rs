//! Labelled images: pixels in memory or encoded files, and the names of the classes.

use longtail_images::ImageShape;

use crate::error::FormatError;
use crate::pack::Pack;
use crate::photo_files::PhotoFiles;

/// Where the images of a set are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Images {
    /// In memory: `(N, H, W, C)`, 0..=255.
    Pixels(Vec<u8>),
    /// In N encoded files of any size, which become images of one size when they are loaded.
    Photos(PhotoFiles),
}

impl Images {
    /// The pixels in memory; of photos, none.
    pub fn pixels(&self) -> &[u8] {
        match self {
            Self::Pixels(pixels) => pixels,
            Self::Photos(_) => &[],
        }
    }

    /// The files, if these are photos.
    pub fn photos(&self) -> Option<&PhotoFiles> {
        match self {
            Self::Pixels(_) => None,
            Self::Photos(files) => Some(files),
        }
    }
}

impl FromIterator<u8> for Images {
    fn from_iter<T: IntoIterator<Item = u8>>(pixels: T) -> Self {
        Self::Pixels(pixels.into_iter().collect())
    }
}

impl From<Vec<u8>> for Images {
    fn from(pixels: Vec<u8>) -> Self {
        Self::Pixels(pixels)
    }
}

/// A set of labelled images, which a network sees in one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSet {
    /// The N images.
    pub images: Images,
    /// `(N,)`, each below `num_classes`.
    pub labels: Vec<u32>,
    /// Rows of an image as a network sees it.
    pub height: usize,
    /// Columns of an image as a network sees it.
    pub width: usize,
    /// Channels of an image.
    pub channels: usize,
    /// Number of classes, whether or not each has an image here.
    pub num_classes: usize,
    /// Names by label.
    pub class_names: Vec<String>,
}

impl ImageSet {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The size of every image as a network sees it.
    pub fn shape(&self) -> ImageShape {
        ImageShape { height: self.height, width: self.width, channels: self.channels }
    }

    /// The bytes of image `index`, `(H, W, C)`.
    ///
    /// # Panics
    /// If `index` is not below [`ImageSet::len`], or the images are photos.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.shape().len();
        &self.images.pixels()[index * size..(index + 1) * size]
    }

    /// Images per class, index = label.
    pub fn class_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.num_classes];
        for &label in &self.labels {
            counts[label as usize] += 1;
        }
        counts
    }

    /// For each class the ascending indices of its images.
    pub fn class_indices(&self) -> Vec<Vec<u32>> {
        let mut indices = vec![Vec::new(); self.num_classes];
        for (index, &label) in self.labels.iter().enumerate() {
            indices[label as usize].push(index as u32);
        }
        indices
    }

    /// Mean and population standard deviation of each channel, of pixels in 0..1; zeros for photos, which it does not read.
    ///
    /// Exact sums of integers, so the result depends on no order.
    pub fn channel_statistics(&self) -> Vec<(f64, f64)> {
        let count = (self.images.pixels().len() / self.channels.max(1)).max(1) as f64;
        (0..self.channels)
            .map(|channel| {
                let (mut sum, mut squares) = (0u64, 0u64);
                for &value in self.images.pixels().iter().skip(channel).step_by(self.channels) {
                    sum += u64::from(value);
                    squares += u64::from(value) * u64::from(value);
                }
                let mean = sum as f64 / count;
                let variance = squares as f64 / count - mean * mean;
                (mean / 255.0, variance.max(0.0).sqrt() / 255.0)
            })
            .collect()
    }

    /// Checks that every class has exactly `expected` images.
    pub(crate) fn check_class_counts(&self, expected: u32) -> Result<(), FormatError> {
        match self.class_counts().into_iter().enumerate().find(|&(_, found)| found != expected) {
            Some((class, found)) => Err(FormatError::ClassCount { class, expected, found }),
            None => Ok(()),
        }
    }
}

/// A data set as its authors ship it: a training set, a test set, and the identity of their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSource {
    /// The training images, in the order of the file.
    pub train: ImageSet,
    /// The test images, in the order of the file.
    pub test: ImageSet,
    /// BLAKE3 in hexadecimal: over the unpacked bytes of all files, or for photos over their lists (see
    /// [`crate::read::photos`]), and with them their contents once [`crate::load_identified`] has looked.
    pub hash: String,
    /// For photo sets: from this position of `train` on, images are those of the validation list. `None`: there is one
    /// training file, from which everything but test is drawn.
    pub val_from: Option<usize>,
    /// Where only part of the training images came along (see [`crate::read::cifar100_subset`]): their positions in `train`,
    /// ascending; the others have their labels and no pixels. `None`: all are there.
    pub kept: Option<Vec<u32>>,
}

impl DataSource {
    /// The pack that photos are taken from, if they are.
    pub fn pack(&self) -> Option<&Pack> {
        self.train.images.photos().and_then(PhotoFiles::pack)
    }

    /// The files of both sets; none of a set of pixels.
    pub fn photo_sets(&self) -> Vec<&PhotoFiles> {
        [&self.train, &self.test].into_iter().filter_map(|set| set.images.photos()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> ImageSet {
        ImageSet {
            images: vec![0, 255, 255, 0, 255, 0].into(),
            labels: vec![1, 0, 1],
            height: 1,
            width: 2,
            channels: 1,
            num_classes: 3,
            class_names: vec!["a".into(), "b".into(), "c".into()],
        }
    }

    #[test]
    fn counts_and_indices_follow_labels() {
        let set = set();
        assert_eq!(set.class_counts(), [1, 2, 0]);
        assert_eq!(set.class_indices(), [vec![1], vec![0, 2], vec![]]);
        assert_eq!(set.image(1), [255, 0]);
    }

    #[test]
    fn statistics_by_hand() {
        let (mean, std) = set().channel_statistics()[0];
        assert!((mean - 0.5).abs() < 1e-12 && (std - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_wrong_class_count_is_named() {
        let message = set().check_class_counts(1).expect_err("class 1 has two").to_string();
        assert_eq!(message, "class 1 has 2 images, expected 1");
    }
}
