//! `features diff`: two hand-off files, tensor by tensor.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use longtail_artifact::{NamedTensor, TensorData, TensorFile};
use serde_json::{Value, json};

/// How one tensor differs between two files.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// The same bits.
    Same,
    /// In the first file only.
    OnlyInFirst,
    /// In the second file only.
    OnlyInSecond,
    /// Another shape or element type; in words.
    Kind(String),
    /// Values differ.
    Values {
        /// How many.
        count: usize,
        /// Of how many.
        total: usize,
        /// The largest absolute difference (infinite where one side is not a number).
        max_abs: f64,
        /// The mean absolute difference over all values.
        mean_abs: f64,
        /// The first differing flat index.
        first: usize,
    },
}

/// Compares two tensors of one name.
pub fn compare(a: &NamedTensor, b: &NamedTensor) -> Difference {
    if a.shape != b.shape || a.data.dtype() != b.data.dtype() {
        let kind = |tensor: &NamedTensor| format!("{} {:?}", tensor.data.dtype().name(), tensor.shape);
        return Difference::Kind(format!("{} against {}", kind(a), kind(b)));
    }
    let (x, y) = (values(&a.data), values(&b.data));
    let mut difference = (0usize, 0.0f64, 0.0f64, 0usize);
    for (index, (x, y)) in x.iter().zip(&y).enumerate() {
        if x.to_bits() == y.to_bits() {
            continue;
        }
        let gap = if (x - y).is_nan() { f64::INFINITY } else { (x - y).abs() };
        if difference.0 == 0 {
            difference.3 = index;
        }
        difference = (difference.0 + 1, difference.1.max(gap), difference.2 + gap, difference.3);
    }
    let (count, max_abs, sum, first) = difference;
    match count {
        0 => Difference::Same,
        _ => Difference::Values { count, total: x.len(), max_abs, mean_abs: sum / x.len() as f64, first },
    }
}

fn values(data: &TensorData) -> Vec<f64> {
    match data {
        TensorData::F32(v) => v.iter().map(|x| f64::from(*x)).collect(),
        TensorData::F64(v) => v.clone(),
        TensorData::U32(v) => v.iter().map(|x| f64::from(*x)).collect(),
        TensorData::U8(v) => v.iter().map(|x| f64::from(*x)).collect(),
        TensorData::I64(v) => v.iter().map(|x| *x as f64).collect(),
    }
}

/// Prints how two files differ; exit code 1 when any tensor or the metadata does.
///
/// # Errors
/// A file that cannot be read.
pub fn run(a: &Path, b: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let (first, second) = (TensorFile::open(a)?, TensorFile::open(b)?);
    let names: BTreeSet<String> = first.names().iter().chain(second.names()).map(|name| name.to_string()).collect();
    let (left, right) = (first.tensors()?, second.tensors()?);
    let find = |tensors: &[NamedTensor], name: &str| tensors.iter().find(|tensor| tensor.name == name).cloned();
    let mut rows = Vec::new();
    for name in names {
        let difference = match (find(&left, &name), find(&right, &name)) {
            (Some(a), Some(b)) => compare(&a, &b),
            (Some(_), None) => Difference::OnlyInFirst,
            _ => Difference::OnlyInSecond,
        };
        rows.push((name, difference));
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

    fn tensor(values: Vec<f32>) -> NamedTensor {
        NamedTensor { name: "x".into(), shape: vec![values.len()], data: TensorData::F32(values) }
    }

    #[test]
    fn differences_are_counted_and_nan_is_infinitely_far() {
        let a = tensor(vec![1.0, 2.0, 3.0, f32::NAN]);
        assert_eq!(compare(&a, &a), Difference::Same);
        let b = tensor(vec![1.0, 2.5, 3.0, f32::NAN]);
        let Difference::Values { count, max_abs, first, .. } = compare(&a, &b) else { panic!("they differ") };
        assert_eq!((count, max_abs, first), (1, 0.5, 1));
        let c = tensor(vec![1.0, 2.0, f32::NAN, f32::NAN]);
        assert!(matches!(compare(&a, &c), Difference::Values { max_abs: f64::INFINITY, .. }));
        assert!(matches!(compare(&a, &tensor(vec![1.0])), Difference::Kind(_)));
    }
}
