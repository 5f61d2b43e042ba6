//! iNaturalist's `train2018.json` and `val2018.json`: COCO's form, of which only file names and labels are kept.

use std::collections::HashMap;
use std::io::BufReader;
use std::path::Path;

use serde::Deserialize;

use super::listing::{Listing, check_path};
use crate::error::DatasetError;
use crate::photo_files::Origin;

/// Fields that are not named here are skipped while the file is read, so memory holds names and numbers only.
#[derive(Deserialize)]
struct Coco {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: i64,
}

/// Reads such a file: images in the order of `images`, each with the category of its annotation as its label.
///
/// # Errors
/// The file cannot be read or is not of this form (with line and column); an image without an annotation or with two; an
/// annotation of no image; a path or label that makes no sense.
///
/// # Source
/// The order is that of classifier-balancing's `gen_lists.py`, which pairs the two arrays by position and asserts that their
/// ids agree; we pair them by id.
pub fn read_coco(path: &Path) -> Result<Listing, DatasetError> {
    let file = std::fs::File::open(path).map_err(|cause| DatasetError::Read { path: path.to_owned(), cause })?;
    let bad = |problem: String| DatasetError::List { file: path.to_owned(), line: None, problem };
    let coco: Coco = serde_json::from_reader(BufReader::with_capacity(1 << 20, file)).map_err(|error| {
        bad(format!(
            "expected `images` with `id` and `file_name`, and `annotations` with `image_id` and `category_id`: {error}"
        ))
    })?;
    let mut labels: HashMap<u64, i64> = HashMap::with_capacity(coco.annotations.len());
    for Annotation { image_id, category_id } in &coco.annotations {
        if labels.insert(*image_id, *category_id).is_some() {
            return Err(bad(format!("image_id {image_id} has two annotations")));
        }
    }
    let mut listing = Listing::new(Origin::Json(path.to_owned()));
    for (number, image) in (1..).zip(&coco.images) {
        let bad = |problem: String| bad(format!("image {number}, id {}: {problem}", image.id));
        let label =
            labels.remove(&image.id).ok_or_else(|| bad("has no annotation, or its id occurs twice".to_owned()))?;
        let label = u32::try_from(label).ok().filter(|label| *label < 1_000_000);
        let label = label.ok_or_else(|| bad("its category_id is not from 0 to 999999".to_owned()))?;
        listing.push(check_path(&image.file_name).map_err(bad)?, label, number);
    }
    // The smallest, so that the message does not depend on a map's order.
    if let Some(id) = labels.keys().min() {
        return Err(bad(format!("an annotation refers to image_id {id}, which does not exist")));
    }
    if listing.is_empty() {
        return Err(listing.error_of_all("lists no image".to_owned()));
    }
    listing.check_distinct(&[])?;
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Listing, String> {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("train2018.json");
        std::fs::write(&path, text).expect("writing");
        read_coco(&path).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "D"))
    }

    #[test]
    fn images_come_in_their_own_order_with_labels_by_id() {
        let listing = read(
            r#"{"info": {"year": 2018}, "images": [
                {"id": 7, "width": 800, "file_name": "train_val2018/Aves/2/b.jpg", "rights_holder": "x"},
                {"id": 3, "file_name": "train_val2018/Aves/0/a.jpg"}],
              "categories": [{"id": 0, "name": "0"}],
              "annotations": [{"id": 1, "image_id": 3, "category_id": 0}, {"id": 2, "image_id": 7, "category_id": 2}]}"#,
        )
        .expect("a good file");
        assert_eq!(
            listing.paths.iter().collect::<Vec<_>>(),
            ["train_val2018/Aves/2/b.jpg", "train_val2018/Aves/0/a.jpg"]
        );
        assert_eq!((listing.labels, listing.numbers), (vec![2, 0], vec![1, 2]));
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        let file = |images: &str, annotations: &str| {
            read(&format!(r#"{{"images": [{images}], "annotations": [{annotations}]}}"#)).expect_err("bad")
        };
        let image = r#"{"id": 1, "file_name": "a.jpg"}"#;
        let label = r#"{"image_id": 1, "category_id": 0}"#;
        assert!(file(image, "").contains("`D/train2018.json`: image 1, id 1: has no annotation"));
        assert!(file(image, &format!("{label},{label}")).contains("image_id 1 has two annotations"));
        assert!(file("", label).contains("an annotation refers to image_id 1, which does not exist"));
        assert!(file("", "").contains("lists no image"));
        assert!(file(image, r#"{"image_id": 1, "category_id": -1}"#).contains("category_id is not from 0"));
        assert!(file(r#"{"id": 1, "file_name": "../a"}"#, label).contains("does not lie in the folder of images"));
        assert!(file(r#"{"id": 1}"#, label).contains("missing field `file_name` at line 1 column"));
        assert!(read("[").expect_err("no JSON").contains("line 1 column"));
    }
}
