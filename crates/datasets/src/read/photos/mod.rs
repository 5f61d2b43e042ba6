//! Photo sets: lists of files with labels, and the folders that hold them.
//!
//! A photo set is long-tailed as it comes. What is read here are its lists; images are opened when a batch needs them. What
//! names the lists ([`PhotoSource::hash`]) is BLAKE3 over (path, label) of every image of every list in order, and the identity
//! of the pack if one is read. Paths are hashed in one form, whatever layout they have on disk. The contents of image files are
//! [`crate::identity`]'s.

mod classes;
mod coco;
pub mod fetch;
mod image_folder;
mod imagenet_lt;
mod inaturalist;
pub mod listing;
mod places;
mod tree;

use std::path::{Path, PathBuf};

use longtail_recipe::{Dataset, PhotoRecipe};

use crate::error::DatasetError;
use crate::image_set::{DataSource, ImageSet, Images};
use crate::pack;
use crate::photo_files::PhotoFiles;
use listing::Listing;

/// A photo set as its lists describe it. Nothing is known yet of whether each image is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhotoSource {
    /// The data set.
    pub dataset: Dataset,
    /// Training images.
    pub train: Listing,
    /// Validation images, where there is such a list; below the same root as the training images.
    pub val: Option<Listing>,
    /// Test images.
    pub test: Listing,
    /// Folder that the paths of `train` and `val` start from.
    pub train_root: PathBuf,
    /// Folder that the paths of `test` start from.
    pub test_root: PathBuf,
    /// Names by label: folders.
    pub class_names: Vec<String>,
    /// The layout that was found, in words.
    pub layout: String,
    /// What a person should know of how it was read.
    pub notes: Vec<String>,
    /// BLAKE3 over (path, label) of all lists, in hexadecimal.
    pub hash: String,
}

/// Finds and reads the lists of `dataset`. `dir`: see [`crate::load`].
///
/// # Errors
/// No lists or no images; an error says what to fetch and where to put it. A list with a mistake, named by its line; labels
/// with gaps; classes that the lists contradict each other about.
pub fn read(dataset: Dataset, dir: Option<&Path>) -> Result<PhotoSource, DatasetError> {
    match dataset {
        Dataset::ImagenetLt => imagenet_lt::read(dir),
        Dataset::Inaturalist2018 => inaturalist::read(dir),
        // The others are no photo sets, and come here only as folders of photos.
        Dataset::ImageFolder | Dataset::FashionMnist | Dataset::Cifar100 => image_folder::read(dir),
    }
}

impl PhotoSource {
    /// The image sets that stages work on: training list and validation list one after the other, and the test list; from a
    /// pack where the recipe says so.
    ///
    /// # Errors
    /// A pack that is missing, damaged, of other lists or too small; see [`crate::pack`].
    pub fn into_data(self, recipe: &PhotoRecipe) -> Result<DataSource, DatasetError> {
        if !recipe.packed {
            return Ok(self.into_files(recipe.image_side));
        }
        let chosen = std::env::var_os(pack::PACK_VARIABLE).map(PathBuf::from);
        self.into_data_of(recipe, chosen.as_deref())
    }

    /// [`PhotoSource::into_data`] from the pack `chosen`, or from the one beside the training images.
    ///
    /// # Errors
    /// As there.
    pub fn into_data_of(self, recipe: &PhotoRecipe, chosen: Option<&Path>) -> Result<DataSource, DatasetError> {
        let (file, dataset) = (pack::pack_file(self.dataset, &self.train_root, chosen), self.dataset);
        let mut source = self.into_files(recipe.image_side);
        pack::attach(&mut source, recipe, dataset.name(), &file)?;
        Ok(source)
    }

    /// The same from the files themselves, as images of `side` by `side`.
    pub fn into_files(self, side: usize) -> DataSource {
        let val_from = self.train.len();
        let (num_classes, class_names) = (self.class_names.len(), self.class_names);
        let set = |root: &Path, listings: &[&Listing]| {
            let mut files = PhotoFiles::new(root);
            let mut labels = Vec::new();
            for listing in listings {
                files.extend(listing.origin.clone(), listing.paths.iter(), &listing.numbers);
                labels.extend_from_slice(&listing.labels);
            }
            ImageSet {
                images: Images::Photos(files),
                labels,
                height: side,
                width: side,
                channels: 3,
                num_classes,
                class_names: class_names.clone(),
            }
        };
        let mut trained_on = vec![&self.train];
        trained_on.extend(&self.val);
        DataSource {
            train: set(&self.train_root, &trained_on),
            test: set(&self.test_root, &[&self.test]),
            hash: self.hash,
            val_from: Some(val_from),
            kept: None,
        }
    }
}

/// BLAKE3 over the lists in their order, `path TAB label` a line, each under its name.
fn hash_of(lists: &[(&str, &Listing)]) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, listing) in lists {
        hasher.update(format!("[{name}]\n").as_bytes());
        for (path, label) in listing.paths.iter().zip(&listing.labels) {
            hasher.update(format!("{path}\t{label}\n").as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}
