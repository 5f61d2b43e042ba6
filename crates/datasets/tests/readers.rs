//! Readers meet real files, damaged files and garbage.

use std::io::Write;
use std::path::Path;

use longtail_datasets::read::{cifar100, idx, inflate};
use longtail_datasets::{DatasetError, load};
use longtail_recipe::Dataset;
use proptest::prelude::*;

const RECORD: usize = 3074;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

/// Four bytes of magic, two sizes, six values.
fn small_idx() -> Vec<u8> {
    vec![0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 10, 11, 12, 13, 14, 15]
}

proptest! {
    #[test]
    fn idx_of_garbage_is_an_error_or_the_values(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(values) = idx::parse(&bytes, &[2, 3]) {
            prop_assert_eq!(values, &bytes[12..]);
        }
    }

    #[test]
    fn idx_with_a_flipped_bit_never_reads_elsewhere(bit in 0..18 * 8usize, cut in 0..18usize) {
        let mut bytes = small_idx();
        prop_assert!(idx::parse(&bytes[..cut], &[2, 3]).is_err());
        bytes[bit / 8] ^= 1 << (bit % 8);
        // The header is 12 bytes: a flip there is an error, a flip in a value is that value.
        prop_assert_eq!(idx::parse(&bytes, &[2, 3]).is_ok(), bit / 8 >= 12);
    }

    #[test]
    fn idx_sizes_from_the_file_allocate_nothing(sizes in proptest::array::uniform2(any::<u32>())) {
        let mut bytes = vec![0, 0, 8, 2];
        sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        prop_assert_eq!(idx::parse(&bytes, &sizes).is_ok(), sizes.contains(&0));
    }

    #[test]
    fn gzip_with_a_flipped_bit_is_an_error_or_the_content(bit in any::<proptest::sample::Index>(), cut in any::<proptest::sample::Index>()) {
        let content: Vec<u8> = (0..400u32).map(|i| (i * i % 251) as u8).collect();
        let mut packed = gzip(&content);
        prop_assert!(inflate(&packed[..cut.index(packed.len())], 400).is_err());
        let bit = bit.index(packed.len() * 8);
        packed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(found) = inflate(&packed[..], 400) {
            prop_assert_eq!(found, content); // time, name and the like may change
        }
    }

    #[test]
    fn cifar_of_garbage_is_an_error_or_in_range(
        labels in proptest::collection::vec((0..30u8, 0..130u8), 0..4),
        extra in 0..RECORD,
    ) {
        let mut bytes = Vec::new();
        for &(coarse, fine) in &labels {
            bytes.extend([coarse, fine]);
            bytes.extend(std::iter::repeat_n(9, RECORD - 2));
        }
        bytes.extend(std::iter::repeat_n(0, extra));
        let good = extra == 0 && labels.iter().all(|&(coarse, fine)| coarse < 20 && fine < 100);
        match cifar100::parse(&bytes) {
            Ok(set) => {
                prop_assert!(good);
                prop_assert_eq!(set.len(), labels.len());
                prop_assert_eq!(set.images.pixels().len(), labels.len() * 3072);
            }
            Err(_) => prop_assert!(!good),
        }
    }
}

fn embedded() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/fashion-mnist")
}

#[test]
fn fashion_mnist_is_what_was_published() {
    let source = load(Dataset::FashionMnist, Some(&embedded())).expect("the embedded files");
    assert_eq!((source.train.len(), source.test.len()), (60_000, 10_000));
    assert_eq!(source.train.class_counts(), [6000; 10]);
    assert_eq!(source.test.class_counts(), [1000; 10]);
    assert_eq!(source.train.labels[..10], [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]);
    let (mean, std) = source.train.channel_statistics()[0];
    assert!((mean - 0.2860).abs() < 5e-5 && (std - 0.3530).abs() < 5e-5, "{mean} {std}");
    assert_eq!(source.hash.len(), 64);
    // The parent folder will do as well.
    let again = load(Dataset::FashionMnist, embedded().parent()).expect("the embedded files");
    assert_eq!(again.hash, source.hash);
}

/// A folder with Fashion-MNIST's files, except that `name` holds `content`; `None` leaves it out.
fn folder_with(name: &str, content: Option<&[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    for entry in std::fs::read_dir(embedded()).expect("the embedded folder") {
        let path = entry.expect("an entry").path();
        let file = path.file_name().expect("a name").to_owned();
        if path.extension().is_some_and(|extension| extension == "gz") && file != format!("{name}.gz").as_str() {
            std::fs::copy(&path, folder.path().join(file)).expect("copying");
        }
    }
    if let Some(content) = content {
        let file = if content.starts_with(&[0x1f, 0x8b]) { format!("{name}.gz") } else { name.to_owned() };
        std::fs::write(folder.path().join(file), content).expect("writing");
    }
    folder
}

fn load_with(name: &str, content: Option<&[u8]>) -> DatasetError {
    let folder = folder_with(name, content);
    load(Dataset::FashionMnist, Some(folder.path())).expect_err("damaged")
}

#[test]
fn damaged_files_are_named_with_what_is_wrong_and_what_to_do() {
    const LABELS: &str = "train-labels-idx1-ubyte";
    let packed = std::fs::read(embedded().join(format!("{LABELS}.gz"))).expect("the embedded file");
    let plain = inflate(&packed[..], 60_008).expect("good");

    let missing = load_with(LABELS, None);
    assert!(missing.to_string().contains("train-labels-idx1-ubyte.gz` is missing"), "{missing}");
    let truncated = load_with(LABELS, Some(&packed[..packed.len() / 2]));
    assert!(truncated.to_string().contains("train-labels-idx1-ubyte.gz`: broken gzip stream"), "{truncated}");
    let short = load_with(LABELS, Some(&plain[..60_000]));
    assert!(short.to_string().ends_with("file: expected 60008 bytes, found 60000"), "{short}");
    let mut changed = plain.clone();
    changed[5000] ^= 1;
    let changed = load_with(LABELS, Some(&changed));
    assert!(changed.to_string().contains("is corrupted: BLAKE3 of the unpacked bytes is"), "{changed}");
    let oversize = load_with(LABELS, Some(&gzip(&[plain.clone(), vec![0]].concat())));
    assert!(oversize.to_string().ends_with("expected 60008 bytes, found at least 60009"), "{oversize}");
    for error in [missing, truncated, short, changed, oversize] {
        assert!(error.hint().expect("a hint").contains("git checkout data/fashion-mnist"));
    }
}

#[test]
fn cifar_files_of_wrong_size_or_count_are_named() {
    let folder = tempfile::tempdir().expect("temporary folder");
    std::fs::write(folder.path().join("train.bin"), [0; 100]).expect("writing");
    let error = load(Dataset::Cifar100, Some(folder.path())).expect_err("short");
    assert!(error.to_string().ends_with("train.bin`: file: expected 153700000 bytes, found 100"), "{error}");
    assert!(error.hint().expect("a hint").contains("cifar-100-binary.tar.gz"));
}

/// Needs the user's own copy: LONGTAIL_CIFAR100 names its folder.
#[test]
fn cifar100_is_what_was_published() {
    let Some(folder) = std::env::var_os("LONGTAIL_CIFAR100") else {
        println!("skipped: LONGTAIL_CIFAR100 does not name a folder with train.bin and test.bin");
        return;
    };
    let source = load(Dataset::Cifar100, Some(Path::new(&folder))).expect("the official binary layout");
    assert_eq!(source.train.class_counts(), [500; 100]);
    assert_eq!(source.test.class_counts(), [100; 100]);
    for ((mean, std), expected) in
        source.train.channel_statistics().iter().zip([(0.50708, 0.2673), (0.48655, 0.2564), (0.44092, 0.2762)])
    {
        assert!((mean - expected.0).abs() < 5e-5 && (std - expected.1).abs() < 2e-4, "{mean} {std}");
    }
}
