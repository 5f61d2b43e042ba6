//! What to fetch for a photo set, how large it is, where to put it: the one screen that a person without data sees.

use std::path::{Path, PathBuf};

use longtail_recipe::Dataset;

use super::listing::Listing;
use super::places;
use crate::error::DatasetError;
use crate::read::locate::{self, IMAGE_FOLDER, IMAGENET_LT, Wanted};

/// Archives that people have and forget to unpack, with what to do.
const ARCHIVES: [(&str, &str); 6] = [
    (
        "ILSVRC2012_img_train.tar",
        "mkdir -p train && tar -xf ILSVRC2012_img_train.tar -C train, then each train/WNID.tar",
    ),
    ("ILSVRC2012_img_val.tar", "mkdir -p val && tar -xf ILSVRC2012_img_val.tar -C val"),
    ("imagenet-object-localization-challenge.zip", "unzip it: its ILSVRC/Data/CLS-LOC is read as it is"),
    ("train_val2018.tar.gz", "tar -xzf train_val2018.tar.gz"),
    ("train2018.json.tar.gz", "tar -xzf train2018.json.tar.gz"),
    ("val2018.json.tar.gz", "tar -xzf val2018.json.tar.gz"),
];

/// What to fetch, how large it is, and where it goes. xtask says the same before it builds anything.
pub fn screen(dataset: Dataset) -> &'static str {
    let text = match dataset {
        Dataset::ImagenetLt => include_str!("../../../../../data/fetch/imagenet-lt.txt"),
        Dataset::Inaturalist2018 => include_str!("../../../../../data/fetch/inaturalist2018.txt"),
        Dataset::FashionMnist | Dataset::Cifar100 | Dataset::ImageFolder => {
            include_str!("../../../../../data/fetch/image-folder.txt")
        }
    };
    text.trim_end()
}

/// There is no list, and perhaps there are images.
pub fn no_lists(wanted: &Wanted, dir: Option<&Path>, roots: &[PathBuf], images: Option<&Path>) -> DatasetError {
    let dataset = wanted.dataset;
    if let Some(error) = packed(wanted, roots) {
        return error;
    }
    let hint = match (dir, images) {
        (Some(dir), _) if !dir.exists() => format!("`{}` does not exist\n{}", dir.display(), screen(dataset)),
        (_, Some(images)) => {
            format!("there are images in `{}` but no lists\n{}", images.display(), screen(dataset))
        }
        _ => screen(dataset).to_owned(),
    };
    DatasetError::NotFound { dataset: wanted.title, tried: locate::data_roots(dir), hint }
}

/// There are lists, and none of the images that they name.
pub fn no_images(wanted: &Wanted, lists: &Path, roots: &[PathBuf], listing: &Listing) -> DatasetError {
    let packed = packed(wanted, roots);
    let too_much = places::superfluous(roots, &listing.paths).map(|(folder, rest)| {
        format!(
            "; without the leading `{folder}` they would be in `{}`: remove it from every line, or give `--data` the \
             folder that contains `{folder}`",
            rest.display()
        )
    });
    let too_little = || {
        let folder = places::left_out(roots, &listing.paths)?;
        let name = folder.file_name()?.to_string_lossy().into_owned();
        Some(format!("; they are in `{}`: put `{name}/` before every path in the list", folder.display()))
    };
    let instead = too_much.or_else(too_little).unwrap_or_default();
    packed.unwrap_or_else(|| DatasetError::Incomplete {
        dataset: wanted.title,
        missing: PathBuf::from(listing.paths.get(0)),
        present: listing.origin.path().to_owned(),
        hint: format!(
            "none of the images in that list was found near `{}`{instead}\n{}",
            lists.display(),
            screen(wanted.dataset)
        ),
    })
}

/// One of several files is missing.
pub fn incomplete(wanted: &Wanted, missing: PathBuf, present: &Path) -> DatasetError {
    DatasetError::Incomplete {
        dataset: wanted.title,
        missing,
        present: present.to_owned(),
        hint: screen(wanted.dataset).to_owned(),
    }
}

/// An archive that is still packed.
fn packed(wanted: &Wanted, roots: &[PathBuf]) -> Option<DatasetError> {
    if wanted.dataset == IMAGE_FOLDER.dataset {
        return None;
    }
    let other = |path: PathBuf, hint: String| {
        let what = "an archive that is not unpacked";
        Some(DatasetError::OtherLayout { dataset: wanted.title, path, what, hint })
    };
    for root in roots {
        for (archive, unpack) in ARCHIVES {
            let path = root.join(archive);
            if path.is_file() {
                return other(path, format!("in `{}`: {unpack}\n{}", root.display(), screen(wanted.dataset)));
            }
        }
        let inner = root.join("train/n01440764.tar");
        if wanted.dataset == IMAGENET_LT.dataset && inner.is_file() {
            let unpack = "for f in *.tar; do mkdir -p \"${f%.tar}\" && tar -xf \"$f\" -C \"${f%.tar}\"; done";
            return other(inner, format!("in `{}`: {unpack}", root.join("train").display()));
        }
    }
    None
}
