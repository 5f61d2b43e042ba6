//! How photographs stand to a pack: the pack holds a hash of each file that it was made from.

use std::path::Path;

use longtail_artifact::FileRecord;

use super::{Origin, Pack};
use crate::photo_files::PhotoFiles;

/// No file was there to be read.
const NONE: Origin = [0; size_of::<Origin>()];

/// How the photographs stand to a pack that is read in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MadeFrom {
    /// From these.
    These,
    /// From these as far as they are there: in words, how many are not.
    NotAllThere(String),
    /// The pack does not say, in words.
    Unknown(String),
    /// From others; in words, which.
    Others(String),
}

impl MadeFrom {
    /// What a person should know who goes on with the pack.
    pub fn note(&self) -> Option<&str> {
        match self {
            Self::These => None,
            Self::NotAllThere(words) | Self::Unknown(words) | Self::Others(words) => Some(words),
        }
    }

    /// Of a pack that says nothing of what it was made from.
    pub fn unknown(pack: &Pack) -> Self {
        Self::Unknown(format!(
            "an earlier version of this program made `{}` and did not record the contents of the photographs: it is \
             unknown whether they have changed. To find out, delete the pack and make it again (`cargo xtask data \
             pack`); if they have not changed, stages trained on it stay up to date",
            pack.path().display()
        ))
    }

    /// `now`: a record of each photograph of `sets`, in order; none of a file that cannot be read.
    pub fn compare(pack: &Pack, sets: &[&PhotoFiles], now: &[Vec<Option<FileRecord>>]) -> Self {
        let files = sets.iter().flat_map(|files| (0..files.len()).map(move |index| (*files, index)));
        let (mut differing, mut first, mut absent, mut all) = (0, None, 0, 0);
        for ((files, index), record) in files.zip(now.iter().flatten()) {
            let Some(origin) = pack.origin(all) else { return Self::unknown(pack) };
            all += 1;
            let how = match record {
                None if origin == NONE => continue,
                None => {
                    absent += 1;
                    continue;
                }
                Some(_) if origin == NONE => "is new",
                Some(record) if origin_of(Some(record)) == origin => continue,
                Some(_) => "has other contents",
            };
            differing += 1;
            first.get_or_insert_with(|| format!("{} {how}", files.relative(index)));
        }
        let (file, folder) =
            (pack.path().display(), sets.first().map_or(Path::new(""), |files| files.root()).display());
        match first {
            Some(first) => Self::Others(format!(
                "`{file}` was made from photographs that have changed since: {folder}, {differing} of {all} files differ, first: {first}"
            )),
            None if absent == 0 => Self::These,
            None => {
                let which = if absent == all { "the".to_owned() } else { format!("{absent} of the {all}") };
                Self::NotAllThere(format!(
                    "{which} photographs that `{file}` was made from are not in `{folder}`: it is unknown whether they \
                     have changed, and the pack is used as it is"
                ))
            }
        }
    }
}

/// As a pack notes it.
pub fn origin_of(record: Option<&FileRecord>) -> Origin {
    let hash = record.and_then(|record| blake3::Hash::from_hex(&record.blake3).ok());
    hash.map_or(NONE, |hash| *hash.as_bytes())
}
