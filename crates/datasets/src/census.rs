//! The census: every photo decoded once, so that bad ones are known before anything is trained.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use longtail_artifact::interrupted;
use longtail_images::decode::{PhotoProblem, check};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::error::DatasetError;
use crate::image_set::{DataSource, ImageSet};
use crate::split::Skipped;

/// A photo that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPhoto {
    /// Its position in its set.
    pub index: u32,
    /// Path, line and problem in words.
    pub error: String,
    /// The problem alone.
    pub problem: String,
}

/// The bad photos of a data set, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// In the training source, which ends with the validation list.
    pub train: Vec<BadPhoto>,
    /// In the test list.
    pub test: Vec<BadPhoto>,
}

impl Census {
    /// Decodes every photo of both sets, on all threads. `progress` hears of images done and images in all, in any order.
    ///
    /// # Errors
    /// [`DatasetError::Interrupted`], once the user asked to stop; a damaged pack. A bad photo is no error but a finding.
    pub fn of_source(source: &DataSource, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Self, DatasetError> {
        let all = (source.train.len() + source.test.len()) as u64;
        let done = AtomicU64::new(0);
        let count = || progress(done.fetch_add(1, Ordering::Relaxed) + 1, all);
        Ok(Self { train: bad_photos(&source.train, &count)?, test: bad_photos(&source.test, &count)? })
    }

    /// The positions.
    pub fn skipped(&self) -> Skipped {
        let positions = |bad: &[BadPhoto]| bad.iter().map(|bad| bad.index).collect();
        Skipped { train: positions(&self.train), test: positions(&self.test) }
    }

    /// Paths, relative as in the lists, and problems; for the metadata of a file.
    pub(crate) fn describe(&self, source: &DataSource) -> Value {
        let described = |bad: &[BadPhoto], set: &ImageSet| -> Value {
            let one = |bad: &BadPhoto| {
                let path = set.images.photos().map_or("", |files| files.relative(bad.index as usize));
                json!({"path": path, "problem": bad.problem})
            };
            bad.iter().map(one).collect()
        };
        json!({"train": described(&self.train, &source.train), "test": described(&self.test, &source.test)})
    }
}

/// The photos of `set` that cannot be read or decoded, ascending.
fn bad_photos(set: &ImageSet, count: &(dyn Fn() + Sync)) -> Result<Vec<BadPhoto>, DatasetError> {
    let Some(files) = set.images.photos() else { return Ok(Vec::new()) };
    let stopped = AtomicBool::new(false);
    let failed: Mutex<Option<DatasetError>> = Mutex::new(None);
    let found = Mutex::new(Vec::new());
    (0..files.len()).into_par_iter().for_each_init(Vec::new, |bytes, index| {
        if stopped.load(Ordering::Relaxed) || interrupted() {
            stopped.store(true, Ordering::Relaxed);
            return;
        }
        let problem = match files.read(index, bytes) {
            Ok(()) => check(bytes).err().map(|problem: PhotoProblem| problem.to_string()),
            Err(DatasetError::BadImage { problem, .. }) => Some(problem),
            // A damaged pack is no reason to leave its images out.
            Err(other) => {
                stopped.store(true, Ordering::Relaxed);
                *failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(other);
                return;
            }
        };
        if let Some(problem) = problem {
            let error = files.bad(index, &problem).to_string();
            let bad = BadPhoto { index: index as u32, error, problem };
            found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(bad);
        }
        count();
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        return Err(error);
    }
    if stopped.into_inner() {
        return Err(DatasetError::Interrupted);
    }
    let mut found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    found.sort_by_key(|bad| bad.index); // threads come in any order
    Ok(found)
}
