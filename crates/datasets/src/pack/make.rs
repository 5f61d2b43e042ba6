//! Making a pack: on all threads, in the order of the lists.

use std::path::Path;

use longtail_artifact::interrupted;
use longtail_recipe::OnBadImage;
use rayon::prelude::*;

use super::place::{another, of_other_lists};
use super::read::is_missing;
use super::{Kind, Pack, PackKey, PackWriter, partial, problem};
use crate::error::DatasetError;
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
    Err(problem(file, format!("is another pack: {found}; asked for is {key}"), another(file)))
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

/// Writes the pack of `source` to `file`, or goes on with one that was begun there. The bytes depend on key, images and
/// `encode` alone.
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
    progress(Making::Writing(writer.written(), writer.bytes()));
    let at_once = IMAGES_PER_THREAD * rayon::current_num_threads();
    while writer.written() < key.images {
        if interrupted() {
            writer.flush()?;
            return Err(DatasetError::Interrupted);
        }
        let first = writer.written();
        let made: Vec<Result<(Kind, Vec<u8>), DatasetError>> = (first..(first + at_once).min(key.images))
            .into_par_iter()
            .map(|index| record(source, index, on_bad, encode))
            .collect();
        for record in made {
            match record {
                Ok((kind, bytes)) => writer.push(kind, &bytes)?,
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
    Pack::open(file)
}

fn record(
    source: &DataSource,
    index: usize,
    on_bad: OnBadImage,
    encode: Encode,
) -> Result<(Kind, Vec<u8>), DatasetError> {
    let (files, index) = image_of(source, index).ok_or_else(|| DatasetError::Config {
        what: "data pack",
        problem: "these images are no photos in files".to_owned(),
    })?;
    let mut bytes = Vec::new();
    let made = files.read(index, &mut bytes).and_then(|()| {
        let small = encode(&bytes).map_err(|problem| files.bad(index, &problem))?;
        Ok(small.unwrap_or(bytes))
    });
    match made {
        Ok(bytes) => Ok((Kind::Image, bytes)),
        Err(DatasetError::BadImage { problem, .. }) if on_bad == OnBadImage::Skip => {
            Ok((Kind::Bad, problem.into_bytes()))
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
