//! Reading data sets from disk, with every byte accounted for.

mod bytes;
pub mod cifar100;
mod cifar100_set;
pub mod cifar100_subset;
mod fashion_mnist;
pub mod idx;
mod locate;
pub mod photos;

use std::path::{Path, PathBuf};

use longtail_recipe::{DataRecipe, Dataset};

pub use bytes::inflate;

use crate::error::DatasetError;
use crate::image_set::DataSource;

/// The folder that [`load`] would read.
///
/// # Errors
/// No folder holds any of the data set's files.
pub fn find(dataset: Dataset, dir: Option<&Path>) -> Result<PathBuf, DatasetError> {
    match dataset {
        Dataset::FashionMnist => fashion_mnist::find(dir),
        Dataset::Cifar100 => cifar100::find(dir),
        Dataset::ImagenetLt | Dataset::Inaturalist2018 | Dataset::ImageFolder => {
            photos::read(dataset, dir).map(|source| source.train_root)
        }
    }
}

/// One file that a data set needs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FileState {
    /// Its name in the folder; for Fashion-MNIST of the form that is there, else of the gzipped one.
    pub name: String,
    /// Bytes on disk, or `None` if there is no such file.
    pub bytes: Option<u64>,
}

/// The state of each file that `dataset` needs in `folder`.
pub fn inventory(dataset: Dataset, folder: &Path) -> Vec<FileState> {
    let names = match dataset {
        Dataset::FashionMnist => fashion_mnist::file_names(folder),
        Dataset::Cifar100 => cifar100::file_names(folder),
        Dataset::ImagenetLt | Dataset::Inaturalist2018 | Dataset::ImageFolder => Vec::new(),
    };
    names
        .into_iter()
        .map(|name| {
            let bytes =
                std::fs::metadata(folder.join(&name)).ok().filter(std::fs::Metadata::is_file).map(|data| data.len());
            FileState { name, bytes }
        })
        .collect()
}

/// Loads a data set into memory: 55 MB for Fashion-MNIST, 185 MB for CIFAR-100.
///
/// `dir` is the folder with the files or its parent. Without it, `LONGTAIL_DATA`, then `data/` of the current folder and
/// of those above it, then the workspace's `data/` are searched.
///
/// # Errors
/// No files, a missing file, a wrong size, a wrong label, wrong class counts, or (Fashion-MNIST) bytes that are not the
/// published ones: each names the file, what was expected and what was found, and [`DatasetError::hint`] says where to
/// get a good copy.
pub fn load(dataset: Dataset, dir: Option<&Path>) -> Result<DataSource, DatasetError> {
    match dataset {
        Dataset::FashionMnist => fashion_mnist::read(&find(dataset, dir)?),
        Dataset::Cifar100 => cifar100::read(&find(dataset, dir)?),
        Dataset::ImagenetLt | Dataset::Inaturalist2018 | Dataset::ImageFolder => {
            let problem = format!("the photos of `{}` are read as a recipe says: use `load_for`", dataset.name());
            Err(DatasetError::Config { what: "dataset", problem })
        }
    }
}

/// Loads the data set of a recipe: into memory, or for photos the lists of files.
///
/// # Errors
/// As [`load`], or as [`photos::read`] and [`photos::PhotoSource::into_data`].
pub fn load_for(recipe: &DataRecipe, dir: Option<&Path>) -> Result<DataSource, DatasetError> {
    match &recipe.photo {
        Some(photo) => photos::read(recipe.dataset, dir)?.into_data(photo),
        None => load(recipe.dataset, dir),
    }
}

/// The name of a data set as people write it.
pub fn title(dataset: Dataset) -> &'static str {
    locate::wanted(dataset).title
}
