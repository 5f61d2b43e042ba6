//! Where a data set's pack lies, and how its images take the place of the files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use longtail_artifact::counted;
use longtail_recipe::{Dataset, PhotoRecipe};

use super::read::is_missing;
use super::{MadeFrom, Pack, PackPart, problem};
use crate::error::DatasetError;
use crate::image_set::{DataSource, Images};

/// Names the pack's file, for folders of images that cannot be written to.
pub const PACK_VARIABLE: &str = "LONGTAIL_PACK";

/// Where the pack of `dataset` lies: `chosen`, or beside the training images.
pub fn pack_file(dataset: Dataset, train_root: &Path, chosen: Option<&Path>) -> PathBuf {
    chosen.map_or_else(|| train_root.join(format!("longtail-{}.pack", dataset.name())), Path::to_owned)
}

/// What the photographs were when somebody looked, beside the pack at `file`.
pub fn index_file(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".images.json");
    file.with_file_name(name)
}

/// Makes `source` take its images from `file`, and gives it the identity of lists and pack.
///
/// # Errors
/// There is no pack, it is damaged, it is of other lists, or its images are smaller than the recipe needs.
pub fn attach(source: &mut DataSource, recipe: &PhotoRecipe, dataset: &str, file: &Path) -> Result<(), DatasetError> {
    // What the user calls the recipe is not known here, and a data set's name is a recipe's only by chance.
    let command = |more: &str| format!("cargo xtask data pack RECIPE --data DIR{more}");
    let pack = Pack::open(file).map_err(|error| match is_missing(&error) {
        false => error,
        true => problem(
            file,
            "does not exist, but `data.packed: true` needs it".to_owned(),
            format!("make it: {}; or leave out `packed`; or set {PACK_VARIABLE} to a pack elsewhere", command("")),
        ),
    })?;
    let (key, images) = (pack.key(), source.train.len() + source.test.len());
    if (key.dataset.as_str(), key.lists.as_str(), key.images) != (dataset, source.hash.as_str(), images) {
        return Err(of_other_lists(&pack, dataset, &source.hash, images));
    }
    if (key.short as usize) < recipe.resize_short {
        let (short, needed) = (key.short, recipe.resize_short);
        // The crop of image_side is cut out of it: less is no such setting.
        let lower = match (short as usize) < recipe.image_side {
            true => String::new(),
            false => format!("; or set `data.resize_short={short}`"),
        };
        return Err(problem(
            file,
            format!("holds images with a short side of at most {short}, but `data.resize_short` is {needed}"),
            format!("delete it and make another: {}{lower}", command(&format!(" --short {needed}"))),
        ));
    }
    source.hash = blake3::hash(format!("{}\npack {}\n", source.hash, pack.identity()).as_bytes()).to_hex().to_string();
    let (pack, first_test) = (Arc::new(pack), source.train.len());
    for (set, first) in [(&mut source.train, 0), (&mut source.test, first_test)] {
        if let Images::Photos(files) = &mut set.images {
            files.take_from(PackPart { pack: Arc::clone(&pack), first });
        }
    }
    Ok(())
}

/// A pack whose photographs are others now, for who wanted to read it or to make it again.
pub fn of_other_photographs(pack: &Pack, made_from: &MadeFrom) -> DatasetError {
    let words = made_from.note().unwrap_or_default().to_owned();
    let hint = format!(
        "delete `{}` and make it again (`cargo xtask data pack RECIPE`), or restore those photographs; with `--accept-stale`, stages use the pack as it is",
        pack.path().display()
    );
    DatasetError::OtherPhotographs { words, hint }
}

/// Names both.
pub fn of_other_lists(pack: &Pack, dataset: &str, lists: &str, images: usize) -> DatasetError {
    let (key, file) = (pack.key(), pack.path());
    let found = format!(
        "is a pack of other lists: {} of {} with BLAKE3 {}, but these are {} of {dataset} with BLAKE3 {lists}",
        counted(key.images, "image"),
        key.dataset,
        key.lists,
        counted(images, "image")
    );
    problem(file, found, another(file))
}

/// What to do about a pack of another key.
pub fn another(file: &Path) -> String {
    format!(
        "delete `{}` to make a new pack, or keep both: `--out FILE` writes another one, and {PACK_VARIABLE}=FILE reads it",
        file.display()
    )
}
