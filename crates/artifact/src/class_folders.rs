//! Folders of photographs, `DIR/train/CLASS/*`: which files are JPEG or PNG, and what else lies there.
//!
//! It stands here because the reader of such a folder and the plan, which is made before anything is built, must say the same.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::ArtifactError;

/// The bytes that every JPEG begins with.
pub const JPEG_START: &[u8] = &[0xFF, 0xD8, 0xFF];
/// The bytes that every PNG begins with.
pub const PNG_START: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Endings, in any case, of files that are taken for photographs without a look inside.
const ENDINGS: [&str; 3] = ["jpg", "jpeg", "png"];
/// The longest that counts as an ending: more is a name with a dot in it.
const LONGEST_ENDING: usize = 8;
/// Endings that are named in one line; the rest are counted together.
const NAMED: usize = 8;
/// Folders inside a class folder are gone through so deep.
const DEEPEST: usize = 8;

/// Files that are not read, by why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// Neither JPEG nor PNG, by ending in small letters; under the empty name those without one.
    pub not_photos: BTreeMap<String, u64>,
    /// Files and folders whose names begin with a dot.
    pub hidden: u64,
    /// Files beside the class folders instead of in them.
    pub outside: u64,
    /// Files that could not be opened, so that nobody knows what they are.
    pub unreadable: u64,
}

impl PassedOver {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds those of another folder.
    pub fn add(&mut self, other: &Self) {
        for (ending, count) in &other.not_photos {
            *self.not_photos.entry(ending.clone()).or_default() += count;
        }
        self.hidden += other.hidden;
        self.outside += other.outside;
        self.unreadable += other.unreadable;
    }
}

/// `4 .webp, 2 .gif (not JPEG or PNG), 1 hidden`: the most frequent ending first.
impl std::fmt::Display for PassedOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut endings: Vec<(&str, u64)> =
            self.not_photos.iter().map(|(ending, count)| (ending.as_str(), *count)).collect();
        endings.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut words: Vec<String> = endings
            .iter()
            .take(NAMED)
            .map(|(ending, count)| match *ending {
                "" => format!("{count} without an extension"),
                ending => format!("{count} .{ending}"),
            })
            .collect();
        let others: u64 = endings.iter().skip(NAMED).map(|(_, count)| count).sum();
        if others > 0 {
            words.push(format!("{others} with other extensions"));
        }
        if let Some(last) = words.last_mut() {
            last.push_str(" (not JPEG or PNG)");
        }
        for (count, what) in [
            (self.hidden, "hidden"),
            (self.outside, "outside class folders"),
            (self.unreadable, "that cannot be opened"),
        ] {
            if count > 0 {
                words.push(format!("{count} {what}"));
            }
        }
        f.write_str(&words.join(", "))
    }
}

/// Class folders of `folder`, sorted by name, byte by byte, and what lies beside them. Names that begin with a dot are none.
///
/// # Errors
/// The folder cannot be read, a class folder's name is not UTF-8, or there is no class folder.
pub fn class_folders(folder: &Path) -> Result<(Vec<String>, PassedOver), ArtifactError> {
    let (mut classes, mut passed_over) = (Vec::new(), PassedOver::default());
    for entry in entries(folder)? {
        let name = entry.file_name();
        if is_hidden(&entry) {
            passed_over.hidden += 1;
        } else if is_folder(&entry) {
            let name = name.to_str().ok_or_else(|| not_utf8(&entry))?;
            classes.push(name.to_owned());
        } else {
            passed_over.outside += 1;
        }
    }
    if classes.is_empty() {
        let problem = "has no class folders: expected one folder of images for each class".to_owned();
        return Err(ArtifactError::Folder { path: folder.to_owned(), problem });
    }
    classes.sort_unstable();
    Ok((classes, passed_over))
}

/// The photographs below `root/below`, in any depth, as sorted paths from `root` with `/` between names. A file that is called
/// `.jpg`, `.jpeg` or `.png` is one; any other is one if its first bytes say so.
///
/// # Errors
/// A folder cannot be read or lies too deep, a photograph's or a folder's name is not UTF-8.
pub fn photographs(root: &Path, below: &str) -> Result<(Vec<String>, PassedOver), ArtifactError> {
    let (mut photos, mut passed_over) = (Vec::new(), PassedOver::default());
    collect(root, below, 0, &mut photos, &mut passed_over)?;
    photos.sort_unstable();
    Ok((photos, passed_over))
}

/// What is passed over in `DIR/train`, `DIR/val` and `DIR/test`, as far as they are there.
///
/// # Errors
/// Those of [`class_folders`] and [`photographs`].
pub fn passed_over(root: &Path) -> Result<PassedOver, ArtifactError> {
    let mut all = PassedOver::default();
    for part in ["train", "val", "test"].into_iter().filter(|part| root.join(part).is_dir()) {
        let (classes, beside) = class_folders(&root.join(part))?;
        all.add(&beside);
        for class in classes {
            all.add(&photographs(root, &format!("{part}/{class}"))?.1);
        }
    }
    Ok(all)
}

fn collect(
    root: &Path,
    below: &str,
    depth: usize,
    photos: &mut Vec<String>,
    passed_over: &mut PassedOver,
) -> Result<(), ArtifactError> {
    for entry in entries(&root.join(below))? {
        let name = entry.file_name();
        if is_hidden(&entry) {
            passed_over.hidden += 1;
            continue;
        }
        let path = || name.to_str().map(|name| format!("{below}/{name}")).ok_or_else(|| not_utf8(&entry));
        if is_folder(&entry) {
            if depth == DEEPEST {
                let problem =
                    format!("folders are nested more than {DEEPEST} deep; does a link point back to a parent folder?");
                return Err(ArtifactError::Folder { path: entry.path(), problem });
            }
            collect(root, &path()?, depth + 1, photos, passed_over)?;
            continue;
        }
        let ending = ending(&name.to_string_lossy());
        if ENDINGS.contains(&ending.as_str()) {
            // A pipe or a device under such a name would be waited for without end.
            match is_no_file(&entry) {
                true => passed_over.unreadable += 1,
                false => photos.push(path()?),
            }
            continue;
        }
        match starts_as_photo(&entry.path()) {
            Ok(true) => photos.push(path()?),
            Ok(false) => *passed_over.not_photos.entry(ending).or_default() += 1,
            Err(_) => passed_over.unreadable += 1,
        }
    }
    Ok(())
}

/// What follows the last dot, in small letters; nothing where that is no ending.
fn ending(name: &str) -> String {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let is_ending = ending.len() <= LONGEST_ENDING && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_ending { ending.to_ascii_lowercase() } else { String::new() }
}

/// Whether an entry is known to be something else than a file. A link that leads nowhere is not: its absence is said later.
fn is_no_file(entry: &DirEntry) -> bool {
    let is_plain = entry.file_type().is_ok_and(|kind| kind.is_file());
    !is_plain && std::fs::metadata(entry.path()).is_ok_and(|found| !found.is_file())
}

/// Whether a file begins as a JPEG or a PNG does. A pipe or a device does not: opening it could wait for ever.
fn starts_as_photo(path: &Path) -> std::io::Result<bool> {
    if !std::fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut start = Vec::with_capacity(PNG_START.len());
    std::fs::File::open(path)?.take(PNG_START.len() as u64).read_to_end(&mut start)?;
    Ok(start.starts_with(JPEG_START) || start == PNG_START)
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>, ArtifactError> {
    let unreadable = |source| ArtifactError::Io { action: "read", path: folder.to_owned(), source };
    std::fs::read_dir(folder).map_err(unreadable)?.map(|entry| entry.map_err(unreadable)).collect()
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

/// Also a link to one. Of most entries the folder itself says it, and the file is not asked.
fn is_folder(entry: &DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if !kind.is_symlink() => kind.is_dir(),
        _ => entry.path().is_dir(),
    }
}

fn not_utf8(entry: &DirEntry) -> ArtifactError {
    let folder = entry.path().parent().map_or_else(PathBuf::new, Path::to_owned);
    let problem = format!("the name `{}` is not UTF-8", entry.file_name().to_string_lossy());
    ArtifactError::Folder { path: folder, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temporary folder");
        for (file, bytes) in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            std::fs::write(path, bytes).expect("file");
        }
        folder
    }

    #[test]
    fn classes_and_photographs_are_sorted_whatever_order_they_were_made_in() {
        let mut files: Vec<(&str, &[u8])> =
            ["train/b/2.PNG", "train/b/10.JPEG", "train/b/deep/1.jpg", "train/a/x.jpeg"]
                .map(|file| (file, &[][..]))
                .into();
        let read = |files: &[(&str, &[u8])]| {
            let folder = tree(files);
            let classes = class_folders(&folder.path().join("train")).expect("classes").0;
            (classes, photographs(folder.path(), "train/b").expect("a good tree"))
        };
        let found = read(&files);
        assert_eq!(found.0, ["a", "b"]);
        assert_eq!(found.1.0, ["train/b/10.JPEG", "train/b/2.PNG", "train/b/deep/1.jpg"]);
        assert!(found.1.1.is_empty());
        files.reverse();
        assert_eq!(read(&files), found);
    }

    #[test]
    fn first_bytes_decide_where_the_ending_does_not() {
        let folder = tree(&[
            ("train/a/1.jfif", b"\xFF\xD8\xFF\xE0rest"),
            ("train/a/2", b"\xFF\xD8\xFF"),
            ("train/a/3.webp", b"\x89PNG\r\n\x1a\n\0"),
            ("train/a/4.WEBP", b"RIFF1234WEBP"),
            ("train/a/5.webp", b"RIFF1234WEBP"),
            ("train/a/deep/6.gif", b"GIF89a"),
            ("train/a/7", b"\x89PNG"),
            ("train/a/8.a name, no ending", b""),
            ("train/a/9.jpg", b"not looked at"),
            ("train/a/.DS_Store", b""),
            ("train/a/.10.jpg", b"\xFF\xD8\xFF"),
            ("train/11.jpg", b"\xFF\xD8\xFF"),
        ]);
        let (photos, passed) = photographs(folder.path(), "train/a").expect("a good tree");
        assert_eq!(photos, ["train/a/1.jfif", "train/a/2", "train/a/3.webp", "train/a/9.jpg"]);
        let counts: Vec<(&str, u64)> =
            passed.not_photos.iter().map(|(ending, count)| (ending.as_str(), *count)).collect();
        assert_eq!((counts.as_slice(), passed.hidden), (&[("", 2), ("gif", 1), ("webp", 2)][..], 2));
        let words = passed_over(folder.path()).expect("a good tree").to_string();
        assert_eq!(
            words,
            "2 without an extension, 2 .webp, 1 .gif (not JPEG or PNG), 2 hidden, 1 outside class folders"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_with_a_photographs_name_is_passed_over_and_never_opened() {
        let folder = tree(&[("train/a/1.jpg", b"x")]);
        let made = std::process::Command::new("mkfifo").arg(folder.path().join("train/a/2.jpg")).status();
        assert!(made.expect("mkfifo is there").success());
        let (photos, passed_over) = photographs(folder.path(), "train/a").expect("readable");
        assert_eq!(photos, ["train/a/1.jpg"]);
        assert_eq!(passed_over, PassedOver { unreadable: 1, ..PassedOver::default() });
    }

    #[test]
    fn many_endings_fit_one_line() {
        let not_photos = (0..20).map(|number| (format!("e{number:02}"), 1)).collect();
        let words = PassedOver { not_photos, ..PassedOver::default() }.to_string();
        assert!(words.ends_with("1 .e07, 12 with other extensions (not JPEG or PNG)"), "{words}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_a_circle_ends() {
        let folder = tree(&[("train/a/1.jpg", b""), ("elsewhere/2.jpg", b"")]);
        let path = folder.path();
        std::os::unix::fs::symlink(path.join("elsewhere"), path.join("train/b")).expect("a link");
        std::os::unix::fs::symlink("nowhere", path.join("train/a/broken.txt")).expect("a link");
        assert_eq!(class_folders(&path.join("train")).expect("classes").0, ["a", "b"]);
        assert_eq!(photographs(path, "train/b").expect("a link").0, ["train/b/2.jpg"]);
        assert_eq!(photographs(path, "train/a").expect("a broken link").1.unreadable, 1);
        std::os::unix::fs::symlink(path.join("train/a"), path.join("train/a/again")).expect("a link");
        assert!(photographs(path, "train/a").expect_err("a circle").to_string().contains("more than 8 deep"));
    }
}
