//! How many images a run has, as far as that can be known without reading a list.

use std::path::{Path, PathBuf};

use longtail_recipe::{DataRecipe, Dataset, MetaSource};
use serde_json::Value;

/// Images of each part, and classes: upper bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Images {
    pub train: u64,
    /// Of a validation list; 0 where validation is cut from the training images.
    pub val: u64,
    pub meta: u64,
    pub test: u64,
    pub classes: u64,
}

/// Of an unknown folder of photos: ILSVRC 2012's.
const FOLDER: [u64; 4] = [1_281_167, 0, 50_000, 1000];

impl Images {
    /// By the marker of a synthetic tree, if `data` (or `LONGTAIL_DATA`) holds one; else as published, a long tail being an
    /// exponential profile with each class rounded up.
    pub fn of(recipe: &DataRecipe, data: Option<&Path>) -> Self {
        let [train, val, test, classes] = synthetic(recipe.dataset, data).unwrap_or_else(|| published(recipe));
        let meta = if recipe.meta_source == MetaSource::None { 0 } else { classes * recipe.meta_per_class as u64 };
        Self { train, val, meta, test, classes }
    }
}

fn published(data: &DataRecipe) -> [u64; 4] {
    let (Some([train, test]), Some(classes)) = (data.dataset.published_images(), data.dataset.num_classes()) else {
        return FOLDER;
    };
    // The published number counts a validation list with the training images: 20 a class (protocol.md §2).
    let val = if data.dataset == Dataset::ImagenetLt { 20_000 } else { 0 };
    let train = match (data.dataset.train_per_class(), data.imbalance_factor) {
        (Some(per_class), Some(factor)) => profile(per_class as u64, classes, factor, data.max_per_class),
        _ => train - val,
    };
    [train, val, test, classes as u64]
}

fn profile(per_class: u64, classes: usize, factor: f64, cap: Option<u32>) -> u64 {
    let largest = cap.map_or(per_class, |cap| per_class.min(u64::from(cap))) as f64;
    let steps = classes.saturating_sub(1).max(1) as f64;
    (0..classes).map(|class| (largest * factor.powf(-(class as f64) / steps)) as u64 + 1).sum()
}

/// The counts in the marker that `data synthesize` leaves.
fn synthetic(dataset: Dataset, data: Option<&Path>) -> Option<[u64; 4]> {
    let folder = data.map(Path::to_owned).or_else(|| std::env::var_os("LONGTAIL_DATA").map(PathBuf::from))?;
    let marker: Value = serde_json::from_slice(&std::fs::read(folder.join("synthetic.json")).ok()?).ok()?;
    if marker["dataset"] != dataset.name() {
        return None;
    }
    let counts = &marker["counts"];
    let val = counts["val"].as_u64()?;
    // iNaturalist is scored on its validation list.
    let [val, test] = if dataset == Dataset::Inaturalist2018 { [0, val] } else { [val, counts["test"].as_u64()?] };
    Some([counts["train"].as_u64()?, val, test, marker["classes"].as_u64()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> DataRecipe {
        let text =
            format!("data: {{{text}}}\nrepresentations: {{ce: {{method: {{ce: {{}}}}}}}}\nclassifiers: {{joint: }}");
        longtail_recipe::read_str(&text, "bound.yaml", &[]).expect("a sound recipe").data
    }

    #[test]
    fn the_bound_holds_for_cifar_100_at_factor_100() {
        // protocol.md §1.1: 10,847 images; rounding up adds less than one a class.
        let images = Images::of(&data("dataset: cifar100"), Some(Path::new("nowhere")));
        assert!((10_847..=10_947).contains(&images.train), "{images:?}");
    }

    #[test]
    fn photo_sets_have_their_published_sizes_and_a_synthetic_tree_its_own() {
        let recipe = data("dataset: imagenet_lt");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let published = Images { train: 115_846, val: 20_000, meta: 10_000, test: 50_000, classes: 1000 };
        assert_eq!(Images::of(&recipe, Some(folder.path())), published);
        let marker = r#"{"dataset":"imagenet_lt","classes":20,"counts":{"train":300,"val":400,"test":200}}"#;
        std::fs::write(folder.path().join("synthetic.json"), marker).expect("writable");
        let tree = Images { train: 300, val: 400, meta: 200, test: 200, classes: 20 };
        assert_eq!(Images::of(&recipe, Some(folder.path())), tree);
        let other = Images::of(&data("dataset: inaturalist2018"), Some(folder.path()));
        assert_eq!((other.train, other.test), (437_513, 24_426), "the tree is another data set's");
    }
}
