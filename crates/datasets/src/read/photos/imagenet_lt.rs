//! ImageNet-LT: three official lists over the images of ILSVRC 2012.
//!
//! The lists are `relative/path.JPEG label` (protocol.md §2). Those of training and validation images point into `train/WNID/`.
//! The test list is the 50,000 validation images of ILSVRC 2012, which some repositories list as `val/WNID/FILE` (CB, OLTR, BALMS,
//! PaCo) and some as `val/FILE` (LADE, De-confound); people have unpacked them in either way too. Any list works with any disk.

use std::path::{Path, PathBuf};

use longtail_recipe::Dataset;

use super::listing::{Listing, read_list};
use super::{PhotoSource, classes, fetch, hash_of, places};
use crate::error::DatasetError;
use crate::photo_files::Paths;
use crate::read::locate::{self, IMAGENET_LT};

/// The three lists, in the order train, val, test.
pub const LISTS: [&str; 3] = ["ImageNet_LT_train.txt", "ImageNet_LT_val.txt", "ImageNet_LT_test.txt"];

/// Folders, below DIR, that the lists lie in: the official archive's, and those of published repositories.
const LIST_FOLDERS: [&str; 7] =
    ["", "ImageNet_LT", "imagenet_lt", "data/ImageNet_LT", "data_txt/ImageNet_LT_v2", "data_txt", "lists"];
/// Folders, below DIR, that hold `train/` and `val/`: unpacked by hand, as Kaggle ships them, and as other programs want them.
const IMAGE_FOLDERS: [&str; 8] =
    ["", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC", "images", "ILSVRC2012", "imagenet", "imagenet/images"];

/// How the test images lie below `val/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `val/WNID/FILE`
    Nested,
    /// `val/FILE`
    Flat,
}

/// Reads the lists and finds the images.
///
/// # Errors
/// See [`super::read`].
pub fn read(dir: Option<&Path>) -> Result<PhotoSource, DatasetError> {
    let roots = locate::candidates(&IMAGENET_LT, dir);
    let found = places::first(&roots, &LIST_FOLDERS, |folder| LISTS.iter().any(|name| folder.join(name).is_file()));
    let Some(folder) = found else {
        let images = places::first(&roots, &IMAGE_FOLDERS, |folder| folder.join("train").is_dir());
        return Err(fetch::no_lists(&IMAGENET_LT, dir, &roots, images.as_deref()));
    };
    let [train, val, test] = LISTS.map(|name| folder.join(name));
    if let Some(missing) = [&train, &val, &test].into_iter().find(|path| !path.is_file()) {
        return Err(fetch::incomplete(&IMAGENET_LT, missing.clone(), &folder));
    }
    let (train, val, listed_test) = (read_list(&train)?, read_list(&val)?, read_list(&test)?);
    train.check_distinct(&[&val, &listed_test])?;
    val.check_distinct(&[&listed_test])?;
    let num_classes = classes::count(&train, &[&val, &listed_test])?;
    let class_names = classes::names(num_classes, &[&train, &val, &listed_test], wnid)?;
    rewritten(&listed_test, &class_names, Form::Nested).check_distinct(&[])?; // one image in both forms
    let flat = rewritten(&listed_test, &class_names, Form::Flat);
    let hash = hash_of(&[("train", &train), ("val", &val), ("test", &flat)]);

    let train_root = places::first(&roots, &IMAGE_FOLDERS, |root| places::holds(root, &train.paths))
        .ok_or_else(|| fetch::no_images(&IMAGENET_LT, &folder, &roots, &train))?;
    // Beside the training images first, then anywhere.
    let test_roots: Vec<PathBuf> = std::iter::once(train_root.clone()).chain(roots.iter().cloned()).collect();
    let (test_root, form) = [Form::Nested, Form::Flat]
        .into_iter()
        .find_map(|form| {
            let written =
                |index: usize, path: &str| written(path, &class_names[listed_test.labels[index] as usize], form);
            let holds = |root: &Path| places::holds_each(root, &listed_test.paths, written);
            Some((places::first(&test_roots, &IMAGE_FOLDERS, holds)?, form))
        })
        .ok_or_else(|| fetch::no_images(&IMAGENET_LT, &folder, &roots, &listed_test))?;
    let form_words = match form {
        Form::Nested => "val/WNID/FILE",
        Form::Flat => "val/FILE",
    };
    Ok(PhotoSource {
        dataset: Dataset::ImagenetLt,
        layout: format!(
            "lists in {}, images in {}, test images as {form_words} in {}",
            folder.display(),
            train_root.display(),
            test_root.display()
        ),
        test: rewritten(&listed_test, &class_names, form),
        train,
        val: Some(val),
        train_root,
        test_root,
        class_names,
        notes: Vec::new(),
        hash,
    })
}

/// The WordNet id in `train/WNID/FILE` or `val/WNID/FILE`.
fn wnid(path: &str) -> Option<&str> {
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("train" | "val"), Some(name), Some(_)) => Some(name),
        _ => None,
    }
}

/// A test path in one of the two forms; one that is in neither stays as it is.
fn written(path: &str, wnid: &str, form: Form) -> String {
    let mut parts = path.split('/');
    let file = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("val"), Some(file), None, None) | (Some("val"), Some(_), Some(file), None) => file,
        _ => return path.to_owned(),
    };
    match form {
        Form::Nested => format!("val/{wnid}/{file}"),
        Form::Flat => format!("val/{file}"),
    }
}

fn rewritten(listing: &Listing, class_names: &[String], form: Form) -> Listing {
    let mut paths = Paths::default();
    for (path, &label) in listing.paths.iter().zip(&listing.labels) {
        paths.push(&written(path, &class_names[label as usize], form));
    }
    Listing { paths, ..listing.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_paths_take_either_form() {
        for path in ["val/ILSVRC2012_val_00000001.JPEG", "val/n01440764/ILSVRC2012_val_00000001.JPEG"] {
            assert_eq!(written(path, "n01440764", Form::Flat), "val/ILSVRC2012_val_00000001.JPEG");
            assert_eq!(written(path, "n01440764", Form::Nested), "val/n01440764/ILSVRC2012_val_00000001.JPEG");
        }
        assert_eq!(written("other/x.JPEG", "n1", Form::Nested), "other/x.JPEG");
        assert_eq!((wnid("train/n1/a.JPEG"), wnid("val/a.JPEG"), wnid("x/n1/a")), (Some("n1"), None, None));
    }
}
