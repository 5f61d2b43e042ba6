//! What can go wrong with data, in words that name the file, the value and the remedy.

use std::path::PathBuf;

use longtail_artifact::{ArtifactError, Interrupted, explained};
use longtail_images::TransformError;

/// Every error of this crate. [`DatasetError::hint`] says what the user can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// No folder holds the data set's files.
    #[error("{dataset}: no files found; looked in {}", join(.tried))]
    NotFound {
        /// The data set's name as people write it.
        dataset: &'static str,
        /// Every folder that was looked at.
        tried: Vec<PathBuf>,
        /// Where to get the files.
        hint: String,
    },
    /// Some of the files are there, one is not.
    #[error("{dataset}: `{}` is missing, although `{}` exists", .missing.display(), .present.display())]
    Incomplete {
        /// The data set's name.
        dataset: &'static str,
        /// The file that is not there.
        missing: PathBuf,
        /// A file that is.
        present: PathBuf,
        /// Where to get the files.
        hint: String,
    },
    /// A layout that is known but not read.
    #[error("{dataset}: `{}` is {what}, which is not supported", .path.display())]
    OtherLayout {
        /// The data set's name.
        dataset: &'static str,
        /// The file or folder that gave it away.
        path: PathBuf,
        /// Kind of file that was found.
        what: &'static str,
        /// What to fetch or do instead.
        hint: String,
    },
    /// The operating system could not read a file.
    #[error("cannot read `{}`: {cause}", .path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The cause; part of the message, so not also a `source` that would be printed again.
        cause: std::io::Error,
    },
    /// A file's bytes are not what its format says.
    #[error("`{}`: {problem}", .path.display())]
    Format {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong.
        problem: FormatError,
        /// Where to get a good copy.
        hint: String,
    },
    /// The unpacked bytes are not the published ones.
    #[error("`{}` is corrupted: BLAKE3 of the unpacked bytes is {found}, expected {expected}", .path.display())]
    Corrupted {
        /// Path of the file.
        path: PathBuf,
        /// The sum in the code.
        expected: &'static str,
        /// The sum of what was read.
        found: String,
        /// Where to get a good copy.
        hint: String,
    },
    /// A list of images, or a folder of them, that does not say clearly which image is of which class.
    #[error("`{}`{}: {problem}", .file.display(), .line.map_or_else(String::new, |line| format!(":{line}")))]
    List {
        /// The list, the JSON file or the folder.
        file: PathBuf,
        /// The line, counted from 1, where there is one.
        line: Option<u32>,
        /// What stands there and what was expected.
        problem: String,
    },
    /// An image that cannot be read or decoded.
    #[error("`{}`{place}: {problem}", .path.display())]
    BadImage {
        /// Path of the file.
        path: PathBuf,
        /// Its line in the list, in brackets, or nothing.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A pack of photos that is not there, is damaged, or is another one.
    #[error("`{}` {problem}", .path.display())]
    Pack {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong with it, after its name.
        problem: String,
        /// Hint for the user.
        hint: String,
    },
    /// A pack that was made from photographs that have changed since.
    #[error("{words}")]
    OtherPhotographs {
        /// Which pack, and which photographs.
        words: String,
        /// Hint for the user.
        hint: String,
    },
    /// The user asked to stop while all images were being decoded.
    #[error("interrupted")]
    Interrupted,
    /// The recipe asks for a split that these images cannot give.
    #[error("cannot draw the split: {problem}")]
    Split {
        /// What is asked and what there is.
        problem: String,
    },
    /// The split names images that a subset of the data set left behind.
    #[error(
        "{absent} of the {wanted} training images of this recipe are not in the subset of {kept}: it was made for \
         other recipes"
    )]
    Subset {
        /// Images that are not there.
        absent: usize,
        /// Images that the split names.
        wanted: usize,
        /// Images of the subset.
        kept: usize,
    },
    /// `split.safetensors` is of other images.
    #[error("`{}` was drawn from images with hash {found}, but these have {now}", .path.display())]
    OtherImages {
        /// Path of the file.
        path: PathBuf,
        /// The identity of its images.
        found: String,
        /// That of the images that are there.
        now: String,
    },
    /// `split.safetensors` is damaged.
    #[error("`{}` is damaged: {problem}", .path.display())]
    SplitFile {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An artifact could not be written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A transform was.
    #[error(transparent)]
    Transform(#[from] TransformError),
    /// A loader was asked for something that makes no sense.
    #[error("{what}: {problem}")]
    Config {
        /// Name of the setting.
        what: &'static str,
        /// The offending value and what is allowed.
        problem: String,
    },
    /// A worker that made a batch panicked: a bug in this crate.
    #[error("making batch {batch} failed: a worker panicked; please report this")]
    Worker {
        /// The batch, counted from 0 within its epoch.
        batch: usize,
    },
}

/// What is wrong with the bytes of one file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file ends too early or too late.
    #[error("{what}: expected {expected} bytes, found {}{found}", if *.at_least { "at least " } else { "" })]
    Length {
        /// What was measured.
        what: &'static str,
        /// Bytes that belong there.
        expected: u64,
        /// Bytes that are there.
        found: u64,
        /// The count stopped at `found`; there may be more.
        at_least: bool,
    },
    /// The first bytes are not those of an IDX file of unsigned bytes.
    #[error("not an IDX file of unsigned bytes: magic number {found:#010x}, expected {expected:#010x}")]
    Magic {
        /// The number that belongs there.
        expected: u32,
        /// The number that is there.
        found: u32,
    },
    /// An IDX header with the wrong sizes.
    #[error("IDX dimensions are {found:?}, expected {expected:?}")]
    Dimensions {
        /// The sizes that belong there.
        expected: Vec<u32>,
        /// The sizes that are there.
        found: Vec<u32>,
    },
    /// The gzip stream is broken.
    #[error("broken gzip stream: {0}")]
    Gzip(std::io::Error),
    /// A label out of range.
    #[error("record {record}: {what} is {found}, expected 0 to {}", .num_classes - 1)]
    Label {
        /// Which record, counted from 0.
        record: usize,
        /// Which of the two labels.
        what: &'static str,
        /// Value of the label.
        found: u32,
        /// How many classes there are.
        num_classes: u32,
    },
    /// A class with too many or too few images.
    #[error("class {class} has {found} images, expected {expected}")]
    ClassCount {
        /// Label of the class.
        class: usize,
        /// Images that belong there.
        expected: u32,
        /// Images that are there.
        found: u32,
    },
}

impl DatasetError {
    /// What the user can do about it, or `None` where the message says all there is.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { hint, .. }
            | Self::Incomplete { hint, .. }
            | Self::OtherLayout { hint, .. }
            | Self::Format { hint, .. }
            | Self::Pack { hint, .. }
            | Self::OtherPhotographs { hint, .. }
            | Self::Corrupted { hint, .. } => Some(hint.clone()),
            Self::BadImage { .. } => Some(
                "replace it with a good copy and run the same command again. Checkpoints and finished stages then come \
                 from other images; `--accept-stale` keeps the finished ones. Or set `data.on_bad_image=skip`: all \
                 images are then decoded once, bad ones are left out, and every stage runs again"
                    .to_owned(),
            ),
            Self::Subset { .. } => Some(
                "make a subset that lists this recipe with `--recipe`, or give the folder of the whole data set with `--data DIR`"
                    .to_owned(),
            ),
            Self::SplitFile { path, .. } => {
                Some(format!("delete `{}`: the next run draws the same split from the recipe", path.display()))
            }
            Self::OtherImages { .. } => Some(
                "give the folder of those images with `--data DIR`, or run every stage on these images: `cargo xtask reproduce`".to_owned(),
            ),
            Self::Split { .. } => {
                Some("change `data` in the recipe, or restore the images that cannot be read".to_owned())
            }
            Self::Artifact(error) => error.hint(),
            _ => None,
        }
    }

    /// The error for a binary to return, with its hint where [`longtail_artifact::run_main`] looks for it, or the interruption.
    pub fn explained(self) -> anyhow::Error {
        match self {
            Self::Interrupted => Interrupted.into(),
            error => {
                let hint = error.hint();
                explained(error, hint)
            }
        }
    }
}

fn join(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}
