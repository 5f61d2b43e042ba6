//! How many images a run has, as far as that can be known without looking into a file of pixels.

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

/// The endings that `datasets` takes for images.
const ENDINGS: [&str; 3] = ["jpg", "jpeg", "png"];
/// `datasets` refuses what lies deeper; links may lead in circles.
const DEEPEST: usize = 8;

impl Images {
    /// By the marker of a synthetic tree, if `data` (or `LONGTAIL_DATA`) holds one, or by the lists or folders there; else as
    /// published, a long tail being an exponential profile with each class rounded up. None of a folder of photos that is not there:
    /// nothing is known of it.
    pub fn of(recipe: &DataRecipe, data: Option<&Path>) -> Option<Self> {
        let folder = data.map(Path::to_owned).or_else(|| std::env::var_os("LONGTAIL_DATA").map(PathBuf::from));
        let found = folder.and_then(|folder| match recipe.dataset {
            Dataset::ImageFolder => counted(&folder),
            dataset => synthetic(dataset, &folder).or_else(|| listed(dataset, &folder)),
        });
        let [train, val, test, classes] = found.or_else(|| published(recipe))?;
        let meta = if recipe.meta_source == MetaSource::None { 0 } else { classes * recipe.meta_per_class as u64 };
        Some(Self { train, val, meta, test, classes })
    }
}

/// Of `train/`, `val/` and `test/` with a folder for each class; without `test/`, `val/` is scored on.
fn counted(folder: &Path) -> Option<[u64; 4]> {
    let classes = std::fs::read_dir(folder.join("train")).ok()?;
    let classes = classes.filter_map(Result::ok).filter(|entry| entry.path().is_dir()).count() as u64;
    let [train, val, test] = ["train", "val", "test"].map(|part| photos_below(&folder.join(part), DEEPEST));
    let [val, test] = if folder.join("test").is_dir() { [val, test] } else { [0, val] };
    (train > 0).then_some([train, val, test, classes])
}

fn photos_below(folder: &Path, depth: usize) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let entries = entries.filter_map(Result::ok).map(|entry| entry.path());
    let count = |path: PathBuf| match path.extension().and_then(|ending| ending.to_str()) {
        _ if path.is_dir() => depth.checked_sub(1).map_or(0, |depth| photos_below(&path, depth)),
        Some(ending) => u64::from(ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))),
        None => 0,
    };
    entries.map(count).sum()
}

/// Of ImageNet-LT's three lists, where they lie in the folder: someone's own may be shorter than the published ones.
fn listed(dataset: Dataset, folder: &Path) -> Option<[u64; 4]> {
    if dataset != Dataset::ImagenetLt {
        return None;
    }
    let read = |part: &str| std::fs::read_to_string(folder.join(format!("ImageNet_LT_{part}.txt"))).ok();
    let texts = [read("train")?, read("val")?, read("test")?];
    let [train, val, test] =
        texts.each_ref().map(|text| text.lines().filter(|line| !line.trim().is_empty()).count() as u64);
    let labels = texts[0].lines().filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok());
    Some([train, val, test, labels.max()? + 1])
}

fn published(data: &DataRecipe) -> Option<[u64; 4]> {
    let ([train, test], classes) = (data.dataset.published_images()?, data.dataset.num_classes()?);
    // The published number counts a validation list with the training images: 20 a class (protocol.md §2).
    let val = if data.dataset == Dataset::ImagenetLt { 20_000 } else { 0 };
    let train = match (data.dataset.train_per_class(), data.imbalance_factor) {
        (Some(per_class), Some(factor)) => profile(per_class as u64, classes, factor, data.max_per_class),
        _ => train - val,
    };
    Some([train, val, test, classes as u64])
}

fn profile(per_class: u64, classes: usize, factor: f64, cap: Option<u32>) -> u64 {
    let largest = cap.map_or(per_class, |cap| per_class.min(u64::from(cap))) as f64;
    let steps = classes.saturating_sub(1).max(1) as f64;
    (0..classes).map(|class| (largest * factor.powf(-(class as f64) / steps)) as u64 + 1).sum()
}

/// The counts in the marker that `data synthesize` leaves.
fn synthetic(dataset: Dataset, folder: &Path) -> Option<[u64; 4]> {
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
        let images = Images::of(&data("dataset: cifar100"), Some(Path::new("nowhere"))).expect("published");
        assert!((10_847..=10_947).contains(&images.train), "{images:?}");
    }

    #[test]
    fn photo_sets_have_their_published_sizes_and_a_synthetic_tree_its_own() {
        let recipe = data("dataset: imagenet_lt");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let published = Images { train: 115_846, val: 20_000, meta: 10_000, test: 50_000, classes: 1000 };
        assert_eq!(Images::of(&recipe, Some(folder.path())), Some(published));
        let marker = r#"{"dataset":"imagenet_lt","classes":20,"counts":{"train":300,"val":400,"test":200}}"#;
        std::fs::write(folder.path().join("synthetic.json"), marker).expect("writable");
        let tree = Images { train: 300, val: 400, meta: 200, test: 200, classes: 20 };
        assert_eq!(Images::of(&recipe, Some(folder.path())), Some(tree));
        let other = Images::of(&data("dataset: inaturalist2018"), Some(folder.path())).expect("published");
        assert_eq!((other.train, other.test), (437_513, 24_426), "the tree is another data set's");
    }

    fn write(folder: &Path, names: &[&str]) {
        for name in names {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
            std::fs::write(path, []).expect("writable");
        }
    }

    #[test]
    fn a_folder_of_photos_is_counted_and_unknown_where_it_is_not_there() {
        let recipe = data("dataset: image_folder, meta_source: none");
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(Images::of(&recipe, Some(&folder.path().join("none"))), None);
        assert_eq!(Images::of(&recipe, Some(folder.path())), None, "no training images");
        write(
            folder.path(),
            &["train/a/1.jpg", "train/a/deep/2.JPEG", "train/b/3.png", "train/b/notes.txt", "val/a/4.jpg"],
        );
        let images = Images { train: 3, val: 0, meta: 0, test: 1, classes: 2 };
        assert_eq!(Images::of(&recipe, Some(folder.path())), Some(images), "without test/, val/ is scored on");
        write(folder.path(), &["test/a/5.jpg", "test/b/6.jpg"]);
        assert_eq!(Images::of(&recipe, Some(folder.path())), Some(Images { val: 1, test: 2, ..images }));
    }

    #[test]
    fn someones_own_lists_of_imagenet_lt_are_counted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (part, text) in [("train", "a.JPEG 0\nb.JPEG 4\n"), ("val", "c.JPEG 1\n"), ("test", "d.JPEG 1\n\n")] {
            std::fs::write(folder.path().join(format!("ImageNet_LT_{part}.txt")), text).expect("writable");
        }
        let images = Images::of(&data("dataset: imagenet_lt, meta_source: none"), Some(folder.path()));
        assert_eq!(images, Some(Images { train: 2, val: 1, meta: 0, test: 1, classes: 5 }));
    }
}
