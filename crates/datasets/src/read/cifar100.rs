//! CIFAR-100's official binary layout: fixed-length records, planes of red, green and blue.

use std::path::{Path, PathBuf};

use super::bytes::read_exact_size;
use super::cifar100_set::{CHANNELS, FINE_CLASSES, PLANE, image_set};
use super::cifar100_subset;
use super::locate::{self, CIFAR100};
use crate::error::{DatasetError, FormatError};
use crate::image_set::{DataSource, ImageSet};

/// Coarse label, fine label, pixels.
const RECORD: usize = 2 + CHANNELS * PLANE;
const COARSE_CLASSES: u32 = 20;
const TRAIN: (&str, usize) = ("train.bin", 50_000);
const TEST: (&str, usize) = ("test.bin", 10_000);
/// Fine labels of the first records of the official files (the same in all three official versions).
const FIRST_TRAIN_LABELS: [u32; 10] = [19, 29, 0, 11, 1, 86, 90, 28, 23, 31];
const FIRST_TEST_LABELS: [u32; 10] = [49, 33, 72, 51, 71, 92, 15, 14, 23, 0];

/// The folder of `train.bin` and `test.bin`.
///
/// # Errors
/// None of the folders to look in holds either; the Python version and other near misses are named.
pub fn find(dir: Option<&Path>) -> Result<PathBuf, DatasetError> {
    locate::find(&CIFAR100, dir, &[TRAIN.0, TEST.0, cifar100_subset::FILE])
}

/// The names of the files that are read: of the two, or of the subset that lies there without them.
pub fn file_names(folder: &Path) -> Vec<String> {
    if is_subset(folder) {
        return vec![cifar100_subset::FILE.to_owned()];
    }
    vec![TRAIN.0.to_owned(), TEST.0.to_owned()]
}

fn is_subset(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    has(cifar100_subset::FILE) && !has(TRAIN.0) && !has(TEST.0)
}

/// Reads `train.bin` and `test.bin` of `folder`, or the subset that lies there without them.
///
/// # Errors
/// A missing or unreadable file, a wrong size, a label out of range, a class without its 500 (100) images.
pub fn read(folder: &Path) -> Result<DataSource, DatasetError> {
    if is_subset(folder) {
        return cifar100_subset::read(&folder.join(cifar100_subset::FILE));
    }
    let mut hasher = blake3::Hasher::new();
    let mut load = |(name, records): (&str, usize)| -> Result<ImageSet, DatasetError> {
        let path = folder.join(name);
        if !path.is_file() {
            let present = folder.join(if name == TRAIN.0 { TEST.0 } else { TRAIN.0 });
            return Err(DatasetError::Incomplete {
                dataset: CIFAR100.title,
                missing: path,
                present,
                hint: CIFAR100.hint.to_owned(),
            });
        }
        let bytes = read_exact_size(&path, (records * RECORD) as u64, CIFAR100.hint)?;
        hasher.update(blake3::hash(&bytes).to_hex().as_bytes());
        let set = parse(&bytes).and_then(|set| {
            set.check_class_counts((records / FINE_CLASSES as usize) as u32)?;
            Ok(set)
        });
        set.map_err(|problem| DatasetError::Format { path, problem, hint: CIFAR100.hint.to_owned() })
    };
    let train = load(TRAIN)?;
    let test = load(TEST)?;
    Ok(DataSource { train, test, hash: hasher.finalize().to_hex().to_string(), val_from: None, kept: None })
}

/// Reads records of 3,074 bytes each: coarse label, fine label, 1,024 red, 1,024 green, 1,024 blue, row by row. The
/// images come out as `(N, 32, 32, 3)`, labelled with the fine label.
///
/// # Errors
/// A length that is no multiple of a record, or a label out of range.
///
/// # Source
/// The data set's page, "binary version" (A. Krizhevsky).
pub fn parse(bytes: &[u8]) -> Result<ImageSet, FormatError> {
    if !bytes.len().is_multiple_of(RECORD) {
        let whole = bytes.len() / RECORD;
        return Err(FormatError::Length {
            what: "whole records of 3074 bytes",
            expected: ((whole + 1) * RECORD) as u64,
            found: bytes.len() as u64,
            at_least: false,
        });
    }
    let mut labels = Vec::with_capacity(bytes.len() / RECORD);
    let mut images = Vec::with_capacity(bytes.len() / RECORD * CHANNELS * PLANE);
    for (record, content) in bytes.chunks_exact(RECORD).enumerate() {
        for (what, found, num_classes) in
            [("coarse label", content[0], COARSE_CLASSES), ("fine label", content[1], FINE_CLASSES)]
        {
            if u32::from(found) >= num_classes {
                return Err(FormatError::Label { record, what, found: u32::from(found), num_classes });
            }
        }
        labels.push(u32::from(content[1]));
        let (red, rest) = content[2..].split_at(PLANE);
        let (green, blue) = rest.split_at(PLANE);
        for pixel in 0..PLANE {
            images.extend_from_slice(&[red[pixel], green[pixel], blue[pixel]]);
        }
    }
    Ok(image_set(images, labels))
}

/// Whether the records begin with the labels that the official files begin with. `true` makes the official order
/// likely, `false` excludes it.
pub fn begins_like_official_files(source: &DataSource) -> bool {
    source.train.labels.starts_with(&FIRST_TRAIN_LABELS) && source.test.labels.starts_with(&FIRST_TEST_LABELS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(coarse: u8, fine: u8) -> Vec<u8> {
        let mut record = vec![coarse, fine];
        record.extend((0..CHANNELS * PLANE).map(|i| (i / PLANE * 100 + i % PLANE % 100) as u8));
        record
    }

    #[test]
    fn planes_become_pixels() {
        let bytes = [record(3, 7), record(19, 99)].concat();
        let set = parse(&bytes).expect("two good records");
        assert_eq!(set.labels, [7, 99]);
        assert_eq!(set.image(1)[..6], [0, 100, 200, 1, 101, 201]);
        assert_eq!(set.image(0)[(PLANE - 1) * 3..], [23, 123, 223]);
        assert_eq!((set.class_names.len(), set.class_names[99].as_str()), (100, "worm"));
    }

    #[test]
    fn labels_out_of_range_are_named() {
        let message =
            |coarse, fine| parse(&[record(0, 0), record(coarse, fine)].concat()).expect_err("bad").to_string();
        assert_eq!(message(20, 0), "record 1: coarse label is 20, expected 0 to 19");
        assert_eq!(message(0, 100), "record 1: fine label is 100, expected 0 to 99");
    }

    #[test]
    fn a_broken_record_is_an_error() {
        let message = parse(&record(0, 0)[..3000]).expect_err("short").to_string();
        assert_eq!(message, "whole records of 3074 bytes: expected 3074 bytes, found 3000");
    }
}
