//! Named tensors, there and strictly back.

mod common;

use common::{bench, bits};
use longtail_backbone::{from_tensors, to_tensors};

type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn refused(change: impl FnOnce(&mut Tensors)) -> String {
    let bench = bench::<f32>("resnet8", (4, 4, 1), 1);
    let mut tensors = to_tensors(&bench.network, &bench.params, &bench.running);
    change(&mut tensors);
    from_tensors(&bench.network, &tensors).expect_err("refused").to_string()
}

#[test]
fn all_of_it_comes_back_in_any_order() {
    let bench = bench::<f32>("resnet14_two_headed", (4, 4, 3), 1);
    let mut tensors = to_tensors(&bench.network, &bench.params, &bench.running);
    assert_eq!((tensors[0].0.as_str(), tensors[0].1.as_slice()), ("conv1.weight", [16, 3, 3, 3].as_slice()));
    assert_eq!(tensors.last().expect("some").0, "rb_block.bn2.running_var");
    tensors.reverse();
    let (params, running) = from_tensors(&bench.network, &tensors).expect("what was written");
    assert_eq!((bits(&params), bits(&running)), (bits(&bench.params), bits(&bench.running)));
}

#[test]
fn everything_else_is_refused_in_words() {
    assert_eq!(refused(|t| drop(t.remove(0))), "tensor `conv1.weight` [16, 1, 3, 3] of resnet8 is missing");
    assert_eq!(refused(|t| t[0].0 = "conv0.weight".into()), "tensor `conv0.weight` does not belong to resnet8");
    assert_eq!(refused(|t| t.push(t[1].clone())), "tensor `bn1.weight` occurs twice");
    assert_eq!(
        refused(|t| t[0].1 = vec![16, 3, 3, 1]),
        "tensor `conv1.weight` has shape [16, 3, 3, 1], resnet8 needs [16, 1, 3, 3]"
    );
    assert!(refused(|t| t[1].2.truncate(3)).contains("`bn1.weight` has shape"));
    assert_eq!(
        refused(|t| t[1].2[5] = f32::NAN),
        "tensor `bn1.weight` holds NaN at index 5; every value must be finite"
    );
    let negative = refused(|t| t.last_mut().expect("some").2[2] = -0.5);
    assert_eq!(negative, "tensor `layer3.0.bn2.running_var` holds -0.5 at index 2; a variance cannot be negative");
}

mod file {
    use std::path::{Path, PathBuf};

    use longtail_artifact::{TensorFile, write_tensors};
    use longtail_backbone::{SavedBackbone, save_backbone};
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::{bench, bits};

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    fn written(folder: &Path) -> PathBuf {
        let path = folder.join("backbone.safetensors");
        let bench = bench::<f32>("resnet8", (6, 5, 3), 1);
        let more = Map::from_iter([("num_classes".to_owned(), json!(7))]);
        save_backbone(&path, &bench.network, &bench.params, &bench.running, &more).expect("written");
        path
    }

    #[test]
    fn a_backbone_says_what_it_is() {
        let folder = folder();
        let path = written(folder.path());
        let bench = bench::<f32>("resnet8", (6, 5, 3), 1);
        let saved = SavedBackbone::open(&path).expect("what was written");
        assert_eq!(
            (saved.network.architecture(), saved.network.image()),
            (bench.network.architecture(), bench.network.image())
        );
        assert_eq!((bits(&saved.params), bits(&saved.running)), (bits(&bench.params), bits(&bench.running)));
        assert_eq!(saved.metadata["num_classes"], 7);
        assert_eq!(saved.metadata["image"], json!({"h": 6, "w": 5, "c": 3}));
    }

    #[test]
    fn a_wrong_description_is_refused_with_the_files_name() {
        let folder = folder();
        let path = written(folder.path());
        let file = TensorFile::open(&path).expect("written");
        let (tensors, good) = (file.tensors().expect("readable"), file.metadata().clone());
        let refused = |key: &str, value: Value| {
            let mut metadata = good.clone();
            metadata[key] = value;
            let other = folder.path().join("other.safetensors");
            write_tensors(&other, &tensors, &metadata).expect("written");
            let message = SavedBackbone::open(&other).expect_err("refused").to_string();
            assert!(message.contains("other.safetensors"), "{message}");
            message
        };
        assert!(refused("architecture", json!("resnet9")).contains("depth 9"));
        assert!(refused("architecture", json!(8)).contains("no `architecture`"));
        assert!(
            refused("architecture", json!("resnet14"))
                .contains("`layer1.1.conv1.weight` [16, 16, 3, 3] of resnet14 is missing")
        );
        assert!(refused("image", json!({"h": 6, "w": 5})).contains("`image.c` must be a whole number, found null"));
        assert!(refused("image", json!({"h": 6, "w": 5, "c": 1})).contains("resnet8 needs [16, 1, 3, 3]"));
        assert!(refused("image", json!({"h": u64::MAX, "w": 5, "c": 3})).contains("1 to 65535"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn damaged_bytes_never_panic(cut in 0usize..400_000, at in 0usize..12_000, bit in 0u32..8, truncate: bool) {
            let folder = folder();
            let path = written(folder.path());
            let mut bytes = std::fs::read(&path).expect("written");
            if truncate {
                bytes.truncate(cut % bytes.len());
            } else {
                let at = at % bytes.len();
                bytes[at] ^= 1 << bit;
            }
            std::fs::write(&path, &bytes).expect("written");
            let opened = SavedBackbone::open(&path);
            prop_assert!(opened.is_err() || !truncate);
        }
    }
}
