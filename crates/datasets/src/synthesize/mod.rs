//! Small trees of made-up photographs in the layouts of the published data sets, so that everything from the JPEG file to the
//! table can be tried, tested, killed and resumed without them.
//!
//! The same options give the same bytes, file by file: random numbers come from named streams, and pictures are made with
//! `+ − × ÷ √` alone, whose results IEEE 754 fixes. The classes' names are no WordNet identifiers that ImageNet uses.

mod encode;
mod imagenet_lt;
mod inaturalist;
mod profile;
mod scene;

use std::path::{Path, PathBuf};

use longtail_artifact::ArtifactError;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::DatasetError;
use encode::Form;
pub use profile::shot_groups;

/// The file that says that a tree is made up, and from what. xtask reads its `counts` for its estimates.
pub const MARKER: &str = "synthetic.json";

/// Which layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `train/<wnid>/<wnid>_<n>.JPEG`, `val/<wnid>/ILSVRC2012_val_<n>.JPEG`, `ImageNet_LT_{train,val,test}.txt`.
    ImagenetLt,
    /// `train_val2018/<Super>/<label>/<hash>.jpg`, `iNaturalist18_{train,val}.txt`, `{train,val}2018.json`.
    Inaturalist2018,
}

impl Layout {
    /// The recipe's word.
    pub fn dataset(self) -> &'static str {
        match self {
            Layout::ImagenetLt => "imagenet_lt",
            Layout::Inaturalist2018 => "inaturalist2018",
        }
    }
}

/// What tree to make.
#[derive(Debug, Clone)]
pub struct Options {
    /// The layout.
    pub layout: Layout,
    /// A folder that is empty, not there yet, or holds the tree of the same options.
    pub out: PathBuf,
    /// 2 to 10000.
    pub classes: usize,
    /// Images of the training list, at least 2 a class.
    pub train_images: usize,
    /// Images of each class in the validation list.
    pub val_per_class: usize,
    /// Images of each class in the test list; iNaturalist 2018 has none.
    pub test_per_class: usize,
    /// Seeds everything.
    pub seed: u64,
    /// Typical image side in pixels, 16 to 1024; sizes vary around it.
    pub side: usize,
}

impl Options {
    fn marker(&self) -> Value {
        json!({
            "what": "synthetic images in the layout of a published data set; not that data set",
            "made_by": "cargo xtask data synthesize",
            "generator": GENERATOR,
            "dataset": self.layout.dataset(),
            "classes": self.classes,
            "seed": self.seed,
            "side": self.side,
            "counts": {
                "train": self.train_images,
                "val": self.classes * self.val_per_class,
                "test": self.classes * self.test_per_class,
            },
        })
    }

    fn check(&self) -> Result<(), DatasetError> {
        let refuse = |what, problem: String| Err(DatasetError::Config { what, problem });
        if !(2..=10_000).contains(&self.classes) {
            return refuse("--classes", format!("{} is outside 2 to 10000", self.classes));
        }
        if self.train_images < 2 * self.classes || self.train_images > 10_000_000 {
            let least = 2 * self.classes;
            return refuse(
                "--train-images",
                format!("{} is outside {least} (two per class) to 10000000", self.train_images),
            );
        }
        if !(16..=1024).contains(&self.side) {
            return refuse("--side", format!("{} is outside 16 to 1024", self.side));
        }
        let per_class = [("--val-per-class", self.val_per_class), ("--test-per-class", self.test_per_class)];
        for (what, count) in per_class {
            if count > 10_000 {
                return refuse(what, format!("{count} is more than 10000"));
            }
        }
        Ok(())
    }
}

/// Raised when the same options begin to give other bytes.
const GENERATOR: u32 = 1;

/// One file of a tree: where it lies, and all that its picture is made from.
struct Picture {
    /// Relative to the tree.
    path: String,
    class: usize,
    /// Which picture of its class and part: the index of its random stream.
    index: usize,
    part: &'static str,
    form: Form,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Whether the tree was there already.
    pub was_there: bool,
    /// Training images by label.
    pub class_counts: Vec<usize>,
    /// Bytes of all pictures; 0 if they were there already.
    pub bytes: u64,
    /// Files, lists and marker included; 0 if they were there already.
    pub files: usize,
}

/// Writes the tree. The marker comes last: a tree without it is a torn one.
///
/// # Errors
/// Options out of range, a folder that holds something else, a file that cannot be written.
pub fn synthesize(options: &Options) -> Result<Summary, DatasetError> {
    options.check()?;
    let class_counts = profile::class_counts(options.classes, options.train_images, options.seed);
    if is_there(options)? {
        return Ok(Summary { was_there: true, class_counts, bytes: 0, files: 0 });
    }
    let tree = match options.layout {
        Layout::ImagenetLt => imagenet_lt::tree(options, &class_counts),
        Layout::Inaturalist2018 => inaturalist::tree(options, &class_counts),
    };
    let bytes = write_pictures(options, &tree.pictures)?;
    for (name, text) in &tree.lists {
        longtail_artifact::write_atomic(&options.out.join(name), text.as_bytes())?;
    }
    longtail_artifact::write_json_atomic(&options.out.join(MARKER), &options.marker())?;
    Ok(Summary { was_there: false, class_counts, bytes, files: tree.pictures.len() + tree.lists.len() + 1 })
}

/// Pictures and lists of a layout.
struct Tree {
    pictures: Vec<Picture>,
    /// Name and text.
    lists: Vec<(&'static str, String)>,
}

/// Whether `out` holds this very tree already.
fn is_there(options: &Options) -> Result<bool, DatasetError> {
    let out = &options.out;
    let refuse = |problem: String| Err(DatasetError::Config { what: "--out", problem });
    if let Ok(text) = std::fs::read(out.join(MARKER)) {
        if serde_json::from_slice::<Value>(&text).ok() == Some(options.marker()) {
            return Ok(true);
        }
        return refuse(format!(
            "`{}` holds a data set made with other options; remove it, or choose another folder",
            out.display()
        ));
    }
    let mut entries = match std::fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(io("list", out, source)),
    };
    if entries.next().is_some() {
        return refuse(format!("`{}` is not empty; choose a new folder", out.display()));
    }
    Ok(false)
}

/// In parallel; which thread makes a picture changes nothing in it.
fn write_pictures(options: &Options, pictures: &[Picture]) -> Result<u64, DatasetError> {
    let mut folders: Vec<&Path> = pictures.iter().filter_map(|picture| Path::new(&picture.path).parent()).collect();
    folders.sort_unstable();
    folders.dedup();
    for folder in folders {
        let folder = options.out.join(folder);
        std::fs::create_dir_all(&folder).map_err(|source| io("make the folder", &folder, source))?;
    }
    let sizes: Vec<u64> = pictures
        .par_iter()
        .map(|picture| {
            let bytes = bytes_of(options, picture);
            let path = options.out.join(&picture.path);
            std::fs::write(&path, &bytes).map_err(|source| io("write", &path, source))?;
            Ok(bytes.len() as u64)
        })
        .collect::<Result<_, DatasetError>>()?;
    Ok(sizes.iter().sum())
}

fn bytes_of(options: &Options, picture: &Picture) -> Vec<u8> {
    let purpose = format!("synthesize/{}", picture.part);
    let mut rng = longtail_ops::stream(options.seed, &purpose, picture.class as u64, picture.index as u64);
    let scene = scene::draw(picture.class, options.side, &mut rng);
    let quality = 80 + longtail_ops::below(&mut rng, 16) as u8;
    encode::encode(&scene, picture.form, quality)
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> DatasetError {
    ArtifactError::Io { action, path: path.to_owned(), source }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(out: &Path, layout: Layout) -> Options {
        Options {
            layout,
            out: out.join("tree"),
            classes: 5,
            train_images: 40,
            val_per_class: 2,
            test_per_class: 1,
            seed: 3,
            side: 24,
        }
    }

    fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                found.extend(files(&path));
            } else {
                let bytes = std::fs::read(&path).expect("a file");
                found.push((path, bytes));
            }
        }
        found.sort();
        found
    }

    #[test]
    fn the_same_options_give_the_same_bytes_on_any_number_of_threads() {
        for layout in [Layout::ImagenetLt, Layout::Inaturalist2018] {
            let (left, right) = (tempfile::tempdir().expect("temporary"), tempfile::tempdir().expect("temporary"));
            let summary = synthesize(&options(left.path(), layout)).expect("written");
            let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
            one.install(|| synthesize(&options(right.path(), layout))).expect("written");
            let relative = |root: &Path| -> Vec<(PathBuf, Vec<u8>)> {
                let strip = |path: PathBuf| path.strip_prefix(root).expect("below").to_owned();
                files(root).into_iter().map(|(path, bytes)| (strip(path), bytes)).collect()
            };
            let made = relative(left.path());
            assert!(made == relative(right.path()), "{layout:?}");
            assert_eq!(made.len(), summary.files);
            let other = Options { seed: 4, out: left.path().join("other"), ..options(left.path(), layout) };
            synthesize(&other).expect("written");
            assert!(relative(&left.path().join("tree")) != relative(&other.out), "the seed changes nothing");
        }
    }

    #[test]
    fn a_tree_is_made_once_and_nothing_else_is_overwritten() {
        let folder = tempfile::tempdir().expect("temporary");
        let first = options(folder.path(), Layout::ImagenetLt);
        assert!(!synthesize(&first).expect("written").was_there);
        assert!(synthesize(&first).expect("there").was_there);
        let other = Options { seed: 9, ..first };
        assert!(synthesize(&other).expect_err("another tree").to_string().contains("other options"));
        std::fs::remove_file(other.out.join(MARKER)).expect("there");
        assert!(synthesize(&other).expect_err("not ours").to_string().contains("not empty"));
    }

    #[test]
    fn options_out_of_range_are_named() {
        let folder = tempfile::tempdir().expect("temporary");
        let sound = options(folder.path(), Layout::ImagenetLt);
        for (wrong, word) in [
            (Options { classes: 1, ..sound.clone() }, "--classes"),
            (Options { train_images: 9, ..sound.clone() }, "--train-images"),
            (Options { side: 8, ..sound.clone() }, "--side"),
        ] {
            assert!(synthesize(&wrong).expect_err("out of range").to_string().starts_with(word));
        }
    }
}
