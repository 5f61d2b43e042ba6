//! What stands in a hand-off file, in numbers.

use crate::{ArtifactError, TensorData, TensorFile};

/// One tensor's census. `min`, `max` and `mean` are over finite values; None when there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorCensus {
    /// The tensor's name.
    pub name: String,
    /// Its element type: `F32`, `U32`, ….
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The smallest finite value.
    pub min: Option<f64>,
    /// The largest finite value.
    pub max: Option<f64>,
    /// The mean of the finite values.
    pub mean: Option<f64>,
    /// How many NaNs.
    pub nan: usize,
    /// How many infinities.
    pub infinite: usize,
}

/// The census of every tensor, by name.
///
/// # Errors
/// A tensor of a type that is none of ours.
pub fn census(file: &TensorFile) -> Result<Vec<TensorCensus>, ArtifactError> {
    let mut rows = Vec::new();
    for tensor in file.tensors()? {
        let dtype = tensor.data.dtype().name().to_owned();
        let values: Vec<f64> = match &tensor.data {
            TensorData::F32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            TensorData::F64(v) => v.clone(),
            TensorData::U32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            TensorData::U8(v) => v.iter().map(|x| f64::from(*x)).collect(),
            TensorData::I64(v) => v.iter().map(|x| *x as f64).collect(),
        };
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        rows.push(TensorCensus {
            name: tensor.name,
            dtype,
            shape: tensor.shape,
            min: finite.iter().copied().reduce(f64::min),
            max: finite.iter().copied().reduce(f64::max),
            mean: (!finite.is_empty()).then(|| finite.iter().sum::<f64>() / finite.len() as f64),
            nan: values.iter().filter(|value| value.is_nan()).count(),
            infinite: values.iter().filter(|value| value.is_infinite()).count(),
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NamedTensor, write_tensors};

    #[test]
    fn bad_values_are_counted_and_left_out_of_the_mean() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("x.safetensors");
        let data = TensorData::F32(vec![1.0, f32::NAN, 3.0, f32::INFINITY]);
        write_tensors(&path, &[NamedTensor { name: "x".into(), shape: vec![4], data }], &serde_json::Value::Null)
            .expect("writable");
        let row = census(&TensorFile::open(&path).expect("sound")).expect("readable").remove(0);
        assert_eq!((row.min, row.max, row.mean, row.nan, row.infinite), (Some(1.0), Some(3.0), Some(2.0), 1, 1));
    }
}
