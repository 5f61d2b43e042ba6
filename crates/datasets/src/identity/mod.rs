//! What the images of a run are: one identity for all their bytes and labels, and how it stands to the run's split.
//!
//! The identity of pixels in memory is the hash of their files' bytes, of a pack the pack's own hash, of photos a hash over
//! (path, label) of every line and the contents of every file. It is what [`DataSource::hash`] holds after [`load_identified`],
//! what a split names, and through the split what every stage's key depends on. Photos are hashed once a run: after that the
//! rule of manifests holds, by which a file of unchanged length and time is believed to be what it was (see [`ImageIndex`]). The
//! photographs behind a pack are looked at too: a pack that was made from others is not read in their place ([`MadeFrom`]).

mod index;
mod photos;

use std::path::{Path, PathBuf};

use longtail_artifact::{FileRecord, ImageMatch, RunLayout, progress, split_identity};
use longtail_recipe::DataRecipe;

pub use index::{ImageIndex, IndexPart};
pub(crate) use photos::{hash_photos, of_pack, photo_index};

use crate::error::DatasetError;
use crate::image_set::DataSource;
use crate::pack::{self, MadeFrom};
use crate::read::{self, find, load};

/// Hears of files hashed and files to hash, from any thread.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// The images as they are now.
#[derive(Debug, Clone)]
pub struct Identified {
    index: ImageIndex,
    /// What a split of before contents counted was named by; for pixels and packs the identity itself.
    lists: String,
    /// Where a pack is read: how the photographs stand to it.
    made_from: MadeFrom,
    /// Files that are opened batch by batch: they can change under a stage. (Pixels are in memory, and a pack compares each image.)
    read_on_the_way: bool,
}

impl Identified {
    /// BLAKE3 in hexadecimal.
    pub fn identity(&self) -> &str {
        &self.index.identity
    }

    /// How these images stand to those that the run's split was drawn from. Those of a pack whose photographs are others now are
    /// others, though the pack is not.
    pub fn matches(&self, layout: &RunLayout) -> ImageMatch {
        match (split_identity(layout), &self.made_from) {
            (None, _) => ImageMatch::Same,
            (Some(of_split), MadeFrom::Others(words)) if of_split == self.index.identity => {
                ImageMatch::Other(words.clone())
            }
            (Some(of_split), _) if of_split == self.index.identity => ImageMatch::Same,
            (Some(of_split), _) => ImageMatch::Other(self.difference(layout, &of_split)),
        }
    }

    /// Whether these are not the images that the run's split was drawn from, so that it is to be drawn again.
    pub fn are_others(&self, layout: &RunLayout) -> bool {
        split_identity(layout).is_some_and(|of_split| of_split != self.index.identity)
    }

    /// What a person should know of the pack that is read, where there is something.
    pub fn note(&self) -> Option<&str> {
        self.made_from.note()
    }

    fn difference(&self, layout: &RunLayout, of_split: &str) -> String {
        if of_split == self.lists {
            return "an earlier version of this program drew split.safetensors and did not record the contents of the \
                    photographs: it is unknown whether they have changed"
                .to_owned();
        }
        let is_of_split =
            |index: &ImageIndex| index.identity == of_split && index.parts.len() == self.index.parts.len();
        let before = ImageIndex::read(&layout.images()).filter(is_of_split);
        let what = match before {
            Some(before) => self.index.difference(&before),
            None => self.index.parts.first().map_or("", |part| part.folder.as_str()).to_owned(),
        };
        format!("these are not the images that split.safetensors was drawn from: {what}")
    }

    /// Writes the run's `images.json`. Only for images that the split is drawn from, or is to be: else the words for what
    /// differs would be lost.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record(&self, layout: &RunLayout) -> Result<(), DatasetError> {
        self.index.write(&layout.images())?;
        let other = layout.other_images();
        if other.exists() {
            std::fs::remove_file(&other).map_err(|cause| DatasetError::Read { path: other, cause })?;
        }
        Ok(())
    }

    /// Writes the run's `other-images.json`: these are not the images of its split, and a stage that draws it again need not hash them.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record_others(&self, layout: &RunLayout) -> Result<(), DatasetError> {
        Ok(self.index.write(&layout.other_images())?)
    }

    /// How the images that a stage read changed while it did, in words; `None` if they did not, or went away since.
    ///
    /// # Errors
    /// [`DatasetError::Interrupted`].
    pub fn changes(
        &self,
        data: &DataRecipe,
        dir: Option<&Path>,
        progress: Progress,
    ) -> Result<Option<String>, DatasetError> {
        if !self.read_on_the_way {
            return Ok(None);
        }
        match identify_with(data, dir, &|_| Some(self.index.clone()), progress) {
            Ok(now) if now.index.identity == self.index.identity => Ok(None),
            Ok(now) => Ok(Some(now.index.difference(&self.index))),
            Err(DatasetError::Interrupted) => Err(DatasetError::Interrupted),
            Err(_) => Ok(None),
        }
    }
}

/// Loads the data set of a recipe and says what it is; hashes are taken from `images.json` of the run, or of another seed, as far as
/// files are unchanged.
///
/// # Errors
/// As [`crate::load_for`]; a pack that was made from other photographs; [`DatasetError::Interrupted`].
pub fn load_identified(
    data: &DataRecipe,
    dir: Option<&Path>,
    layout: &RunLayout,
    progress: Progress,
) -> Result<(DataSource, Identified), DatasetError> {
    let (source, identified) = load_accepting(data, dir, layout, progress)?;
    if let (MadeFrom::Others(_), Some(pack)) = (&identified.made_from, source.pack()) {
        return Err(pack::of_other_photographs(pack, &identified.made_from));
    }
    Ok((source, identified))
}

/// [`load_identified`] for who takes what was made from other things as it is (`--accept-stale`): a pack of other photographs too.
///
/// # Errors
/// As there, but for that.
pub fn load_accepting(
    data: &DataRecipe,
    dir: Option<&Path>,
    layout: &RunLayout,
    progress: Progress,
) -> Result<(DataSource, Identified), DatasetError> {
    let known = |folders: &[String]| known(std::slice::from_ref(layout), folders);
    if let Some(photo) = &data.photo {
        return photos::identify(data.dataset, photo, dir, &known, progress);
    }
    let folder = find(data.dataset, dir)?;
    let (part, _) = stored_files(data, &folder, &known);
    let source = load(data.dataset, dir)?;
    if let Some(name) = part.files.iter().find(|(name, record)| !record.is_unchanged(&folder.join(name))) {
        let cause = std::io::Error::other("it is being written to");
        return Err(DatasetError::Read { path: folder.join(name.0), cause });
    }
    let identified = of_stored(source.hash.clone(), dir, part);
    Ok((source, identified))
}

/// Says what the data set of a recipe is, for the runs in `layouts`. Where no folder is named and none is found, the one that a run
/// was made from is looked at.
///
/// # Errors
/// As [`load_identified`].
pub fn identify(
    data: &DataRecipe,
    dir: Option<&Path>,
    layouts: &[RunLayout],
    progress: Progress,
) -> Result<Identified, DatasetError> {
    if let Some(identified) = photos::of_lists_alone(data, dir, layouts) {
        return Ok(identified);
    }
    let known = |folders: &[String]| known(layouts, folders);
    match identify_with(data, dir, &known, progress) {
        Err(error) if dir.is_none() && !matches!(error, DatasetError::Interrupted) => {
            let mut recorded = layouts.iter().filter_map(|layout| ImageIndex::read(&layout.images())?.data);
            let again = recorded.find_map(|dir| identify_with(data, Some(Path::new(&dir)), &known, progress).ok());
            again.ok_or(error)
        }
        found => found,
    }
}

/// How the images stand to a run's split, for a stage that is about to say whether it is up to date. Notes what it found in the run.
///
/// Without `dir` it is no error that they are not there: the images of a finished run may be gone. stderr is told.
///
/// # Errors
/// As [`identify`] where `dir` is given; [`DatasetError::Interrupted`].
pub fn compare(
    data: &DataRecipe,
    dir: Option<&Path>,
    layout: &RunLayout,
    quiet: bool,
) -> Result<ImageMatch, DatasetError> {
    if split_identity(layout).is_none() {
        return Ok(ImageMatch::Same); // there is nothing to compare with
    }
    match with_bar(quiet, |progress| identify(data, dir, std::slice::from_ref(layout), progress)) {
        Ok(now) => {
            let matches = now.matches(layout);
            // Only a note that saves hashing the next time: a disk that cannot be written is no reason to fail.
            if matches == ImageMatch::Same
                && let Err(error) = now.record(layout)
                && !quiet
            {
                eprintln!("note: the hashes of the images could not be saved: {error}");
            }
            Ok(matches)
        }
        Err(error) if dir.is_some() || matches!(error, DatasetError::Interrupted) => Err(error),
        Err(error) => {
            if !quiet {
                eprintln!("warning: the images could not be compared with the earlier ones: {error}");
            }
            Ok(ImageMatch::NotCompared)
        }
    }
}

/// Shows a bar on stderr while there is something to hash.
pub fn with_bar<T>(quiet: bool, work: impl FnOnce(Progress) -> T) -> T {
    let bar = progress(0, "hashing every image once", quiet);
    let done = work(&|done, all| {
        if done % 64 == 0 || done == all {
            bar.set_length(all);
            bar.set_position(done);
        }
    });
    bar.finish_and_clear();
    done
}

/// An index of these very folders: of one of the runs, or of another seed beside it.
fn known(layouts: &[RunLayout], folders: &[String]) -> Option<ImageIndex> {
    let fits = |path: PathBuf| ImageIndex::read(&path).filter(|index| index.folders() == folders);
    // Where both are of these folders, the images are others: what is known of them is newer.
    let of = |layout: &RunLayout| fits(layout.other_images()).or_else(|| fits(layout.images()));
    if let Some(own) = layouts.iter().find_map(of) {
        return Some(own);
    }
    let mut beside: Vec<PathBuf> = Vec::new();
    for entry in layouts.first()?.run().parent().and_then(|folder| std::fs::read_dir(folder).ok())?.flatten() {
        beside.push(entry.path());
    }
    beside.sort();
    beside.into_iter().map(RunLayout::new).find_map(|layout| of(&layout))
}

type Known<'a> = &'a dyn Fn(&[String]) -> Option<ImageIndex>;

fn identify_with(
    data: &DataRecipe,
    dir: Option<&Path>,
    known: Known,
    progress: Progress,
) -> Result<Identified, DatasetError> {
    if let Some(photo) = &data.photo {
        return Ok(photos::identify(data.dataset, photo, dir, known, progress)?.1);
    }
    let folder = find(data.dataset, dir)?;
    let (part, identity) = stored_files(data, &folder, known);
    let identity = match identity {
        Some(identity) => identity,
        None => load(data.dataset, dir)?.hash,
    };
    Ok(of_stored(identity, dir, part))
}

/// The files of a set that is read into memory, and its identity if all of them are known.
fn stored_files(data: &DataRecipe, folder: &Path, known: Known) -> (IndexPart, Option<String>) {
    let name = absolute(folder);
    let known = known(std::slice::from_ref(&name));
    let wanted = read::inventory(data.dataset, folder);
    let mut part = IndexPart { folder: name, files: Default::default() };
    for file in &wanted {
        let path = folder.join(&file.name);
        let before = known.as_ref().and_then(|index| index.parts[0].files.get(&file.name));
        let record = match before {
            Some(before) if before.is_unchanged(&path) => Some(before.clone()),
            _ => FileRecord::read(&path).ok(),
        };
        part.files.extend(record.map(|record| (file.name.clone(), record)));
    }
    let hashes = |part: &IndexPart| -> Vec<(String, String)> {
        part.files.iter().map(|(name, record)| (name.clone(), record.blake3.clone())).collect()
    };
    let identity = known.filter(|index| part.files.len() == wanted.len() && hashes(&index.parts[0]) == hashes(&part));
    (part, identity.map(|index| index.identity))
}

fn of_stored(identity: String, dir: Option<&Path>, part: IndexPart) -> Identified {
    let index = ImageIndex { identity: identity.clone(), data: dir.map(absolute), parts: vec![part] };
    Identified { index, lists: identity, made_from: MadeFrom::These, read_on_the_way: false }
}

/// The folder's one name on this machine.
fn absolute(folder: &Path) -> String {
    let named = folder.canonicalize().or_else(|_| std::path::absolute(folder));
    named.unwrap_or_else(|_| folder.to_owned()).to_string_lossy().into_owned()
}
