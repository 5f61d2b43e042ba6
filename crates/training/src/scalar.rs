//! The two element types that everything here is written for: f32 to train, f64 to check.

use candle_core::{Device, Tensor, Var};
use longtail_artifact::TensorData;
use longtail_backbone::host::{HostElement, to_vec};
use longtail_ops::Real;

use crate::TrainingError;

/// An element type that the kernels, candle and the files all know.
pub trait Scalar: HostElement + std::fmt::Debug {
    /// `values` as the data of a named tensor, bits unchanged.
    fn to_data(values: &[Self]) -> TensorData;

    /// The values of `data` if it is of this type.
    fn from_data(data: &TensorData) -> Option<Vec<Self>>;

    /// From f64, rounded to nearest.
    fn of(value: f64) -> Self {
        <Self as Real>::from_f64(value)
    }

    /// To f64, exactly.
    fn wide(self) -> f64 {
        <Self as Real>::to_f64(self)
    }

    /// A candle constant on the CPU that copies `values`.
    ///
    /// # Errors
    /// If `shape` does not hold `values.len()` elements.
    fn constant(values: &[Self], shape: &[usize]) -> Result<Tensor, TrainingError> {
        Ok(Tensor::from_slice(values, shape, &Device::Cpu)?)
    }

    /// A candle variable on the CPU that copies `values`.
    ///
    /// # Errors
    /// If `shape` does not hold `values.len()` elements.
    fn variable(values: &[Self], shape: &[usize]) -> Result<Var, TrainingError> {
        Ok(Var::from_slice(values, shape, &Device::Cpu)?)
    }

    /// The elements of a tensor, row-major.
    ///
    /// # Errors
    /// If the tensor's type is another.
    fn values(tensor: &Tensor) -> Result<Vec<Self>, TrainingError> {
        Ok(to_vec::<Self>(tensor)?)
    }
}

impl Scalar for f32 {
    fn to_data(values: &[Self]) -> TensorData {
        TensorData::F32(values.to_vec())
    }

    fn from_data(data: &TensorData) -> Option<Vec<Self>> {
        match data {
            TensorData::F32(values) => Some(values.clone()),
            _ => None,
        }
    }
}

impl Scalar for f64 {
    fn to_data(values: &[Self]) -> TensorData {
        TensorData::F64(values.to_vec())
    }

    fn from_data(data: &TensorData) -> Option<Vec<Self>> {
        match data {
            TensorData::F64(values) => Some(values.clone()),
            _ => None,
        }
    }
}
