//! Fashion-MNIST: four IDX files, gzipped or not, whose unpacked bytes are known.

use std::path::{Path, PathBuf};

use super::bytes::{read_exact_size, read_gzip};
use super::idx;
use super::locate::{self, FASHION_MNIST};
use crate::error::{DatasetError, FormatError};
use crate::image_set::{DataSource, ImageSet};

/// Names by label, after the data set's README.
const CLASS_NAMES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// One of the four files.
struct Part {
    name: &'static str,
    dimensions: &'static [u32],
    /// BLAKE3 of the unpacked bytes, whose sha256 stands in `data/fashion-mnist/CHECKSUMS`.
    blake3: &'static str,
}

const PARTS: [Part; 4] = [
    Part {
        name: "train-images-idx3-ubyte",
        dimensions: &[60_000, 28, 28],
        blake3: "feaca08b36e07f8d504641a929bff1554884ef73964323e44e59e39a986b4c9e",
    },
    Part {
        name: "train-labels-idx1-ubyte",
        dimensions: &[60_000],
        blake3: "b4d9ea8013b029ef778c95ea7de31195ef443589877589523ad330db2829ebd6",
    },
    Part {
        name: "t10k-images-idx3-ubyte",
        dimensions: &[10_000, 28, 28],
        blake3: "a19b8c1e5f798e5a6fa7229093b630c04a620179497a1fa3a71e7334fb59a30b",
    },
    Part {
        name: "t10k-labels-idx1-ubyte",
        dimensions: &[10_000],
        blake3: "0a067399ed18bcc9d7dc26832b3b8e4481abf2d33fee04c611e90b9061296b90",
    },
];

impl Part {
    fn unpacked_size(&self) -> u64 {
        let header = 4 + 4 * self.dimensions.len() as u64;
        header + self.dimensions.iter().map(|&size| u64::from(size)).product::<u64>()
    }
}

/// The folder of the four files.
///
/// # Errors
/// None of the folders to look in holds any of them.
pub fn find(dir: Option<&Path>) -> Result<PathBuf, DatasetError> {
    let packed: Vec<String> = PARTS.iter().map(|part| format!("{}.gz", part.name)).collect();
    let names: Vec<&str> = PARTS.iter().map(|part| part.name).chain(packed.iter().map(String::as_str)).collect();
    locate::find(&FASHION_MNIST, dir, &names)
}

/// The four names: unpacked where that file is there, else gzipped.
pub fn file_names(folder: &Path) -> Vec<String> {
    let name = |part: &Part| match folder.join(part.name).is_file() {
        true => part.name.to_owned(),
        false => format!("{}.gz", part.name),
    };
    PARTS.iter().map(name).collect()
}

/// Reads the four files of `folder` and checks their bytes against the published ones.
///
/// # Errors
/// A missing or unreadable file, a broken gzip stream, a wrong size, bytes that are not the published ones.
pub fn read(folder: &Path) -> Result<DataSource, DatasetError> {
    let mut hasher = blake3::Hasher::new();
    let mut values = Vec::with_capacity(PARTS.len());
    for part in &PARTS {
        let (path, bytes) = read_part(folder, part)?;
        let found = blake3::hash(&bytes).to_hex().to_string();
        if found != part.blake3 {
            // The format is checked first: "not an IDX file" says more than a wrong sum.
            idx::parse(&bytes, part.dimensions).map_err(|problem| format_error(&path, problem))?;
            return Err(DatasetError::Corrupted {
                path,
                expected: part.blake3,
                found,
                hint: FASHION_MNIST.hint.to_owned(),
            });
        }
        hasher.update(found.as_bytes());
        values.push(idx::parse(&bytes, part.dimensions).map_err(|problem| format_error(&path, problem))?.to_vec());
    }
    let [train_images, train_labels, test_images, test_labels] =
        <[Vec<u8>; 4]>::try_from(values).expect("one array for each of the four parts");
    Ok(DataSource {
        train: image_set(train_images, &train_labels),
        test: image_set(test_images, &test_labels),
        hash: hasher.finalize().to_hex().to_string(),
        val_from: None,
        kept: None,
    })
}

fn read_part(folder: &Path, part: &Part) -> Result<(PathBuf, Vec<u8>), DatasetError> {
    let plain = folder.join(part.name);
    if plain.is_file() {
        let bytes = read_exact_size(&plain, part.unpacked_size(), FASHION_MNIST.hint)?;
        return Ok((plain, bytes));
    }
    let packed = folder.join(format!("{}.gz", part.name));
    if packed.is_file() {
        let bytes = read_gzip(&packed, part.unpacked_size(), FASHION_MNIST.hint)?;
        return Ok((packed, bytes));
    }
    Err(DatasetError::Incomplete {
        dataset: FASHION_MNIST.title,
        missing: packed,
        present: folder.to_owned(),
        hint: FASHION_MNIST.hint.to_owned(),
    })
}

fn format_error(path: &Path, problem: FormatError) -> DatasetError {
    DatasetError::Format { path: path.to_owned(), problem, hint: FASHION_MNIST.hint.to_owned() }
}

fn image_set(images: Vec<u8>, labels: &[u8]) -> ImageSet {
    ImageSet {
        images: images.into(),
        labels: labels.iter().map(|&label| u32::from(label)).collect(),
        height: 28,
        width: 28,
        channels: 1,
        num_classes: CLASS_NAMES.len(),
        class_names: CLASS_NAMES.iter().map(|&name| name.to_owned()).collect(),
    }
}
