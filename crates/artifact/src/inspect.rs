//! What stands in a hand-off file, in numbers.

use crate::{ArtifactError, TensorFile};

/// One tensor's census. `min`, `max` and `mean` are over finite values; None when there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorCensus {
    /// The tensor's name.
    pub name: String,
    /// Its element type: `F32`, `U32`, ….
    pub dtype: String,
    /// Shape of the tensor, outermost dimension first.
    pub shape: Vec<usize>,
    /// The smallest finite value.
    pub min: Option<f64>,
    /// The largest finite value.
    pub max: Option<f64>,
    /// The mean of the finite values.
    pub mean: Option<f64>,
    /// Number of NaN elements.
    pub nan: usize,
    /// How many infinities.
    pub infinite: usize,
}

/// Values looked at in one go.
const CHUNK: usize = 1 << 12;

/// The census of every tensor, by name. Nothing of the file is copied but one chunk at a time.
///
/// # Errors
/// A tensor of a type that is no plain number.
pub fn census(file: &TensorFile) -> Result<Vec<TensorCensus>, ArtifactError> {
    file.names().iter().map(|name| census_of(file, name)).collect()
}

fn census_of(file: &TensorFile, name: &str) -> Result<TensorCensus, ArtifactError> {
    let mut values = vec![0.0; CHUNK];
    let (mut from, mut sum, mut finite, mut nan) = (0usize, 0.0f64, 0usize, 0usize);
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    loop {
        let count = file.read_f64(name, from, &mut values)?;
        if count == 0 {
            break;
        }
        from += count;
        for &value in &values[..count] {
            if value.is_finite() {
                (min, max) = (min.min(value), max.max(value));
                sum += value;
                finite += 1;
            } else {
                nan += usize::from(value.is_nan());
            }
        }
    }
    let known = |value: f64| (finite > 0).then_some(value);
    Ok(TensorCensus {
        name: name.to_owned(),
        dtype: file.dtype_name(name),
        shape: file.shape(name).unwrap_or_default().to_vec(),
        min: known(min),
        max: known(max),
        mean: known(sum / finite as f64),
        nan,
        infinite: from - finite - nan,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NamedTensor, TensorData, write_tensors};

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
