//! Encoded images on disk: where each is, and which line of which list named it.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::DatasetError;
use crate::pack::{Kind, Pack, PackPart, Packed};

/// No photo of a data set has so many bytes; a larger file is something else.
const LARGEST_FILE: u64 = 1 << 29;

/// Many relative paths in one allocation: half a million of them take 30 MB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    text: String,
    ends: Vec<usize>,
}

impl Paths {
    /// Adds one at the end.
    pub fn push(&mut self, path: &str) {
        self.text.push_str(path);
        self.ends.push(self.text.len());
    }

    /// Number of paths.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Path number `index`.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn get(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start..self.ends[index]]
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index))
    }
}

impl<'a> FromIterator<&'a str> for Paths {
    fn from_iter<T: IntoIterator<Item = &'a str>>(paths: T) -> Self {
        let mut all = Self::default();
        paths.into_iter().for_each(|path| all.push(path));
        all
    }
}

/// What names the images: how its entries are counted in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A text file, one image a line.
    List(PathBuf),
    /// A JSON file; entries of `images` are counted from 1.
    Json(PathBuf),
    /// The folder tree itself.
    Tree(PathBuf),
}

impl Origin {
    /// The list, or the folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::List(path) | Self::Json(path) | Self::Tree(path) => path,
        }
    }

    /// Where entry `number` stands, in words; nothing for a folder tree.
    pub fn place(&self, number: u32) -> String {
        match self {
            Self::List(path) => format!("line {number} of `{}`", path.display()),
            Self::Json(path) => format!("image {number} of `{}`", path.display()),
            Self::Tree(_) => String::new(),
        }
    }
}

/// Why an image cannot be read, seen without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Absence {
    /// Nothing is there.
    Missing,
    /// A file without a byte.
    Empty,
    /// A folder, or another thing that is no file.
    NoFile,
    /// The system does not let one look.
    Unreachable,
    /// The pack was made without it.
    NotPacked,
}

impl Absence {
    /// Every one, in the order in which they are counted.
    pub const ALL: [Self; 5] = [Self::Missing, Self::Empty, Self::NoFile, Self::Unreachable, Self::NotPacked];

    /// What is wrong with one image.
    pub fn of_one(self) -> &'static str {
        match self {
            Self::Missing => "there is no such file",
            Self::Empty => "the file is empty",
            Self::NoFile => "it is no file",
            Self::Unreachable => "the file cannot be reached: may you read its folders?",
            Self::NotPacked => "it is not in the pack: delete the pack and make it again",
        }
    }

    /// What is wrong with `count` of the lists' images.
    pub fn of_many(self, count: usize) -> String {
        let (images, are) = if count == 1 { ("image", "is") } else { ("images", "are") };
        let rest = match self {
            Self::Missing => "not on disk",
            Self::Empty if count == 1 => "an empty file",
            Self::Empty => "empty files",
            Self::NoFile => "no file",
            Self::Unreachable => "out of reach",
            Self::NotPacked => "not in the pack",
        };
        format!("{count} {images} of the lists {are} {rest}")
    }
}

/// The files of a set, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhotoFiles {
    root: PathBuf,
    paths: Paths,
    /// Each with the position after its last image.
    origins: Vec<(Origin, usize)>,
    /// Of each image, in its origin.
    numbers: Vec<u32>,
    /// Where the encoded bytes are, if not in the files themselves.
    pack: Option<PackPart>,
}

impl PhotoFiles {
    /// No files yet, below `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), paths: Paths::default(), origins: Vec::new(), numbers: Vec::new(), pack: None }
    }

    /// Adds all images of one origin. `numbers`: the entry of each.
    ///
    /// # Panics
    /// If there are not as many numbers as paths.
    pub fn extend<'a>(&mut self, origin: Origin, paths: impl Iterator<Item = &'a str>, numbers: &[u32]) {
        paths.for_each(|path| self.paths.push(path));
        self.numbers.extend_from_slice(numbers);
        assert_eq!(self.paths.len(), self.numbers.len(), "an entry number for each path");
        self.origins.push((origin, self.paths.len()));
    }

    /// Takes the encoded bytes from a pack from now on.
    pub(crate) fn take_from(&mut self, pack: PackPart) {
        self.pack = Some(pack);
    }

    /// The pack that images are taken from, if they are.
    pub fn pack(&self) -> Option<&Pack> {
        self.pack.as_ref().map(|part| part.pack.as_ref())
    }

    /// Why image `index` cannot be read, as far as that is known without reading it; `None` where nothing is against it.
    pub fn absence(&self, index: usize) -> Option<Absence> {
        if let Some(PackPart { pack, first }) = &self.pack {
            return (pack.entry(first + index).kind != Kind::Image).then_some(Absence::NotPacked);
        }
        match std::fs::metadata(self.path(index)) {
            Ok(file) if !file.is_file() => Some(Absence::NoFile),
            Ok(file) if file.len() == 0 => Some(Absence::Empty),
            Ok(_) => None,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(Absence::Missing),
            Err(_) => Some(Absence::Unreachable),
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The folder that all paths start from.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of image `index` below [`PhotoFiles::root`].
    ///
    /// # Panics
    /// If there is no such image; so in all methods below.
    pub fn relative(&self, index: usize) -> &str {
        self.paths.get(index)
    }

    /// The whole path of image `index`.
    pub fn path(&self, index: usize) -> PathBuf {
        self.root.join(self.paths.get(index))
    }

    /// Where image `index` was named, in words: `line 17 of …`; nothing for a folder tree.
    pub fn place(&self, index: usize) -> String {
        let origin = self.origins.iter().find(|(_, end)| index < *end);
        origin.map_or_else(String::new, |(origin, _)| origin.place(self.numbers[index]))
    }

    /// Reads the encoded bytes of image `index` into `bytes`, whatever was there before.
    ///
    /// # Errors
    /// The file cannot be read, or has over 512 MB, or the pack says that it was bad: [`DatasetError::BadImage`]. A damaged
    /// pack: [`DatasetError::Pack`].
    pub fn read(&self, index: usize, bytes: &mut Vec<u8>) -> Result<(), DatasetError> {
        bytes.clear();
        if let Some(PackPart { pack, first }) = &self.pack {
            return match pack.get(first + index)? {
                Packed::Image(encoded) => {
                    bytes.extend_from_slice(encoded);
                    Ok(())
                }
                Packed::Bad(problem) => Err(self.bad(index, &problem)),
            };
        }
        let mut read = || -> std::io::Result<u64> {
            let file = std::fs::File::open(self.path(index))?;
            let size = file.metadata()?.len();
            if size <= LARGEST_FILE {
                bytes.reserve(size as usize);
                file.take(LARGEST_FILE).read_to_end(bytes)?;
            }
            Ok(size)
        };
        match read() {
            Ok(size) if size > LARGEST_FILE => Err(self.bad(index, &format!("{size} bytes are too many for a photo"))),
            Ok(_) => Ok(()),
            Err(error) => Err(self.bad(index, &error)),
        }
    }

    /// The error of image `index`: its path, where it was named, and the problem.
    pub fn bad(&self, index: usize, problem: &dyn std::fmt::Display) -> DatasetError {
        let place = self.place(index);
        DatasetError::BadImage {
            path: self.path(index),
            place: if place.is_empty() { place } else { format!(" ({place})") },
            problem: problem.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_knows_its_path_and_its_line() {
        let mut files = PhotoFiles::new(Path::new("/data"));
        files.extend(Origin::List("train.txt".into()), ["a/1.JPEG", "b/2.JPEG"].into_iter(), &[1, 3]);
        files.extend(Origin::Tree("/data/val".into()), ["val/c.png"].into_iter(), &[0]);
        assert_eq!((files.len(), files.path(1)), (3, PathBuf::from("/data/b/2.JPEG")));
        assert_eq!(files.place(1), "line 3 of `train.txt`");
        let error = files.read(1, &mut Vec::new()).expect_err("there is no such file").to_string();
        assert!(error.starts_with("`/data/b/2.JPEG` (line 3 of `train.txt`): No such file"), "{error}");
        let error = files.read(2, &mut Vec::new()).expect_err("there is no such file").to_string();
        assert!(error.starts_with("`/data/val/c.png`: No such file"), "{error}");
    }
}
