//! `features diff`: two hand-off files, tensor by tensor.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use longtail_artifact::{ArtifactError, TensorFile};
use serde_json::{Value, json};

/// How one tensor differs between two files.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// All bits are equal.
    Same,
    /// In the first file only.
    OnlyInFirst,
    /// In the second file only.
    OnlyInSecond,
    /// Another shape or element type; in words.
    Kind(String),
    /// Shapes and types agree, but values differ.
    Values {
        /// Number of values that differ.
        count: usize,
        /// Number of values compared.
        total: usize,
        /// The largest absolute difference (infinite where one side is not a number).
        max_abs: f64,
        /// The mean absolute difference over all values.
        mean_abs: f64,
        /// The first differing flat index.
        first: usize,
    },
}

/// Values looked at in one go: files may be larger than memory.
const CHUNK: usize = 1 << 12;

/// Compares the tensors called `name` of two files.
///
/// # Errors
/// An element type that is none of ours.
pub fn compare(a: &TensorFile, b: &TensorFile, name: &str) -> Result<Difference, ArtifactError> {
    let (first, second) = match (a.shape(name), b.shape(name)) {
        (Some(first), Some(second)) => (first, second),
        (Some(_), None) => return Ok(Difference::OnlyInFirst),
        _ => return Ok(Difference::OnlyInSecond),
    };
    if first != second || a.dtype_name(name) != b.dtype_name(name) {
        let kind = |file: &TensorFile, shape| format!("{} {shape:?}", file.dtype_name(name));
        return Ok(Difference::Kind(format!("{} against {}", kind(a, first), kind(b, second))));
    }
    let (mut x, mut y) = (vec![0.0; CHUNK], vec![0.0; CHUNK]);
    let (mut total, mut count, mut max_abs, mut sum, mut at) = (0usize, 0usize, 0.0f64, 0.0f64, 0usize);
    loop {
        let read = a.read_f64(name, total, &mut x)?.min(b.read_f64(name, total, &mut y)?);
        if read == 0 {
            break;
        }
        for (index, (x, y)) in x[..read].iter().zip(&y[..read]).enumerate() {
            if x.to_bits() == y.to_bits() {
                continue;
            }
            let gap = if (x - y).is_nan() { f64::INFINITY } else { (x - y).abs() };
            if count == 0 {
                at = total + index;
            }
            (count, max_abs, sum) = (count + 1, max_abs.max(gap), sum + gap);
        }
        total += read;
    }
    Ok(match count {
        0 => Difference::Same,
        _ => Difference::Values { count, total, max_abs, mean_abs: sum / total as f64, first: at },
    })
}

/// Prints how two files differ; exit code 1 when any tensor or the metadata does.
///
/// # Errors
/// A file that cannot be read.
pub fn run(a: &Path, b: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let (first, second) = (TensorFile::open(a)?, TensorFile::open(b)?);
    let names: BTreeSet<&String> = first.names().iter().chain(second.names()).collect();
    let mut rows = Vec::new();
    for name in names {
        rows.push((name.as_str(), compare(&first, &second, name)?));
    }
    let metadata_differs = first.metadata() != second.metadata();
    let differ = metadata_differs || rows.iter().any(|(_, difference)| *difference != Difference::Same);
    if as_json {
        let tensors: Vec<Value> = rows.iter().map(|(name, difference)| to_json(name, difference)).collect();
        println!("{}", json!({"equal": !differ, "metadata_equal": !metadata_differs, "tensors": tensors}));
    } else {
        for (name, difference) in &rows {
            println!("{name}: {}", words(difference));
        }
        println!("metadata: {}", if metadata_differs { "differs" } else { "the same" });
    }
    Ok(if differ { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn words(difference: &Difference) -> String {
    match difference {
        Difference::Same => "the same bits".to_owned(),
        Difference::OnlyInFirst => "only in the first file".to_owned(),
        Difference::OnlyInSecond => "only in the second file".to_owned(),
        Difference::Kind(text) => text.clone(),
        Difference::Values { count, total, max_abs, mean_abs, first } => format!(
            "{count} of {total} values differ, largest |a − b| {max_abs:.3e}, mean {mean_abs:.3e}, first at flat index {first}"
        ),
    }
}

fn to_json(name: &str, difference: &Difference) -> Value {
    match difference {
        Difference::Values { count, total, max_abs, mean_abs, first } => json!({
            "name": name, "equal": false, "differing": count, "total": total, "max_abs": max_abs, "mean_abs": mean_abs,
            "first": first,
        }),
        Difference::Same => json!({"name": name, "equal": true}),
        other => json!({"name": name, "equal": false, "why": words(other)}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longtail_artifact::{NamedTensor, TensorData, write_tensors};

    #[test]
    fn differences_are_counted_and_nan_is_infinitely_far() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = |name: &str, values: Vec<f32>| {
            let path = dir.path().join(name);
            let tensor = NamedTensor { name: "x".into(), shape: vec![values.len()], data: TensorData::F32(values) };
            write_tensors(&path, &[tensor], &Value::Null).expect("writable");
            TensorFile::open(&path).expect("sound")
        };
        let compare = |a: &TensorFile, b: &TensorFile| compare(a, b, "x").expect("readable");
        let a = file("a", vec![1.0, 2.0, 3.0, f32::NAN]);
        assert_eq!(compare(&a, &a), Difference::Same);
        let Difference::Values { count, max_abs, first, .. } = compare(&a, &file("b", vec![1.0, 2.5, 3.0, f32::NAN]))
        else {
            panic!("they differ")
        };
        assert_eq!((count, max_abs, first), (1, 0.5, 1));
        let c = file("c", vec![1.0, 2.0, f32::NAN, f32::NAN]);
        assert!(matches!(compare(&a, &c), Difference::Values { max_abs: f64::INFINITY, .. }));
        assert!(matches!(compare(&a, &file("d", vec![1.0])), Difference::Kind(_)));
        // In a later chunk than the first.
        let mut long = vec![0.0; CHUNK + 9];
        let e = file("e", long.clone());
        long[CHUNK + 5] = 3.0;
        let Difference::Values { total, mean_abs, first, .. } = compare(&e, &file("f", long)) else {
            panic!("they differ")
        };
        assert_eq!((total, mean_abs, first), (CHUNK + 9, 3.0 / (CHUNK + 9) as f64, CHUNK + 5));
    }
}
