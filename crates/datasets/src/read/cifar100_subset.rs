//! Part of CIFAR-100 in one small file, to be carried to another machine: the training images that some recipes draw, and all test
//! images, losslessly compressed; all labels, so that every draw comes out as from the whole set.
//!
//! `magic | length of the header, u32 | header, JSON | kept, a bit an image | train labels, u8 | test labels, u8 | train pixels | test
//! pixels | BLAKE3 of all before`. Pixels are [`crate::subset`]'s, in streams of `STREAM` images, so that all cores work on them; or,
//! where the file has arrived and was unpacked for programs that read it often, as they are.

use std::path::Path;

use longtail_artifact::write_atomic;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::cifar100_set::{image_set, is_whole};
use super::locate::CIFAR100;
use crate::error::{DatasetError, FormatError};
use crate::image_set::DataSource;
use crate::subset::{compress, decompress};

/// The file's name in a folder of CIFAR-100.
pub const FILE: &str = "cifar100.subset";

const MAGIC: &[u8; 8] = b"LTSUBST\x01";
const HASH: usize = 32;
const SHAPE: (usize, usize, usize) = (32, 32, 3);
const IMAGE: usize = 32 * 32 * 3;
const TRAIN: usize = 50_000;
const TEST: usize = 10_000;
/// Images of a stream: each begins without statistics, which costs 0.4 % of its bytes.
const STREAM: usize = 2048;
/// Longer headers are damage.
const LONGEST_HEADER: usize = 1 << 12;

/// What the file says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// [`DataSource::hash`] of the whole data set: splits and keys are those of a run from it.
    data_hash: String,
    /// Of each stream.
    train_bytes: Vec<usize>,
    test_bytes: Vec<usize>,
    /// Pixels are not compressed, and lie in one stream each.
    #[serde(default)]
    plain: bool,
}

/// The streams of some images, and how long each is.
fn streams(pixels: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let streams: Vec<Vec<u8>> = pixels.par_chunks(STREAM * IMAGE).map(|images| compress(images, SHAPE)).collect();
    (streams.concat(), streams.iter().map(Vec::len).collect())
}

/// The way back.
fn images(mut bytes: &[u8], lengths: &[usize], plain: bool, count: usize) -> Result<Vec<u8>, String> {
    if plain && bytes.len() == count * IMAGE {
        return Ok(bytes.to_vec());
    }
    let mut streams = Vec::new();
    for (stream, &length) in lengths.iter().enumerate() {
        let (here, rest) = bytes.split_at_checked(length).ok_or("a stream extends beyond the file")?;
        streams.push((here, count.saturating_sub(stream * STREAM).min(STREAM)));
        bytes = rest;
    }
    let made: Result<Vec<Vec<u8>>, _> =
        streams.into_par_iter().map(|(bytes, count)| decompress(bytes, count, SHAPE)).collect();
    let pixels = made.map_err(|error| error.to_string())?.concat();
    if pixels.len() == count * IMAGE { Ok(pixels) } else { Err(format!("{count} images are missing from its streams")) }
}

/// Writes the training images `kept` (ascending positions) and all test images of the whole data set `source`; the file's bytes.
///
/// # Errors
/// A source that is not the whole of CIFAR-100; a file that cannot be written.
pub fn write(path: &Path, source: &DataSource, kept: &[u32]) -> Result<usize, DatasetError> {
    let is_whole = source.kept.is_none() && is_whole(&source.train, TRAIN) && is_whole(&source.test, TEST);
    if !is_whole || !kept.is_sorted_by(|a, b| a < b) || kept.last().is_some_and(|&last| last as usize >= TRAIN) {
        let problem = "a subset is made from the whole of CIFAR-100".to_owned();
        return Err(DatasetError::Config { what: "subset", problem });
    }
    let chosen = pixels_of(source, kept);
    let ((train, train_bytes), (test, test_bytes)) = (streams(&chosen), streams(source.test.images.pixels()));
    let header = Header { data_hash: source.hash.clone(), train_bytes, test_bytes, plain: false };
    write_parts(path, &header, source, kept, [&train, &test])
}

/// Writes the file `path` anew with its pixels as they are, some twice as large, so that reading it takes no time; its bytes, or
/// `None` if it is so already. A file that cannot be read, or written, stays as it is.
///
/// # Errors
/// Those of [`read`]; a file that cannot be written.
pub fn unpack(path: &Path) -> Result<Option<usize>, DatasetError> {
    let (source, plain) = open(path)?;
    if plain {
        return Ok(None);
    }
    let kept = source.kept.as_deref().unwrap_or_default();
    let (train, test) = (pixels_of(&source, kept), source.test.images.pixels());
    let (train_bytes, test_bytes) = (vec![train.len()], vec![test.len()]);
    let header = Header { data_hash: source.hash.clone(), train_bytes, test_bytes, plain: true };
    write_parts(path, &header, &source, kept, [&train, test]).map(Some)
}

/// The pixels of the training images `kept`.
fn pixels_of(source: &DataSource, kept: &[u32]) -> Vec<u8> {
    kept.iter().flat_map(|&index| source.train.image(index as usize)).copied().collect()
}

fn write_parts(
    path: &Path,
    header: &Header,
    source: &DataSource,
    kept: &[u32],
    pixels: [&[u8]; 2],
) -> Result<usize, DatasetError> {
    let header = serde_json::to_vec(header).expect("strings and numbers are JSON");
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
    bytes.extend(header);
    let mut mask = vec![0u8; TRAIN / 8];
    kept.iter().for_each(|&index| mask[index as usize / 8] |= 1 << (index % 8));
    bytes.extend(mask);
    bytes.extend(source.train.labels.iter().chain(&source.test.labels).map(|&label| label as u8));
    pixels.iter().for_each(|pixels| bytes.extend_from_slice(pixels));
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    write_atomic(path, &bytes)?;
    Ok(bytes.len())
}

/// Reads such a file: all labels, the pixels that it has, and zeros for the others.
///
/// # Errors
/// A file that cannot be read, is damaged, or is none of these.
pub fn read(path: &Path) -> Result<DataSource, DatasetError> {
    Ok(open(path)?.0)
}

/// What is in a file, and whether its pixels lie as they are.
fn open(path: &Path) -> Result<(DataSource, bool), DatasetError> {
    let damaged = |problem: String| DatasetError::Pack {
        path: path.to_owned(),
        problem: format!("is damaged: {problem}"),
        hint: format!("copy it again, or make it again; the whole data set: {}", CIFAR100.hint),
    };
    let bytes = std::fs::read(path).map_err(|error| damaged(error.to_string()))?;
    let (content, hash) = bytes
        .len()
        .checked_sub(HASH)
        .filter(|&end| end >= MAGIC.len() + 4 && bytes.starts_with(MAGIC))
        .map(|end| bytes.split_at(end))
        .ok_or_else(|| damaged("it does not start like a subset of CIFAR-100".to_owned()))?;
    if blake3::hash(content).as_bytes()[..] != *hash {
        return Err(damaged("its bytes do not match their hash".to_owned()));
    }
    let parts = Parts::of(&content[MAGIC.len()..]).ok_or_else(|| damaged("its parts do not fit".to_owned()))?;
    let kept: Vec<u32> =
        (0..TRAIN as u32).filter(|index| parts.mask[*index as usize / 8] >> (index % 8) & 1 == 1).collect();
    let train = images(parts.train, &parts.header.train_bytes, parts.header.plain, kept.len()).map_err(damaged)?;
    let test = images(parts.test, &parts.header.test_bytes, parts.header.plain, TEST).map_err(damaged)?;
    let mut pixels = vec![0u8; TRAIN * IMAGE];
    for (&index, image) in kept.iter().zip(train.chunks_exact(IMAGE)) {
        pixels[index as usize * IMAGE..][..IMAGE].copy_from_slice(image);
    }
    let set = |pixels: Vec<u8>, labels: &[u8]| {
        let set = image_set(pixels, labels.iter().map(|&label| u32::from(label)).collect());
        set.check_class_counts((labels.len() / 100) as u32)?;
        Ok(set)
    };
    let wrong = |problem: FormatError| damaged(problem.to_string());
    let source = DataSource {
        train: set(pixels, parts.train_labels).map_err(wrong)?,
        test: set(test, parts.test_labels).map_err(wrong)?,
        hash: parts.header.data_hash,
        val_from: None,
        kept: Some(kept),
    };
    Ok((source, parts.header.plain))
}

/// A file's parts.
struct Parts<'a> {
    header: Header,
    mask: &'a [u8],
    train_labels: &'a [u8],
    test_labels: &'a [u8],
    train: &'a [u8],
    test: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Nothing where lengths do not fit.
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (header, rest) = rest.split_at_checked(length).filter(|_| length <= LONGEST_HEADER)?;
        let header: Header = serde_json::from_slice(header).ok()?;
        let (mask, rest) = rest.split_at_checked(TRAIN / 8)?;
        let (train_labels, rest) = rest.split_at_checked(TRAIN)?;
        let (test_labels, rest) = rest.split_at_checked(TEST)?;
        let length = |bytes: &[usize]| bytes.iter().try_fold(0usize, |sum, &bytes| sum.checked_add(bytes));
        let (train, test) = rest.split_at_checked(length(&header.train_bytes)?)?;
        (length(&header.test_bytes)? == test.len()).then_some(Self {
            header,
            mask,
            train_labels,
            test_labels,
            train,
            test,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::Split;
    use longtail_recipe::{DataRecipe, read_str};

    /// As many images as CIFAR-100 has, each of one colour but for a pixel.
    fn whole() -> DataSource {
        let set = |count: usize| {
            let labels: Vec<u32> = (0..count as u32).map(|index| index % 100).collect();
            let pixels = (0..count * IMAGE)
                .map(|at| if at % IMAGE == 7 { (at / IMAGE % 251) as u8 } else { (at / IMAGE / 251) as u8 })
                .collect();
            image_set(pixels, labels)
        };
        DataSource { train: set(TRAIN), test: set(TEST), hash: "ab12".to_owned(), val_from: None, kept: None }
    }

    fn data(factor: u32) -> DataRecipe {
        let text = format!(
            "data: {{dataset: cifar100, imbalance_factor: {factor}, max_per_class: 100, meta_per_class: 2}}\nrepresentations: {{ce: {{method: {{ce: {{}}}}}}}}\n\
             classifiers: {{joint: {{joint: {{}}}}}}\n"
        );
        read_str(&text, "subset", &[]).expect("the recipe is valid").data
    }

    #[test]
    fn what_is_drawn_from_a_subset_is_what_is_drawn_from_the_whole() {
        let (folder, source) = (tempfile::tempdir().expect("a folder"), whole());
        let kept = Split::draw(&data(10), &source).expect("drawable").training_images();
        let path = folder.path().join(FILE);
        write(&path, &source, &kept).expect("writable");
        let found = super::super::cifar100::read(folder.path()).expect("just written");
        assert_eq!((found.hash.as_str(), found.kept.as_deref()), ("ab12", Some(kept.as_slice())));
        assert!(found.test == source.test && found.train.labels == source.train.labels);
        for &index in &kept {
            let at = index as usize * IMAGE..(index as usize + 1) * IMAGE;
            assert_eq!(found.train.images.pixels()[at.clone()], source.train.images.pixels()[at]);
        }
        // The draws are nested: a subset for factor 10 serves 50 and 100 too.
        for factor in [10, 50, 100] {
            let drawn = Split::draw(&data(factor), &found).expect("every image came along");
            assert_eq!(drawn, Split::draw(&data(factor), &source).expect("drawable"));
        }
        let error = Split::draw(&data(2), &found).expect_err("not all images came along");
        assert!(error.to_string().contains("are not in the subset"), "{error}");
        assert!(error.hint().expect("a hint").contains("--data DIR"));

        // Unpacked it is the same, and a second time there is nothing to do.
        let packed = std::fs::read(&path).expect("there");
        assert!(unpack(&path).expect("writable").is_some_and(|bytes| bytes > packed.len()));
        assert_eq!(read(&path).expect("just written"), found);
        assert_eq!(unpack(&path).expect("readable"), None);

        for good in [packed, std::fs::read(&path).expect("there")] {
            for (cut, flip) in [(good.len() - 1, None), (40, None), (3, None), (good.len(), Some(good.len() / 2))] {
                let mut bytes = good[..cut].to_vec();
                if let Some(at) = flip {
                    bytes[at] ^= 1;
                }
                std::fs::write(&path, &bytes).expect("writable");
                for error in [read(&path).expect_err("damaged"), unpack(&path).expect_err("damaged")] {
                    assert!(error.hint().is_some_and(|hint| hint.contains("copy it again")), "{error}");
                }
                assert_eq!(std::fs::read(&path).expect("there"), bytes, "it stays as it is");
            }
        }
        for kept in [&[5, 0][..], &[3, 3], &[50_000]] {
            assert!(write(&path, &source, kept).is_err(), "{kept:?}");
        }
    }
}
