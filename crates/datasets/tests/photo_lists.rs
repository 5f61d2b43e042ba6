//! Lists of photos that anything may have happened to: an error in words, or a list that holds what it says; never a panic.

use std::path::Path;

use longtail_artifact::RunLayout;
use longtail_datasets::read::photos;
use longtail_datasets::read::photos::listing::{Listing, parse_list};
use longtail_datasets::synthesize::{Layout, Options, synthesize};
use longtail_datasets::{Split, load_for};
use longtail_recipe::{DataRecipe, Dataset};
use proptest::prelude::*;

const GOOD: &str = "train/n01/a.JPEG 0\r\ntrain/n02/b c.JPEG 1\n\ntrain/n01/d.JPEG 0\n";

fn parse(bytes: &[u8]) -> Result<Listing, String> {
    parse_list(Path::new("l.txt"), bytes).map_err(|error| error.to_string())
}

/// What is accepted: distinct paths below the root, labels and lines in order.
fn sound(listing: &Listing) {
    assert!(!listing.is_empty());
    assert_eq!((listing.paths.len(), listing.numbers.len()), (listing.len(), listing.len()));
    assert!(listing.numbers.windows(2).all(|pair| pair[0] < pair[1]));
    let mut paths: Vec<&str> = listing.paths.iter().collect();
    assert!(
        paths.iter().all(|path| !path.is_empty() && path.split('/').all(|part| part != "..") && !path.starts_with('/'))
    );
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), listing.len());
}

fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (layout, out) = (Layout::Inaturalist2018, folder.path().join("tree"));
    let options =
        Options { layout, out, classes: 3, train_images: 12, val_per_class: 2, test_per_class: 2, seed: 1, side: 16 };
    synthesize(&options).expect("a tree");
    folder
}

fn recipe() -> DataRecipe {
    let text = "data: {dataset: inaturalist2018}\nrepresentations: {ce: {method: {ce: {}}}}\nclassifiers: {joint: }";
    longtail_recipe::read_str(text, "t.yaml", &[]).expect("a sound recipe").data
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_list_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(listing) = parse(&bytes) { sound(&listing) }
    }

    #[test]
    fn any_lines_are_a_list_or_an_error(text in "([a-c./]{1,6}|[ \t\r\n]|-?[0-9]{1,12}| ){0,40}") {
        if let Ok(listing) = parse(text.as_bytes()) { sound(&listing) }
    }

    #[test]
    fn a_list_with_flipped_bits_is_a_list_or_an_error(flips in prop::collection::vec((0..GOOD.len(), 0..8u32), 1..4)) {
        let mut bytes = GOOD.as_bytes().to_vec();
        flips.iter().for_each(|&(position, bit)| bytes[position] ^= 1 << bit);
        match parse(&bytes) {
            Ok(listing) => sound(&listing),
            Err(message) => prop_assert!(message.starts_with("`l.txt`"), "{}", message),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_json_file_is_read_or_refused(cut in 0.0f64..1.0, at in 0.0f64..1.0, bit in 0..8u32) {
        let folder = tree();
        let root = folder.path().join("tree");
        for name in ["iNaturalist18_train.txt", "iNaturalist18_val.txt"] {
            std::fs::remove_file(root.join(name)).expect("removing");
        }
        let path = root.join("train2018.json");
        let mut bytes = std::fs::read(&path).expect("a file");
        let position = (at * bytes.len() as f64) as usize;
        bytes[position] ^= 1 << bit;
        if cut < 0.5 {
            bytes.truncate((cut * 2.0 * bytes.len() as f64) as usize);
        }
        std::fs::write(&path, bytes).expect("writing");
        if let Ok(source) = photos::read(Dataset::Inaturalist2018, Some(&root)) { sound(&source.train) }
    }

    #[test]
    fn a_damaged_split_of_photos_is_refused_or_the_very_draw(position in 0.0f64..1.0, bit in 0..8u32) {
        let folder = tree();
        let source = load_for(&recipe(), Some(&folder.path().join("tree"))).expect("in order");
        let run = RunLayout::new(folder.path().join("run"));
        let drawn = Split::load_or_create(&run, &recipe(), &source).expect("drawn");
        prop_assert_eq!((drawn.meta.len(), drawn.val.len()), (6, 0));
        let mut bytes = std::fs::read(run.split()).expect("the file");
        let position = (position * bytes.len() as f64) as usize;
        bytes[position] ^= 1 << bit;
        std::fs::write(run.split(), bytes).expect("writing");
        if let Ok(found) = Split::load_or_create(&run, &recipe(), &source) {
            prop_assert_eq!(found, drawn);
        }
    }
}
