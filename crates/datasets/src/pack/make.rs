//! Making a pack: on all threads, in the order of the lists.

use std::path::Path;

use longtail_artifact::{FileHash, FileRecord, interrupted};
use longtail_recipe::OnBadImage;
use rayon::prelude::*;

use super::made_from::origin_of;
use super::origin;
use super::place::{another, of_other_lists};
use super::read::is_missing;
use super::{Kind, Pack, PackKey, PackWriter, partial, problem};
use crate::error::DatasetError;
use crate::identity::hash_photos;
use crate::image_set::DataSource;
use crate::photo_files::PhotoFiles;

/// Images each thread makes between two writes: a kill loses no more. Changes no byte.
const IMAGES_PER_THREAD: usize = 64;
/// Images that an estimate looks at.
const SAMPLES: usize = 48;

/// How much is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Of the whole file.
    pub bytes: u64,
    /// Bytes of it that an earlier start has written.
    pub written: u64,
    /// Images looked at.
    pub samples: usize,
}

/// How far it is, for a person who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making {
    /// Bytes that an earlier start wrote and that are good, and all such bytes.
    Checking(u64, u64),
    /// Photographs that those were made from and that were looked at again, and all such photographs.
    Comparing(u64, u64),
    /// Images that are there, at the first call those of an earlier start; and bytes of the file.
    Writing(usize, u64),
}

/// Makes a photo smaller: `Ok(None)` if it is small already, `Err` if it is bad.
pub type Encode<'a> = &'a (dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, String> + Sync);

/// The pack at `file`, if it is there, whole and of this key; `None` if there is no file.
///
/// # Errors
/// A damaged pack, or one of another key: both are named.
pub fn find(file: &Path, key: &PackKey) -> Result<Option<Pack>, DatasetError> {
    let pack = match Pack::open(file) {
        Ok(pack) => pack,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = pack.key();
    if found == key {
        return Ok(Some(pack));
    }
    if (&found.dataset, &found.lists, found.images) != (&key.dataset, &key.lists, key.images) {
        return Err(of_other_lists(&pack, &key.dataset, &key.lists, key.images));
    }
    Err(problem(file, format!("is another pack: {found}; expected {key}"), another(file)))
}

/// Bytes of the whole pack, from some images spread over the lists. A bad image counts as none.
///
/// # Errors
/// None but those of the machine; a bad image is found when it is packed.
pub fn estimate(source: &DataSource, file: &Path, encode: Encode) -> Estimate {
    let images = source.train.len() + source.test.len();
    let samples = SAMPLES.min(images);
    let sizes: Vec<u64> = (0..samples)
        .into_par_iter()
        .filter_map(|sample| {
            let mut bytes = Vec::new();
            let (files, index) = image_of(source, sample * images / samples)?;
            files.read(index, &mut bytes).ok()?;
            let small = encode(&bytes).ok()?;
            Some(small.map_or(bytes.len(), |small| small.len()) as u64)
        })
        .collect();
    // 56 bytes beside each image.
    let mean = sizes.iter().sum::<u64>() / (sizes.len() as u64).max(1) + 56;
    let written = std::fs::metadata(partial(file)).map_or(0, |data| data.len());
    Estimate { bytes: mean * images as u64, written, samples: sizes.len() }
}

/// Writes the pack of `source` to `file`, or goes on with one that was begun there, as far as the photographs are still those that
/// it was begun with. The bytes depend on key, images and `encode` alone. What the photographs are is noted beside it, so that
/// they need not be hashed again as long as they stay as they are.
///
/// # Errors
/// A bad image, unless `on_bad` skips them: of several the first in the lists' order, by path and line. A file that cannot be
/// written, or that another process writes. [`DatasetError::Interrupted`]; the next call goes on.
pub fn make(
    source: &DataSource,
    key: &PackKey,
    file: &Path,
    on_bad: OnBadImage,
    encode: Encode,
    progress: &mut dyn FnMut(Making),
) -> Result<Pack, DatasetError> {
    let mut writer = PackWriter::open(file, key, &mut |done, all| progress(Making::Checking(done, all)))?;
    let mut records = Vec::new();
    if writer.written() > 0 {
        records = still_there(source, &mut writer, progress)?;
    }
    progress(Making::Writing(writer.written(), writer.bytes()));
    let at_once = IMAGES_PER_THREAD * rayon::current_num_threads();
    while writer.written() < key.images {
        if interrupted() {
            writer.flush()?;
            return Err(DatasetError::Interrupted);
        }
        let first = writer.written();
        let made: Vec<Result<Made, DatasetError>> = (first..(first + at_once).min(key.images))
            .into_par_iter()
            .map(|index| image(source, index, on_bad, encode))
            .collect();
        for made in made {
            match made {
                Ok(Made { kind, bytes, record }) => {
                    writer.push(kind, &bytes, origin_of(record.as_ref()))?;
                    records.push(record);
                }
                Err(error) => {
                    writer.flush()?;
                    return Err(error);
                }
            }
        }
        writer.flush()?;
        progress(Making::Writing(writer.written(), writer.bytes()));
    }
    writer.finish()?;
    origin::note(source, file, records);
    Pack::open(file)
}

/// Records of the photographs that the images in `writer` were made from; from the first that is another one now, images are cut off.
fn still_there(
    source: &DataSource,
    writer: &mut PackWriter,
    progress: &mut dyn FnMut(Making),
) -> Result<Vec<Option<FileRecord>>, DatasetError> {
    let there = writer.written();
    let mut records = Vec::with_capacity(there);
    while records.len() < there {
        progress(Making::Comparing(records.len() as u64, there as u64));
        let next = records.len()..there.min(records.len() + IMAGES_PER_THREAD * rayon::current_num_threads());
        records.extend(hash_photos(next.len(), &|at| {
            image_of(source, next.start + at).map(|(files, at)| files.path(at))
        })?);
    }
    let is_same = |(origin, record): &(&_, &Option<FileRecord>)| **origin == origin_of(record.as_ref());
    let same = writer.origins().iter().zip(&records).take_while(is_same).count();
    writer.keep(same)?;
    records.truncate(same);
    Ok(records)
}

/// One image, and what it was made from.
struct Made {
    kind: Kind,
    bytes: Vec<u8>,
    record: Option<FileRecord>,
}

fn image(source: &DataSource, index: usize, on_bad: OnBadImage, encode: Encode) -> Result<Made, DatasetError> {
    let (files, index) = image_of(source, index).ok_or_else(|| DatasetError::Config {
        what: "data pack",
        problem: "these images are not photographs in files".to_owned(),
    })?;
    let path = files.path(index);
    let before = FileRecord::of(&path, FileHash::new()).ok();
    let mut bytes = Vec::new();
    let read = files.read(index, &mut bytes);
    let record = match &read {
        Ok(()) => {
            let blake3 = blake3::hash(&bytes).to_hex().to_string();
            // Of a file that is written to meanwhile the bytes are known, and its time is not to be believed.
            let quiet =
                before.filter(|before| FileRecord::of(&path, FileHash::new()).is_ok_and(|after| after == *before));
            let still = quiet.unwrap_or(FileRecord { bytes: bytes.len() as u64, blake3: FileHash::new(), mtime_ns: 0 });
            Some(FileRecord { blake3, ..still })
        }
        Err(_) => FileRecord::read(&path).ok(),
    };
    let made = read.and_then(|()| {
        let small = encode(&bytes).map_err(|problem| files.bad(index, &problem))?;
        Ok(small.unwrap_or(bytes))
    });
    match made {
        Ok(bytes) => Ok(Made { kind: Kind::Image, bytes, record }),
        Err(DatasetError::BadImage { problem, .. }) if on_bad == OnBadImage::Skip => {
            Ok(Made { kind: Kind::Bad, bytes: problem.into_bytes(), record })
        }
        Err(error) => Err(error),
    }
}

/// Image `index` of the training source and the test list one after the other.
fn image_of(source: &DataSource, index: usize) -> Option<(&PhotoFiles, usize)> {
    match index.checked_sub(source.train.len()) {
        None => Some((source.train.images.photos()?, index)),
        Some(index) => Some((source.test.images.photos()?, index)),
    }
}
