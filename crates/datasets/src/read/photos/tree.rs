//! A plain tree of photos: `train/CLASS/*`, `test/CLASS/*`, and perhaps `val/CLASS/*`.

use std::path::Path;

use longtail_artifact::class_folders::{PassedOver, class_folders, photographs};
use longtail_artifact::{ArtifactError, interrupted};

use super::listing::Listing;
use crate::error::DatasetError;
use crate::photo_files::Origin;

/// Class folders of `folder`; see [`class_folders`].
///
/// # Errors
/// As there.
pub fn classes(folder: &Path) -> Result<Vec<String>, DatasetError> {
    class_folders(folder).map(|(classes, _)| classes).map_err(in_words)
}

/// The images of `root/part/CLASS/`, class after class, sorted by path within a class, and what was passed over; the label is
/// the position in `class_names`.
///
/// # Errors
/// A folder cannot be read, a name is not UTF-8, a class folder that `class_names` lacks, or (with `all`) one without any image.
pub fn read_part(
    root: &Path,
    part: &str,
    class_names: &[String],
    all: bool,
) -> Result<(Listing, PassedOver), DatasetError> {
    let folder = root.join(part);
    let bad = |problem: String| Err(DatasetError::List { file: folder.clone(), line: None, problem });
    let (classes, mut passed_over) = class_folders(&folder).map_err(in_words)?;
    if let Some(unknown) = classes.iter().find(|name| class_names.binary_search(name).is_err()) {
        return bad(format!("the class `{unknown}` has no folder in `train/`, so it cannot be learned"));
    }
    let mut listing = Listing::new(Origin::Tree(folder.clone()));
    for (label, class) in (0..).zip(class_names).filter(|(_, class)| classes.binary_search(class).is_ok()) {
        if interrupted() {
            return Err(DatasetError::Interrupted);
        }
        let (images, others) = photographs(root, &format!("{part}/{class}")).map_err(in_words)?;
        if images.is_empty() && all {
            return bad(format!("the folder `{class}` has no JPEG or PNG file{}", instead(&others)));
        }
        passed_over.add(&others);
        images.iter().for_each(|path| listing.push(path, label, 0));
    }
    if listing.is_empty() {
        return bad(format!("has no JPEG or PNG file{}", instead(&passed_over)));
    }
    Ok((listing, passed_over))
}

/// What lies there instead of images.
fn instead(passed_over: &PassedOver) -> String {
    if passed_over.is_empty() { String::new() } else { format!("; passed over: {passed_over}") }
}

fn in_words(error: ArtifactError) -> DatasetError {
    match error {
        ArtifactError::Folder { path, problem } => DatasetError::List { file: path, line: None, problem },
        ArtifactError::Io { path, source, .. } => DatasetError::Read { path, cause: source },
        other => other.into(),
    }
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
    fn labels_are_positions_of_the_training_classes() {
        let folder = tree(&["train/a/1.jpg", "train/b/1.jpg", "train/c/1.jpg", "test/c/2.png", "test/a/notes.txt"]);
        let names = classes(&folder.path().join("train")).expect("classes");
        let (listing, passed_over) = read_part(folder.path(), "test", &names, false).expect("a good tree");
        assert_eq!((listing.labels, listing.paths.get(0)), (vec![2], "test/c/2.png"));
        assert_eq!(passed_over.to_string(), "1 .txt (not JPEG or PNG)");
    }

    #[test]
    fn classes_without_images_and_strangers_are_named() {
        let folder = tree(&["train/a/1.jpg", "train/b/notes.txt", "test/c/1.jpg"]);
        let names = classes(&folder.path().join("train")).expect("classes");
        let message = |part| read_part(folder.path(), part, &names, true).expect_err("bad").to_string();
        let expected = "the folder `b` has no JPEG or PNG file; passed over: 1 .txt (not JPEG or PNG)";
        assert!(message("train").ends_with(expected), "{}", message("train"));
        assert!(message("test").contains("the class `c` has no folder in `train/`"), "{}", message("test"));
        assert!(
            classes(folder.path().join("train/a").as_path())
                .expect_err("files")
                .to_string()
                .contains("no class folders")
        );
    }
}
