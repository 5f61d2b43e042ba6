//! The elements of a candle tensor in host memory, as a slice: our kernels work where candle's tensors lie, without a copy.

use std::cell::RefCell;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, Error, InplaceOp1, Layout, Result, Storage, Tensor, WithDType};
use longtail_ops::Real;

/// An element type that both the kernels and candle know: f32 to train, f64 to check.
pub trait HostElement: Real + WithDType {
    /// All elements of a storage, if it is of this type.
    fn slice_of(storage: &mut CpuStorage) -> Option<&mut [Self]>;
}

impl HostElement for f32 {
    fn slice_of(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F32(values) => Some(values),
            _ => None,
        }
    }
}

impl HostElement for f64 {
    fn slice_of(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F64(values) => Some(values),
            _ => None,
        }
    }
}

/// Which of the two element types a tensor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Float {
    /// `f32`.
    F32,
    /// `f64`.
    F64,
}

/// The element type of tensors of that `dtype`.
///
/// # Errors
/// If it is neither f32 nor f64.
pub fn float(dtype: DType) -> Result<Float> {
    match dtype {
        DType::F32 => Ok(Float::F32),
        DType::F64 => Ok(Float::F64),
        other => Err(Error::Msg(format!("tensors here are of f32 or f64, not of {}", other.as_str())).bt()),
    }
}

/// Runs `$body` with `$T` standing for the element type of the tensor `$tensor`.
///
/// Gives what `$body` gives; returns early, through `?`, if the tensor is of another type than f32 and f64.
#[macro_export]
macro_rules! by_float {
    ($tensor:expr, $T:ident => $body:expr) => {
        match $crate::host::float($tensor.dtype())? {
            $crate::host::Float::F32 => {
                type $T = f32;
                $body
            }
            $crate::host::Float::F64 => {
                type $T = f64;
                $body
            }
        }
    };
}

/// Reads the elements of a contiguous tensor, row-major.
///
/// # Errors
/// Another element type; a tensor that is not contiguous or not in host memory.
pub fn read<T: HostElement, R>(tensor: &Tensor, see: impl FnOnce(&[T]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { return Err(not_here(tensor)) };
    Ok(see(elements(storage, layout)?))
}

/// [`read`] inside an operation of candle's.
///
/// # Errors
/// As [`read`].
pub fn elements<'a, T: HostElement>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let (start, end) = contiguous(layout)?;
    Ok(&storage.as_slice::<T>()?[start..end])
}

/// Changes the elements of a contiguous tensor, row-major. All tensors that share its storage (clones and views) see the change;
/// `change` must not look at one of them.
///
/// # Errors
/// As [`read`].
pub fn write<T: HostElement, R>(tensor: &Tensor, change: impl FnOnce(&mut [T]) -> R) -> Result<R> {
    let op =
        Change { change: RefCell::new(Some(change)), result: RefCell::new(None), element: std::marker::PhantomData };
    tensor.inplace_op1(&op)?;
    Ok(op.result.into_inner().expect("candle ran the operation, or returned its error"))
}

/// The elements of a tensor of any layout, row-major.
///
/// # Errors
/// Another element type; a device that fails.
pub fn to_vec<T: HostElement>(tensor: &Tensor) -> Result<Vec<T>> {
    tensor.flatten_all()?.to_vec1::<T>()
}

/// An operation in place that runs once.
struct Change<T, F, R> {
    change: RefCell<Option<F>>,
    result: RefCell<Option<R>>,
    element: std::marker::PhantomData<T>,
}

impl<T: HostElement, R, F: FnOnce(&mut [T]) -> R> InplaceOp1 for Change<T, F, R> {
    fn name(&self) -> &'static str {
        "longtail-write"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (start, end) = contiguous(layout)?;
        let found = storage.dtype();
        let Some(values) = T::slice_of(storage) else {
            return Err(Error::UnexpectedDType { msg: "longtail-write", expected: T::DTYPE, got: found }.bt());
        };
        if let Some(change) = self.change.take() {
            self.result.replace(Some(change(&mut values[start..end])));
        }
        Ok(())
    }
}

pub(crate) fn contiguous(layout: &Layout) -> Result<(usize, usize)> {
    layout.contiguous_offsets().ok_or_else(|| Error::Msg("the tensor must be contiguous".to_owned()).bt())
}

fn not_here(tensor: &Tensor) -> Error {
    Error::Msg(format!("the tensor must lie in host memory, not on {:?}", tensor.device().location())).bt()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn views_share_what_is_written() {
        let whole = Tensor::new(&[1f32, 2.0, 3.0, 4.0], &Device::Cpu).expect("a vector");
        let tail = whole.narrow(0, 2, 2).expect("a view");
        let sum = write::<f32, _>(&tail, |values| {
            values[0] = 30.0;
            values.iter().sum::<f32>()
        });
        assert_eq!(sum.expect("contiguous"), 34.0);
        assert_eq!(read::<f32, _>(&whole, <[f32]>::to_vec).expect("contiguous"), [1.0, 2.0, 30.0, 4.0]);
        assert_eq!(read::<f32, _>(&tail, <[f32]>::to_vec).expect("contiguous"), [30.0, 4.0]);
    }

    #[test]
    fn another_type_and_another_layout_are_refused() {
        let matrix = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).expect("a matrix");
        assert!(read::<f64, _>(&matrix, |_| ()).is_err() && write::<f64, _>(&matrix, |_| ()).is_err());
        let turned = matrix.t().expect("a view");
        assert!(read::<f32, _>(&turned, |_| ()).is_err() && write::<f32, _>(&turned, |_| ()).is_err());
        assert_eq!(to_vec::<f32>(&turned).expect("f32"), [1.0, 3.0, 2.0, 4.0]);
        assert!(float(DType::U32).is_err());
    }
}
