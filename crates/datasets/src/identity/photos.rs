//! The identity of photo sets: lists, and what the files hold.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use longtail_artifact::{FileRecord, RunLayout, interrupted, split_identity};
use longtail_recipe::{DataRecipe, Dataset, PhotoRecipe};
use rayon::prelude::*;

use super::{Identified, ImageIndex, IndexPart, Known, Progress, absolute};
use crate::error::DatasetError;
use crate::image_set::DataSource;
use crate::pack::{self, MadeFrom, Pack};
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
    let sets = source.photo_sets();
    if let Some(pack) = source.pack() {
        let (made_from, mut index) = of_pack(pack, &sets, known, progress)?;
        index.identity.clone_from(&source.hash);
        index.data = data;
        let lists = source.hash.clone();
        return Ok((source, Identified { index, lists, made_from, read_on_the_way: false }));
    }
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
    let index = ImageIndex { identity: identity.clone(), data, ..photo_index(&sets, records) };
    source.hash = identity;
    Ok((source, Identified { index, lists, made_from: MadeFrom::These, read_on_the_way: true }))
}

/// What the photographs are that `pack` stands for, and whether it was made from these. Nothing is hashed for a pack that does not say.
pub fn of_pack(
    pack: &Pack,
    sets: &[&PhotoFiles],
    known: Known,
    progress: Progress,
) -> Result<(MadeFrom, ImageIndex), DatasetError> {
    let (made_from, mut index) = if pack.has_origins() {
        let folders: Vec<String> = sets.iter().map(|files| absolute(files.root())).collect();
        let is_of_these =
            |index: &ImageIndex| index.parts.len() >= folders.len() && index.folders().starts_with(&folders);
        let beside = ImageIndex::read(&pack::index_file(pack.path())).filter(is_of_these);
        let own = [folders.clone(), vec![absolute(pack.path())]].concat();
        let records = records(sets, beside.or_else(|| known(&own)).as_ref(), progress)?;
        (MadeFrom::compare(pack, sets, &records), photo_index(sets, records))
    } else {
        (MadeFrom::unknown(pack), photo_index(&[], Vec::new()))
    };
    // The pack behind its photographs: of a difference, theirs says more.
    let record = FileRecord { bytes: pack.bytes(), blake3: pack.identity().to_owned(), mtime_ns: 0 };
    let name = pack.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    index.parts.push(IndexPart { folder: absolute(pack.path()), files: [(name, record)].into() });
    Ok((made_from, index))
}

/// An index of these records, one for each file of `sets`, without an identity.
pub fn photo_index(sets: &[&PhotoFiles], records: Vec<Vec<Option<FileRecord>>>) -> ImageIndex {
    let part = |(files, records): (&&PhotoFiles, Vec<Option<FileRecord>>)| {
        let of = |(index, record): (usize, Option<FileRecord>)| Some((files.relative(index).to_owned(), record?));
        IndexPart { folder: absolute(files.root()), files: records.into_iter().enumerate().filter_map(of).collect() }
    };
    ImageIndex { identity: String::new(), data: None, parts: sets.iter().zip(records).map(part).collect() }
}

/// A record of each of `count` files, hashed on all threads; none of one that cannot be read.
pub fn hash_photos(
    count: usize,
    path: &(dyn Fn(usize) -> Option<std::path::PathBuf> + Sync),
) -> Result<Vec<Option<FileRecord>>, DatasetError> {
    let one = |index: usize| if interrupted() { None } else { FileRecord::read(&path(index)?).ok() };
    let records = (0..count).into_par_iter().map(one).collect();
    if interrupted() { Err(DatasetError::Interrupted) } else { Ok(records) }
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
        Identified { index, lists, made_from: MadeFrom::These, read_on_the_way: false }
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
    let (done, all_to_hash) = (AtomicU64::new(0), to_hash.len() as u64);
    let path = |at: usize| {
        let (set, index) = to_hash[at];
        // Said as it begins: what a person waits for is on its way.
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, all_to_hash);
        Some(sets[set].path(index))
    };
    let hashed = hash_photos(to_hash.len(), &path)?;
    for ((set, index), record) in to_hash.into_iter().zip(hashed) {
        all[set][index] = record;
    }
    Ok(all)
}
