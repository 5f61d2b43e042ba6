//! `inspect`, `diff` and `export` as a person calls them.

use std::path::{Path, PathBuf};
use std::process::Command;

use longtail_artifact::{NamedTensor, TensorData, write_tensors};
use ndarray::{Array1, Array2};
use ndarray_npy::NpzReader;
use proptest::prelude::*;
use serde_json::{Value, json};

fn tool(arguments: &[&std::ffi::OsStr]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_features")).args(arguments).output().expect("starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn dump(path: &Path, features: Vec<f32>, labels: Vec<u32>) {
    let vector = |name: &str, values: Vec<u32>| NamedTensor {
        name: name.into(),
        shape: vec![values.len()],
        data: TensorData::U32(values),
    };
    let rows = labels.len();
    let tensors = [
        NamedTensor { name: "features".into(), shape: vec![rows, 2], data: TensorData::F32(features) },
        vector("indices", (10..10 + rows as u32).collect()),
        vector("labels", labels),
        vector("class_counts", vec![9, 5, 1]),
    ];
    let metadata = json!({"split": "train", "backbone": "3f9c", "feature_dim": 2});
    write_tensors(path, &tensors, &metadata).expect("writable");
}

fn two_dumps() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (a, b) = (dir.path().join("a.safetensors"), dir.path().join("b.safetensors"));
    dump(&a, vec![3.0, 4.0, 1.0, 0.0, 0.0, 1.0], vec![0, 1, 1]);
    dump(&b, vec![3.0, 4.5, 1.0, 0.0, 0.0, 1.0], vec![0, 1, 2]);
    (dir, a, b)
}

#[test]
fn inspect_says_shapes_counts_norms_spread_and_where_from() {
    let (_dir, a, _) = two_dumps();
    let (code, said, _) = tool(&["inspect".as_ref(), a.as_ref()]);
    assert_eq!(code, Some(0));
    for word in ["features", "[3, 2]", "F32", "blake3", "min 1.0000", "max 5.0000", "backbone", "3f9c", "dimension 2"] {
        assert!(said.contains(word), "`{word}` is not in {said}");
    }
    let (code, said, _) = tool(&["inspect".as_ref(), a.as_ref(), "--json".as_ref()]);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(code, Some(0));
    assert_eq!(said["features"]["rows_per_class"], json!([1, 2, 0]));
    assert_eq!(said["features"]["spread"][2], Value::Null);
    assert_eq!(said["metadata"]["split"], "train");
}

#[test]
fn inspect_sums_up_a_thousand_classes_unless_it_is_asked_for_all() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("many.safetensors");
    let counts: Vec<u32> = (0..1000u32).map(|class| if class < 990 { 1100 - class } else { 1000 - class }).collect();
    let vector = |name: &str, values: Vec<u32>| NamedTensor {
        name: name.into(),
        shape: vec![values.len()],
        data: TensorData::U32(values),
    };
    let tensors = [
        NamedTensor { name: "features".into(), shape: vec![2, 1], data: TensorData::F32(vec![1.0, 2.0]) },
        vector("labels", vec![0, 995]),
        vector("class_counts", counts),
    ];
    write_tensors(&path, &tensors, &Value::Null).expect("writable");
    let (code, said, _) = tool(&["inspect".as_ref(), path.as_ref()]);
    assert_eq!(code, Some(0));
    let row = |first: &str| -> Vec<String> {
        let line = said.lines().find(|line| line.split_whitespace().next() == Some(first));
        line.unwrap_or_else(|| panic!("no row `{first}` in {said}")).split_whitespace().map(str::to_owned).collect()
    };
    // Classes 0..=989 have 1100 to 111 images, 990..=999 have 10 to 1.
    assert_eq!(row("many"), ["many", "over", "100", "990", "599445", "1", "989", "0.0000"]);
    assert_eq!(row("medium")[4..6], ["0", "0"]);
    assert_eq!(row("few"), ["few", "under", "20", "10", "55", "1", "9", "0.0000"]);
    assert_eq!(row("4")[1], "1096");
    assert_eq!(row("995")[1..], ["5", "1", "0.0000"]);
    assert!(said.lines().count() < 45 && said.contains("the first and last 5 of 1000 classes"), "{said}");
    let (_, said, _) = tool(&["inspect".as_ref(), path.as_ref(), "--all".as_ref()]);
    assert!(said.lines().count() > 1000);
}

#[test]
fn inspect_takes_any_file_and_counts_bad_values() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("head.safetensors");
    let data = TensorData::F32(vec![1.0, f32::NAN, f32::INFINITY, 2.0]);
    write_tensors(&path, &[NamedTensor { name: "weight".into(), shape: vec![2, 2], data }], &json!({"kind": "linear"}))
        .expect("writable");
    let (code, said, _) = tool(&["inspect".as_ref(), path.as_ref()]);
    assert!(
        code == Some(0) && said.contains("warning: 2 values are NaN or infinite") && said.contains("linear"),
        "{said}"
    );
}

#[test]
fn diff_names_what_differs_and_exits_with_one() {
    let (_dir, a, b) = two_dumps();
    let (code, said, _) = tool(&["diff".as_ref(), a.as_ref(), a.as_ref()]);
    assert!(code == Some(0) && said.contains("features: the same bits"), "{said}");
    let (code, said, _) = tool(&["diff".as_ref(), a.as_ref(), b.as_ref()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("features: 1 of 6 values differ") && said.contains("5.000e-1"), "{said}");
    assert!(said.contains("labels: 1 of 3 values differ") && said.contains("indices: the same bits"), "{said}");
    let (code, said, _) = tool(&["diff".as_ref(), a.as_ref(), b.as_ref(), "--json".as_ref()]);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &said["equal"], &said["metadata_equal"]), (Some(1), &json!(false), &json!(true)));
}

#[test]
fn export_is_read_back_to_the_bit() {
    let (dir, a, _) = two_dumps();
    let npz = dir.path().join("a.npz");
    let (code, _, said) = tool(&["export".as_ref(), a.as_ref(), "--npz".as_ref(), npz.as_ref()]);
    assert_eq!(code, Some(0), "{said}");
    let mut arrays = NpzReader::new(std::fs::File::open(&npz).expect("there")).expect("an npz");
    let features: Array2<f32> = arrays.by_name("features").expect("there");
    assert_eq!(features, ndarray::arr2(&[[3.0, 4.0], [1.0, 0.0], [0.0, 1.0]]));
    let labels: Array1<u32> = arrays.by_name("labels").expect("there");
    assert_eq!(labels.to_vec(), [0, 1, 1]);
    let metadata: Array1<u8> = arrays.by_name("metadata_json").expect("there");
    let metadata: Value = serde_json::from_slice(&metadata.to_vec()).expect("JSON");
    assert_eq!(metadata["backbone"], "3f9c");
}

#[test]
fn bad_files_and_bad_calls_are_told_in_words() {
    let (dir, a, _) = two_dumps();
    let none = dir.path().join("none.safetensors");
    let cut = dir.path().join("cut.safetensors");
    std::fs::write(&cut, &std::fs::read(&a).expect("readable")[..50]).expect("writable");
    for (file, word) in [(&none, "does not exist"), (&cut, "damaged")] {
        for tool_name in ["inspect", "diff"] {
            let mut arguments: Vec<&std::ffi::OsStr> = vec![tool_name.as_ref(), file.as_ref()];
            if tool_name == "diff" {
                arguments.push(a.as_ref());
            }
            let (code, _, said) = tool(&arguments);
            assert!(code == Some(2) && said.starts_with("error: ") && said.contains(word), "{said}");
        }
    }
    let (code, _, said) = tool(&[]);
    assert!(code == Some(2) && said.contains("--help"), "{said}");
    let (code, said, _) = tool(&["--help".as_ref()]);
    assert!(code == Some(0) && said.contains("Examples:") && said.contains("inspect"), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a bit is flipped to, the summary is refused or consistent; a huge label or class count costs nothing.
    #[test]
    fn summaries_of_damaged_dumps_never_panic(place in 0.0..1.0f64, bit in 0u8..8) {
        let (dir, a, _) = two_dumps();
        let mut bytes = std::fs::read(&a).expect("readable");
        let at = (place * bytes.len() as f64) as usize;
        bytes[at] ^= 1 << bit;
        let path = dir.path().join("flipped.safetensors");
        std::fs::write(&path, bytes).expect("writable");
        if let Ok(file) = longtail_artifact::TensorFile::open(&path)
            && let Ok(Some(summary)) = longtail_features::inspect::summarize(&file)
        {
            prop_assert_eq!(summary.rows_per_class.iter().sum::<usize>(), summary.rows);
        }
    }
}
