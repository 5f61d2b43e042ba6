//! iNaturalist 2018: from lists, or from the JSON files of the competition. Its validation list is the test set (protocol.md §3).

use std::path::Path;

use longtail_recipe::Dataset;

use super::coco::read_coco;
use super::listing::{Listing, read_list};
use super::{PhotoSource, classes, fetch, hash_of, places};
use crate::error::DatasetError;
use crate::read::locate::{self, INATURALIST2018};

/// The lists that classifier-balancing's `gen_lists.py` makes of the JSON files.
const LISTS: [&str; 2] = ["iNaturalist18_train.txt", "iNaturalist18_val.txt"];
/// The competition's own files.
const JSON: [&str; 2] = ["train2018.json", "val2018.json"];
const LIST_FOLDERS: [&str; 7] =
    ["", "iNaturalist18", "inaturalist18", "data/iNaturalist18", "data_txt", "annotations", "lists"];
const IMAGE_FOLDERS: [&str; 3] = ["", "images", "iNaturalist18"];

/// Reads the lists, or the JSON files where there are no lists, and finds the images.
///
/// # Errors
/// See [`super::read`].
pub fn read(dir: Option<&Path>) -> Result<PhotoSource, DatasetError> {
    let roots = locate::candidates(&INATURALIST2018, dir);
    type Reader = fn(&Path) -> Result<Listing, DatasetError>;
    let kinds: [([&str; 2], Reader); 2] = [(LISTS, read_list), (JSON, read_coco)];
    let found = kinds.into_iter().find_map(|(names, read)| {
        let folder =
            places::first(&roots, &LIST_FOLDERS, |folder| names.iter().any(|name| folder.join(name).is_file()))?;
        Some((folder, names, read))
    });
    let Some((folder, names, read)) = found else {
        let images = places::first(&roots, &IMAGE_FOLDERS, |folder| folder.join("train_val2018").is_dir());
        return Err(fetch::no_lists(&INATURALIST2018, dir, &roots, images.as_deref()));
    };
    let [train, test] = names.map(|name| folder.join(name));
    if let Some(missing) = [&train, &test].into_iter().find(|path| !path.is_file()) {
        return Err(fetch::incomplete(&INATURALIST2018, missing.clone(), &folder));
    }
    let (train, test) = (read(&train)?, read(&test)?);
    train.check_distinct(&[&test])?;
    let num_classes = classes::count(&train, &[&test])?;
    let class_names = classes::names(num_classes, &[&train, &test], class_folder)?;
    let hash = hash_of(&[("train", &train), ("test", &test)]);
    let root = places::first(&roots, &IMAGE_FOLDERS, |root| places::holds(root, &train.paths))
        .ok_or_else(|| fetch::no_images(&INATURALIST2018, &folder, &roots, &train))?;
    Ok(PhotoSource {
        dataset: Dataset::Inaturalist2018,
        layout: format!("{} and {} in {}, images in {}", names[0], names[1], folder.display(), root.display()),
        train,
        val: None,
        test,
        train_root: root.clone(),
        test_root: root,
        class_names,
        notes: Vec::new(),
        hash,
    })
}

/// `Aves/2761` in `train_val2018/Aves/2761/HASH.jpg`.
fn class_folder(path: &str) -> Option<&str> {
    let (folder, _) = path.rsplit_once('/')?;
    folder.split_once('/').map(|(_, class)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_called_by_its_folders() {
        assert_eq!(class_folder("train_val2018/Aves/2761/ab.jpg"), Some("Aves/2761"));
        assert_eq!((class_folder("a.jpg"), class_folder("x/a.jpg")), (None, None));
    }
}
