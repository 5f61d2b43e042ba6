//! A plain tree of photos, one folder a class.

use std::path::Path;

use longtail_recipe::Dataset;

use super::listing::Listing;
use super::{PhotoSource, fetch, hash_of, places, tree};
use crate::error::DatasetError;
use crate::read::locate::{self, IMAGE_FOLDER};

/// Reads the names in `DIR/train`, `DIR/test` and `DIR/val`. Without `test/`, `val/` is the test set and nothing is left for
/// validation.
///
/// # Errors
/// See [`super::read`].
pub fn read(dir: Option<&Path>) -> Result<PhotoSource, DatasetError> {
    let roots = locate::candidates(&IMAGE_FOLDER, dir);
    let Some(root) = places::first(&roots, &[""], |folder| folder.join("train").is_dir()) else {
        return Err(fetch::no_lists(&IMAGE_FOLDER, dir, &roots, None));
    };
    let class_names = tree::classes(&root.join("train"))?;
    let (train, mut passed_over) = tree::read_part(&root, "train", &class_names, true)?;
    let (has_test, has_val) = (root.join("test").is_dir(), root.join("val").is_dir());
    if !has_test && !has_val {
        return Err(fetch::incomplete(&IMAGE_FOLDER, root.join("test"), &root.join("train")));
    }
    let mut more = |part: &str| -> Result<Listing, DatasetError> {
        let (listing, others) = tree::read_part(&root, part, &class_names, false)?;
        passed_over.add(&others);
        Ok(listing)
    };
    let test = more(if has_test { "test" } else { "val" })?;
    let val = if has_test && has_val { Some(more("val")?) } else { None };
    let mut parts = vec![("train", &train)];
    parts.extend(val.iter().map(|val| ("val", val)));
    parts.push(("test", &test));
    let mut notes = Vec::new();
    if !has_test {
        notes.push("there is no `test/`: `val/` is the test set, and there are no validation images".to_owned());
    }
    if !passed_over.is_empty() {
        notes.push(format!("passed over: {passed_over}"));
    }
    Ok(PhotoSource {
        dataset: Dataset::ImageFolder,
        hash: hash_of(&parts),
        layout: format!("one folder per class, in {}", root.display()),
        train,
        val,
        test,
        train_root: root.clone(),
        test_root: root,
        class_names,
        notes,
    })
}
