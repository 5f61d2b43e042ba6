//! Finding a data set's folder: the one named, its children, or the workspace's `data/`.

use std::path::{Path, PathBuf};

use longtail_recipe::Dataset;

use crate::error::DatasetError;

/// Where to look for one data set's files, and what to say when they are not there.
pub struct Wanted {
    /// The data set.
    pub dataset: Dataset,
    /// The data set's name as people write it.
    pub title: &'static str,
    /// Names a folder with these files goes by, below a data folder.
    pub folders: &'static [&'static str],
    /// What to fetch.
    pub hint: &'static str,
}

/// Fashion-MNIST: ours, or torchvision's folder.
pub const FASHION_MNIST: Wanted = Wanted {
    dataset: Dataset::FashionMnist,
    title: "Fashion-MNIST",
    folders: &["fashion-mnist", "fashion_mnist", "FashionMNIST/raw"],
    hint: "the four files belong in `data/fashion-mnist` of the repository: restore them with `git checkout data/fashion-mnist`, \
           or run inside the repository without `--data`",
};

/// CIFAR-100's binary version, as its archive unpacks.
pub const CIFAR100: Wanted = Wanted {
    dataset: Dataset::Cifar100,
    title: "CIFAR-100",
    folders: &["cifar-100-binary", "cifar100", "cifar-100"],
    hint: "fetch the binary version, https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz (161 MB), unpack it with \
           `tar -xzf cifar-100-binary.tar.gz`, and name the folder with `--data DIR`, or put it under `data/`",
};

/// ImageNet-LT: a folder with lists, images, or both.
pub const IMAGENET_LT: Wanted = Wanted {
    dataset: Dataset::ImagenetLt,
    title: "ImageNet-LT",
    folders: &["imagenet-lt", "imagenet_lt", "ImageNet_LT", "imagenet", "ImageNet", "ILSVRC2012", "ILSVRC"],
    hint: "see `cargo xtask data check imagenet-lt`",
};

/// iNaturalist 2018.
pub const INATURALIST2018: Wanted = Wanted {
    dataset: Dataset::Inaturalist2018,
    title: "iNaturalist 2018",
    folders: &["inaturalist2018", "iNaturalist18", "inaturalist18", "inat2018", "iNat18", "iNaturalist2018"],
    hint: "see `cargo xtask data check inaturalist2018`",
};

/// A folder of photos. Any folder may be one, so none is looked for by name.
pub const IMAGE_FOLDER: Wanted = Wanted {
    dataset: Dataset::ImageFolder,
    title: "image folder",
    folders: &[],
    hint: "see `datasets check image-folder --data DIR`",
};

/// The description that belongs to a data set.
pub fn wanted(dataset: Dataset) -> &'static Wanted {
    match dataset {
        Dataset::FashionMnist => &FASHION_MNIST,
        Dataset::ImagenetLt => &IMAGENET_LT,
        Dataset::Inaturalist2018 => &INATURALIST2018,
        Dataset::ImageFolder => &IMAGE_FOLDER,
        Dataset::Cifar100 => &CIFAR100,
    }
}

/// The folders to look in, in order: `dir` and its children of the right name; or, without `dir`, the same for each data
/// folder.
pub fn candidates(wanted: &Wanted, dir: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for root in data_roots(dir) {
        let children = wanted.folders.iter().map(|name| root.join(name));
        for folder in std::iter::once(root.clone()).chain(children) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    folders
}

/// `dir`, or without it the data folders.
pub fn data_roots(dir: Option<&Path>) -> Vec<PathBuf> {
    dir.map_or_else(data_folders, |dir| vec![dir.to_owned()])
}

/// The data folders to search when the user names none: `LONGTAIL_DATA`, then `data/` of the current folder and of
/// each folder above it, then `data/` of the workspace this program was built from.
fn data_folders() -> Vec<PathBuf> {
    let named = std::env::var_os("LONGTAIL_DATA").map(PathBuf::from);
    let here = std::env::current_dir().unwrap_or_default();
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let searched = here.ancestors().chain(built_from).map(|folder| folder.join("data"));
    named.into_iter().chain(searched.filter(|folder| folder.is_dir())).collect()
}

/// The first candidate that holds any of `files`.
///
/// # Errors
/// None does. Layouts that are known but not read are recognised first, so that the message can say what to do.
pub fn find(wanted: &Wanted, dir: Option<&Path>, files: &[&str]) -> Result<PathBuf, DatasetError> {
    let tried = candidates(wanted, dir);
    if let Some(folder) = tried.iter().find(|folder| files.iter().any(|name| folder.join(name).is_file())) {
        return Ok(folder.clone());
    }
    for folder in &tried {
        if let Some(error) = recognise(wanted, folder) {
            return Err(error);
        }
    }
    let hint = match dir {
        Some(dir) if !dir.exists() => format!("`{}` does not exist; {}", dir.display(), wanted.hint),
        _ => wanted.hint.to_owned(),
    };
    Err(DatasetError::NotFound { dataset: wanted.title, tried, hint })
}

/// Layouts that people have on their disks and that are not the binary one.
fn recognise(wanted: &Wanted, folder: &Path) -> Option<DatasetError> {
    if wanted.dataset != Dataset::Cifar100 {
        return None;
    }
    let other =
        |path: PathBuf, what, hint: String| Some(DatasetError::OtherLayout { dataset: wanted.title, path, what, hint });
    for python in [folder.join("cifar-100-python"), folder.to_owned()] {
        if ["train", "test", "meta"].iter().all(|name| python.join(name).is_file()) {
            return other(
                python,
                "the Python version (pickles `train`, `test`, `meta`)",
                format!("the same images also come in a plain format: {}", wanted.hint),
            );
        }
    }
    for (archive, what) in [
        ("cifar-100-binary.tar.gz", "an archive that is not unpacked"),
        ("cifar-100-python.tar.gz", "the archive of the Python version"),
        ("cifar-100-matlab.tar.gz", "the archive of the Matlab version"),
    ] {
        let path = folder.join(archive);
        if path.is_file() {
            let hint = if archive.contains("binary") {
                format!("unpack it: `tar -xzf {} -C {}`", path.display(), folder.display())
            } else {
                wanted.hint.to_owned()
            };
            return other(path, what, hint);
        }
    }
    let matlab = folder.join("train.mat");
    if matlab.is_file() {
        return other(matlab, "the Matlab version", wanted.hint.to_owned());
    }
    let cifar10 = folder.join("data_batch_1.bin");
    if cifar10.is_file() {
        return other(cifar10, "a part of CIFAR-10, another data set", wanted.hint.to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_or_its_parent_will_do() {
        let parent = tempfile::tempdir().expect("temporary folder");
        let folder = parent.path().join("cifar-100-binary");
        std::fs::create_dir(&folder).expect("folder");
        std::fs::write(folder.join("train.bin"), []).expect("file");
        for dir in [parent.path(), &folder] {
            assert_eq!(find(&CIFAR100, Some(dir), &["train.bin"]).expect("there"), folder);
        }
    }

    #[test]
    fn the_python_version_is_recognised_in_both_places() {
        let parent = tempfile::tempdir().expect("temporary folder");
        let folder = parent.path().join("cifar-100-python");
        std::fs::create_dir(&folder).expect("folder");
        for name in ["train", "test", "meta"] {
            std::fs::write(folder.join(name), [0x80, 2]).expect("file");
        }
        for dir in [parent.path(), &folder] {
            let error = find(&CIFAR100, Some(dir), &["train.bin"]).expect_err("pickles");
            assert!(error.to_string().contains("the Python version (pickles"), "{error}");
            assert!(error.hint().expect("a hint").contains("cifar-100-binary.tar.gz"));
        }
    }

    #[test]
    fn a_packed_archive_and_the_wrong_data_set_are_recognised() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::write(folder.path().join("data_batch_1.bin"), []).expect("file");
        let error = find(&CIFAR100, Some(folder.path()), &["train.bin"]).expect_err("CIFAR-10");
        assert!(error.to_string().contains("CIFAR-10, another data set"), "{error}");
        std::fs::write(folder.path().join("cifar-100-binary.tar.gz"), []).expect("file");
        let error = find(&CIFAR100, Some(folder.path()), &["train.bin"]).expect_err("packed");
        assert!(error.hint().expect("a hint").starts_with("unpack it: `tar -xzf"));
    }

    #[test]
    fn nothing_at_all_lists_where_it_looked() {
        let error = find(&CIFAR100, Some(Path::new("/no/such/folder")), &["train.bin"]).expect_err("nothing");
        assert!(
            error.to_string().contains("looked in `/no/such/folder`, `/no/such/folder/cifar-100-binary`"),
            "{error}"
        );
        assert!(error.hint().expect("a hint").starts_with("`/no/such/folder` does not exist"));
    }
}
