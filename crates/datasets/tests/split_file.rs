//! `split.safetensors`: written once, replaced when the recipe changes, an error when damaged.

use std::path::Path;

use longtail_artifact::RunLayout;
use longtail_datasets::{DataSource, ImageSet, Split};
use longtail_recipe::DataRecipe;
use proptest::prelude::*;

fn source() -> DataSource {
    let set = |per_class: u32| ImageSet {
        images: vec![0; 10 * per_class as usize].into(),
        labels: (0..10 * per_class).map(|i| i % 10).collect(),
        height: 1,
        width: 1,
        channels: 1,
        num_classes: 10,
        class_names: vec![String::new(); 10],
    };
    DataSource { train: set(60), test: set(6), hash: "0123".to_owned(), val_from: None, kept: None }
}

/// The data part of a recipe with a few settings changed.
fn recipe(settings: &str) -> DataRecipe {
    let text = format!(
        "recipe: test\ndescription: a test\ndata:\n  dataset: fashion_mnist\n  imbalance_factor: 10\n{settings}\
         representations: {{ce: {{method: {{ce: {{}}}}, backbone: {{cifar_resnet: 8}}, augmentation: basic, epochs: 1, batch_size: 8, lr: 0.1}}}}\n\
         classifiers: {{joint: {{joint: {{}}}}}}\nrows:\n  - {{representation: ce, classifier: joint}}\n"
    );
    longtail_recipe::read_str(&text, "test.yaml", &[]).expect("a recipe").data
}

fn layout(folder: &Path) -> RunLayout {
    RunLayout::new(folder)
}

#[test]
fn written_once_then_read() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let layout = layout(folder.path());
    let first = Split::load_or_create(&layout, &recipe(""), &source()).expect("drawn");
    let bytes = std::fs::read(layout.split()).expect("written");
    let again = Split::load_or_create(&layout, &recipe(""), &source()).expect("read");
    assert_eq!(first, again);
    assert_eq!(bytes, std::fs::read(layout.split()).expect("still there"));
    assert_eq!(Split::load(&layout.split(), &source()).expect("strict"), first);
}

#[test]
fn another_recipe_replaces_it() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let layout = layout(folder.path());
    let first = Split::load_or_create(&layout, &recipe(""), &source()).expect("drawn");
    let second = Split::load_or_create(&layout, &recipe("  subset_seed: 1\n"), &source()).expect("drawn again");
    assert_ne!(first.train, second.train);
    assert_eq!(Split::load(&layout.split(), &source()).expect("strict"), second);
    let mut other_images = source();
    other_images.hash = "4567".to_owned();
    let error = Split::load(&layout.split(), &other_images).expect_err("other images");
    assert!(error.to_string().contains("drawn from images with hash 0123, but these have 4567"), "{error}");
}

#[test]
fn garbage_is_an_error_with_a_hint_and_stays_as_it_was() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let layout = layout(folder.path());
    std::fs::write(layout.split(), b"garbage").expect("writing");
    let error = Split::load_or_create(&layout, &recipe(""), &source()).expect_err("garbage");
    assert!(error.to_string().contains("split.safetensors` is damaged"), "{error}");
    assert!(error.hint().expect("a hint").starts_with("delete"));
    assert_eq!(std::fs::read(layout.split()).expect("still there"), b"garbage");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever bit flips, the result is an error or the same split; never a panic, never other indices.
    #[test]
    fn a_flipped_bit_or_a_cut_never_gives_another_split(bit in any::<proptest::sample::Index>(), cut in any::<proptest::sample::Index>()) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let layout = layout(folder.path());
        let split = Split::load_or_create(&layout, &recipe(""), &source()).expect("drawn");
        let good = std::fs::read(layout.split()).expect("written");
        std::fs::write(layout.split(), &good[..cut.index(good.len())]).expect("writing");
        prop_assert!(Split::load(&layout.split(), &source()).is_err());
        let mut flipped = good;
        let bit = bit.index(flipped.len() * 8);
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(layout.split(), &flipped).expect("writing");
        if let Ok(found) = Split::load_or_create(&layout, &recipe(""), &source()) {
            prop_assert_eq!(found, split);
        }
    }
}
