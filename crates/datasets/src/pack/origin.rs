//! What a pack was made from, and whether the photographs are still that.
//!
//! The pack holds a hash of each file that it was made from. What these files were when they were last looked at (length, time, hash)
//! stands beside it, as `images.json` stands in a run: it saves hashing on this machine, and nothing needs it.

use std::path::Path;

use longtail_artifact::FileRecord;

use super::{MadeFrom, Pack, index_file};
use crate::error::DatasetError;
use crate::identity::{ImageIndex, Progress, of_pack, photo_index};
use crate::image_set::DataSource;

/// How the photographs of `source` stand to `pack`. What they are is noted beside it.
///
/// # Errors
/// [`DatasetError::Interrupted`].
pub fn look(source: &DataSource, pack: &Pack, progress: Progress) -> Result<MadeFrom, DatasetError> {
    let (made_from, index) = of_pack(pack, &source.photo_sets(), &|_| None, progress)?;
    if pack.has_origins() {
        write(&index, pack.path());
    }
    Ok(made_from)
}

/// Notes what the photographs of `source` are, of which `records` has one each in order, beside the pack at `file`.
pub fn note(source: &DataSource, file: &Path, mut records: Vec<Option<FileRecord>>) {
    let test = records.split_off(source.train.len().min(records.len()));
    write(&photo_index(&source.photo_sets(), vec![records, test]), file);
}

/// All that it does is save time, so a disk that cannot be written is no reason to fail.
fn write(index: &ImageIndex, file: &Path) {
    if let Err(error) = index.write(&index_file(file)) {
        eprintln!("note: the hashes of the photographs could not be saved: {error}");
    }
}
