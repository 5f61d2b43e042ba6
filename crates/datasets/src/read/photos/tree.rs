//! A plain tree of photos: `train/CLASS/*`, `test/CLASS/*`, and perhaps `val/CLASS/*`.

use std::path::Path;

use super::listing::Listing;
use crate::error::DatasetError;
use crate::photo_files::Origin;

/// Endings of files that are images, in any case.
const ENDINGS: [&str; 3] = ["jpg", "jpeg", "png"];
/// Folders inside a class folder are gone through so deep.
const DEEPEST: usize = 8;

/// Class folders of `folder`, sorted by name, byte by byte. Names that begin with a dot are skipped.
///
/// # Errors
/// The folder cannot be read, a name is not UTF-8, or there is no class folder.
pub fn classes(folder: &Path) -> Result<Vec<String>, DatasetError> {
    let classes = entries(folder)?.into_iter().filter(|name| folder.join(name).is_dir()).collect::<Vec<_>>();
    if classes.is_empty() {
        let problem = "has no folder of a class in it: expected one folder a class, with its images".to_owned();
        return Err(DatasetError::List { file: folder.to_owned(), line: None, problem });
    }
    Ok(classes)
}

/// The images of `root/part/CLASS/`, class after class, sorted by path within a class; the label is the position in `classes`.
///
/// # Errors
/// A folder cannot be read, a name is not UTF-8, a class folder that `classes` lacks, or (with `all`) one without any image.
pub fn read_part(root: &Path, part: &str, class_names: &[String], all: bool) -> Result<Listing, DatasetError> {
    let folder = root.join(part);
    let bad = |problem: String| Err(DatasetError::List { file: folder.clone(), line: None, problem });
    if let Some(unknown) = classes(&folder)?.iter().find(|name| class_names.binary_search(name).is_err()) {
        return bad(format!("the class `{unknown}` is not a folder of `train/`, so nothing could be learned of it"));
    }
    let mut listing = Listing::new(Origin::Tree(folder.clone()));
    for (label, class) in (0..).zip(class_names) {
        let mut images = Vec::new();
        let below = format!("{part}/{class}");
        if root.join(&below).is_dir() {
            collect(root, &below, 0, &mut images)?;
        }
        if images.is_empty() && all {
            return bad(format!(
                "the folder `{class}` has no image ({})",
                ENDINGS.map(|end| format!(".{end}")).join(", ")
            ));
        }
        images.sort_unstable();
        images.iter().for_each(|path| listing.push(path, label, 0));
    }
    if listing.is_empty() {
        return bad("has no image".to_owned());
    }
    Ok(listing)
}

fn collect(root: &Path, below: &str, depth: usize, images: &mut Vec<String>) -> Result<(), DatasetError> {
    for name in entries(&root.join(below))? {
        let path = format!("{below}/{name}");
        if root.join(&path).is_dir() {
            if depth == DEEPEST {
                let problem = format!("folders lie more than {DEEPEST} deep; does a link lead back to one above?");
                return Err(DatasetError::List { file: root.join(&path), line: None, problem });
            }
            collect(root, &path, depth + 1, images)?;
        } else if let Some((_, ending)) = name.rsplit_once('.')
            && ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
        {
            images.push(path);
        }
    }
    Ok(())
}

/// Names in a folder, sorted, because a folder's own order is the file system's; hidden ones left out.
fn entries(folder: &Path) -> Result<Vec<String>, DatasetError> {
    let unreadable = |cause| DatasetError::Read { path: folder.to_owned(), cause };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        match name.to_str() {
            Some(name) if name.starts_with('.') => {}
            Some(name) => names.push(name.to_owned()),
            None => {
                let problem = format!("the name `{}` is not UTF-8", name.to_string_lossy());
                return Err(DatasetError::List { file: folder.to_owned(), line: None, problem });
            }
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temporary folder");
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            std::fs::write(path, []).expect("file");
        }
        folder
    }

    #[test]
    fn classes_and_files_are_sorted_whatever_order_they_were_made_in() {
        let files = ["train/b/2.PNG", "train/a/x.jpeg", "train/b/10.JPEG", "train/b/deep/1.jpg", "train/a/.DS_Store"];
        let mut backwards = files;
        backwards.reverse();
        let read = |files: &[&str]| {
            let folder = tree(files);
            let names = classes(&folder.path().join("train")).expect("classes");
            let listing = read_part(folder.path(), "train", &names, true).expect("a good tree");
            (names, listing.labels, listing.paths)
        };
        let (names, labels, paths) = read(&files);
        assert_eq!(
            (names.as_slice(), labels.as_slice()),
            (["a".to_owned(), "b".to_owned()].as_slice(), [0, 1, 1, 1].as_slice())
        );
        let expected = ["train/a/x.jpeg", "train/b/10.JPEG", "train/b/2.PNG", "train/b/deep/1.jpg"];
        assert_eq!(paths.iter().collect::<Vec<_>>(), expected);
        assert_eq!(read(&backwards).2, paths);
    }

    #[test]
    fn classes_without_images_and_strangers_are_named() {
        let folder = tree(&["train/a/1.jpg", "train/b/notes.txt", "test/c/1.jpg"]);
        let names = classes(&folder.path().join("train")).expect("classes");
        let message = |part| read_part(folder.path(), part, &names, true).expect_err("bad").to_string();
        assert!(message("train").contains("the folder `b` has no image (.jpg, "), "{}", message("train"));
        assert!(message("test").contains("the class `c` is not a folder of `train/`"), "{}", message("test"));
        assert!(
            classes(folder.path().join("train/a").as_path())
                .expect_err("files")
                .to_string()
                .contains("no folder of a class")
        );
    }
}
