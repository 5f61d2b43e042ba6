//! The draw of a split against NumPy's, to the bit; `golden/numpy` holds the script that made the numbers.

use std::path::Path;

use longtail_datasets::{DataSource, ImageSet, Split, SplitSpec};
use longtail_recipe::MetaSource;

fn words(name: &str) -> Vec<u32> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let bytes = std::fs::read(file).expect("a golden file");
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

#[test]
fn draws_equal_numpys_to_the_bit() {
    let labels: Vec<u32> = (0..50_000).map(|i| (7 * i + i / 100) % 100).collect();
    let set = ImageSet {
        images: vec![0; labels.len()].into(),
        labels,
        height: 1,
        width: 1,
        channels: 1,
        num_classes: 100,
        class_names: vec![String::new(); 100],
    };
    let source = DataSource { train: set.clone(), test: set, hash: String::new(), val_from: None, kept: None };
    let spec = |meta_source| SplitSpec {
        imbalance_factor: 100.0,
        meta_source,
        meta_per_class: 10,
        subset_seed: 0,
        meta_seed: 6,
        max_per_class: None,
    };
    let none = Split::draw_spec(&spec(MetaSource::None), &source).expect("drawable");
    assert_eq!(none.train, words("numpy/none_train.bin"));
    let metasaug = Split::draw_spec(&spec(MetaSource::Metasaug), &source).expect("drawable");
    assert_eq!(metasaug.meta, words("numpy/metasaug_meta.bin"));
    assert_eq!(metasaug.train, words("numpy/metasaug_train.bin"));
}
