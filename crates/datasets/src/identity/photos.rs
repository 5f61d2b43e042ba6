//! The identity of photo sets: lists, and what the files hold.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use longtail_artifact::{FileRecord, RunLayout, interrupted, split_identity};
use longtail_recipe::{DataRecipe, Dataset, PhotoRecipe};
use rayon::prelude::*;

use super::{Identified, ImageIndex, IndexPart, Known, Progress, absolute};
use crate::error::DatasetError;
use crate::image_set::DataSource;
use crate::photo_files::PhotoFiles;
use crate::read;
use crate::read::photos::{self, fetch};

/// Stands for a file that cannot be read: `on_bad_image: skip` leaves such images out, and one that comes back is another set.
const ABSENT: &str = "absent";

/// The photos of `dataset` and what they are. The source's hash becomes the identity.
pub fn identify(
    dataset: Dataset,
    photo: &PhotoRecipe,
    dir: Option<&Path>,
    known: Known,
    progress: Progress,
) -> Result<(DataSource, Identified), DatasetError> {
    let listed = photos::read(dataset, dir)?;
    let lists = listed.hash.clone();
    let mut source = listed.into_data(photo)?;
    let data = dir.map(absolute);
    if let Some(pack) = source.train.images.photos().and_then(PhotoFiles::pack) {
        let parts = vec![IndexPart { folder: absolute(pack.path()), files: Default::default() }];
        let identity = source.hash.clone();
        let index = ImageIndex { identity: identity.clone(), data, parts };
        return Ok((source, Identified { index, lists: identity, read_on_the_way: false }));
    }
    let sets: Vec<&PhotoFiles> =
        [&source.train, &source.test].into_iter().filter_map(|set| set.images.photos()).collect();
    let folders: Vec<String> = sets.iter().map(|files| absolute(files.root())).collect();
    let records = records(&sets, known(&folders).as_ref(), progress)?;
    if let (true, Some(files)) = (records.iter().flatten().all(Option::is_none), sets.first()) {
        return Err(DatasetError::Incomplete {
            dataset: read::title(dataset),
            missing: files.path(0),
            present: files.root().to_owned(),
            hint: fetch::screen(dataset).to_owned(),
        });
    }
    let identity = identity(&lists, &records);
    let part = |(folder, (files, records)): (String, (&&PhotoFiles, Vec<Option<FileRecord>>))| {
        let of = |(index, record): (usize, Option<FileRecord>)| Some((files.relative(index).to_owned(), record?));
        IndexPart { folder, files: records.into_iter().enumerate().filter_map(of).collect() }
    };
    let parts = folders.into_iter().zip(sets.iter().zip(records)).map(part).collect();
    source.hash.clone_from(&identity);
    Ok((source, Identified { index: ImageIndex { identity, data, parts }, lists, read_on_the_way: true }))
}

/// For runs of a version that did not look into photographs, which are stale whatever these hold: nothing need be hashed to say so.
pub fn of_lists_alone(data: &DataRecipe, dir: Option<&Path>, layouts: &[RunLayout]) -> Option<Identified> {
    let splits: Vec<String> = layouts.iter().filter_map(split_identity).collect();
    if splits.is_empty() || data.photo.as_ref().is_none_or(|photo| photo.packed) {
        return None;
    }
    let lists = photos::read(data.dataset, dir).ok()?.hash;
    splits.iter().all(|split| *split == lists).then(|| {
        // No split can name this.
        let index = ImageIndex { identity: format!("lists {lists}"), data: None, parts: Vec::new() };
        Identified { index, lists, read_on_the_way: false }
    })
}

/// BLAKE3 over the lists' hash and the hash of each file in their order.
fn identity(lists: &str, records: &[Vec<Option<FileRecord>>]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{lists}\ncontents\n").as_bytes());
    for record in records.iter().flatten() {
        hasher.update(record.as_ref().map_or(ABSENT, |record| record.blake3.as_str()).as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize().to_hex().to_string()
}

/// One record a file, in the order of the sets; none of a file that cannot be read. Hashes only what is not `known`, on all threads.
fn records(
    sets: &[&PhotoFiles],
    known: Option<&ImageIndex>,
    progress: Progress,
) -> Result<Vec<Vec<Option<FileRecord>>>, DatasetError> {
    let believed = |set: usize| -> Vec<Option<FileRecord>> {
        let files = sets[set];
        let Some(part) = known.and_then(|index| index.parts.get(set)) else { return vec![None; files.len()] };
        let one = |index: usize| {
            let record = part.files.get(files.relative(index))?;
            record.is_unchanged(&files.path(index)).then(|| record.clone())
        };
        (0..files.len()).into_par_iter().map(one).collect()
    };
    let mut all: Vec<Vec<Option<FileRecord>>> = (0..sets.len()).map(believed).collect();
    let to_hash: Vec<(usize, usize)> = all
        .iter()
        .enumerate()
        .flat_map(|(set, records)| {
            (0..records.len()).filter(|&index| records[index].is_none()).map(move |index| (set, index))
        })
        .collect();
    let done = AtomicU64::new(0);
    let hashed: Vec<Option<FileRecord>> = to_hash
        .par_iter()
        .map(|&(set, index)| {
            if interrupted() {
                return None;
            }
            let record = FileRecord::read(&sets[set].path(index)).ok();
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, to_hash.len() as u64);
            record
        })
        .collect();
    if interrupted() {
        return Err(DatasetError::Interrupted);
    }
    for ((set, index), record) in to_hash.into_iter().zip(hashed) {
        all[set][index] = record;
    }
    Ok(all)
}
