//! Errors about tensors of other programs, in words that a person can use.

use longtail_artifact::{ArtifactError, NamedTensor, TensorData, TensorFile, write_tensors};
use serde_json::json;

fn file(folder: &std::path::Path, shape: &[usize], values: &[f64]) -> TensorFile {
    let path = folder.join("own.safetensors");
    let tensor = NamedTensor { name: "x".into(), shape: shape.to_vec(), data: TensorData::F64(values.to_vec()) };
    write_tensors(&path, &[tensor], &json!({})).expect("writable");
    TensorFile::open(&path).expect("sound")
}

fn told<T: std::fmt::Debug>(result: Result<T, ArtifactError>) -> (String, String) {
    let error = result.expect_err("refused");
    (error.to_string(), error.hint().expect("a hint"))
}

#[test]
fn a_value_that_no_conversion_keeps_is_short_and_gets_no_line_that_makes_it_infinite() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (said, hint) = told(file(folder.path(), &[2], &[0.5, 1e300]).expect_f32("x", &[Some(2)]));
    assert!(said.contains("is F64 and holds 1e300 at flat index 1"), "{said}");
    assert!(!hint.contains("python3") && hint.contains("scale all features down"), "{hint}");
    // One that is only rounded is converted by whoever wants that.
    let (said, hint) = told(file(folder.path(), &[2], &[0.5, 0.1]).expect_f32("x", &[Some(2)]));
    assert!(said.contains("holds 0.1 at") && hint.contains("astype(\"float32\")"), "{said}\n{hint}");
}

#[test]
fn an_expected_shape_is_told_without_placeholders() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = file(folder.path(), &[2, 1], &[0.5, 0.25]);
    let (said, _) = told(file.expect_f64("x", &[None]));
    assert!(said.ends_with("has shape [2, 1], expected one dimension"), "{said}");
    let (said, _) = told(file.expect_f64("x", &[None, Some(3)]));
    assert!(said.ends_with("has shape [2, 1], expected [any, 3]"), "{said}");
}
