//! Normalisation of bytes, as a table of the 256 values that each channel can take.

use serde_json::{Value, json};

use crate::error::TransformError;

/// `(v/255 − mean_c) / std_c` in f32, for every byte `v` and channel `c`: the very values that torchvision's `ToTensor` and
/// `Normalize` give.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelTable {
    values: Vec<[f32; 256]>,
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl PixelTable {
    /// # Errors
    /// Another number of means or deviations than `channels`, a value that is not finite, or a deviation that is not positive.
    pub fn new(mean: &[f32], std: &[f32], channels: usize) -> Result<Self, TransformError> {
        let problem = |problem: String| Err(TransformError { what: "normalize", problem });
        if mean.len() != channels || std.len() != channels {
            return problem(format!(
                "{} means and {} deviations for images of {channels} channels",
                mean.len(),
                std.len()
            ));
        }
        if let Some(bad) = std.iter().find(|&&value| !(value > 0.0 && value.is_finite())) {
            return problem(format!("a deviation is {bad}, expected a positive number"));
        }
        if let Some(bad) = mean.iter().find(|value| !value.is_finite()) {
            return problem(format!("a mean is {bad}, expected a number"));
        }
        let values = mean
            .iter()
            .zip(std)
            .map(|(&mean, &std)| std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std))
            .collect();
        Ok(Self { values, mean: mean.to_vec(), std: std.to_vec() })
    }

    /// The values of one channel, by byte.
    pub fn channel(&self, channel: usize) -> &[f32; 256] {
        &self.values[channel]
    }

    /// The values of all channels, (C, 256).
    pub fn values(&self) -> &[f32] {
        self.values.as_flattened()
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.values.len()
    }

    /// Normalises pixels `(…, C)`.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn normalize(&self, bytes: &[u8], out: &mut [f32]) {
        assert_eq!(bytes.len(), out.len(), "one value for each byte");
        match self.values.as_slice() {
            [grey] => {
                for (value, &byte) in out.iter_mut().zip(bytes) {
                    *value = grey[byte as usize];
                }
            }
            [red, green, blue] => {
                for (value, byte) in out.chunks_exact_mut(3).zip(bytes.chunks_exact(3)) {
                    value[0] = red[byte[0] as usize];
                    value[1] = green[byte[1] as usize];
                    value[2] = blue[byte[2] as usize];
                }
            }
            tables => {
                for (i, (value, &byte)) in out.iter_mut().zip(bytes).enumerate() {
                    *value = tables[i % tables.len()][byte as usize];
                }
            }
        }
    }

    /// Mean and deviation, for a dump's metadata.
    pub fn describe(&self) -> Value {
        json!({"mean": self.mean, "std": self.std})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let table = PixelTable::new(&[0.0, 0.5, 1.0], &[1.0, 0.5, 2.0], 3).expect("valid");
        let mut out = [0.0; 6];
        table.normalize(&[255, 255, 255, 0, 0, 0], &mut out);
        assert_eq!(out, [1.0, 1.0, 0.0, 0.0, -1.0, -0.5]);
    }

    #[test]
    fn bad_statistics_are_named() {
        let message = |mean: &[f32], std: &[f32]| PixelTable::new(mean, std, 1).expect_err("bad").to_string();
        assert_eq!(message(&[0.1, 0.2], &[1.0]), "normalize: 2 means and 1 deviations for images of 1 channels");
        assert_eq!(message(&[0.1], &[0.0]), "normalize: a deviation is 0, expected a positive number");
        assert_eq!(message(&[f32::NAN], &[1.0]), "normalize: a mean is NaN, expected a number");
    }
}
