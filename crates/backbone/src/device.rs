//! The elements of a candle tensor in a GPU's memory, as views: our kernels work where candle's tensors lie, without a copy. What
//! [`host`](crate::host) is to the CPU.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::cuda_backend::{CudaDType, DeviceId};
use candle_core::{CpuStorage, CudaDevice, CudaStorage, Error, InplaceOp1, Layout, Result, Storage, Tensor};
use longtail_ops::gpu::{Cuda, GpuError, Plain, View, ViewMut};

use crate::host::contiguous;

/// Our kernels on the stream of a candle device.
pub type Driver = Rc<Cuda>;

thread_local! {
    /// Of each candle device that was opened on this thread: operations are given tensors alone, which know their device.
    static DRIVERS: RefCell<Vec<(DeviceId, Driver)>> = const { RefCell::new(Vec::new()) };
}

/// From now on tensors of `device` are worked on by `driver`, on this thread.
pub fn register(device: &CudaDevice, driver: Driver) {
    DRIVERS.with_borrow_mut(|drivers| {
        drivers.retain(|(id, _)| *id != device.id());
        drivers.push((device.id(), driver));
    });
}

/// Our kernels on that device.
///
/// # Errors
/// It was not registered on this thread.
pub fn driver(device: &CudaDevice) -> Result<Driver> {
    let found = DRIVERS
        .with_borrow(|drivers| drivers.iter().find(|(id, _)| *id == device.id()).map(|(_, driver)| Rc::clone(driver)));
    found.ok_or_else(|| Error::Msg("no kernels were registered for this device on this thread".to_owned()).bt())
}

/// What a kernel answered, as candle's error.
///
/// # Errors
/// The kernel's.
pub fn done(outcome: std::result::Result<(), GpuError>) -> Result<()> {
    outcome.map_err(Error::wrap)
}

/// Reads the elements of a contiguous tensor, row-major.
///
/// # Errors
/// Another element type; a tensor that is not contiguous or not on a GPU.
pub fn read<T: Plain + CudaDType, R>(tensor: &Tensor, see: impl FnOnce(&Driver, View<'_, T>) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else { return Err(not_here(tensor)) };
    view(storage, layout, see)
}

/// [`read`] inside an operation of candle's.
///
/// # Errors
/// As [`read`].
pub fn view<T: Plain + CudaDType, R>(
    storage: &CudaStorage,
    layout: &Layout,
    see: impl FnOnce(&Driver, View<'_, T>) -> R,
) -> Result<R> {
    let (start, end) = contiguous(layout)?;
    let driver = driver(&storage.device)?;
    Ok(see(&driver, driver.lend(storage.as_cuda_slice::<T>()?, start..end)))
}

/// Changes the elements of a contiguous tensor, row-major. All tensors that share its storage (clones and views) see the change;
/// `change` must not look at one of them.
///
/// # Errors
/// As [`read`].
pub fn write<T: Plain + CudaDType, R>(tensor: &Tensor, change: impl FnOnce(&Driver, ViewMut<'_, T>) -> R) -> Result<R> {
    if !tensor.device().is_cuda() {
        return Err(not_here(tensor));
    }
    let op =
        Change { change: RefCell::new(Some(change)), result: RefCell::new(None), element: std::marker::PhantomData };
    tensor.inplace_op1(&op)?;
    Ok(op.result.into_inner().expect("candle ran the operation, or returned its error"))
}

/// An operation in place that runs once.
struct Change<T, F, R> {
    change: RefCell<Option<F>>,
    result: RefCell<Option<R>>,
    element: std::marker::PhantomData<T>,
}

impl<T: Plain + CudaDType, R, F: FnOnce(&Driver, ViewMut<'_, T>) -> R> InplaceOp1 for Change<T, F, R> {
    fn name(&self) -> &'static str {
        "longtail-write"
    }

    fn cpu_fwd(&self, _storage: &mut CpuStorage, _layout: &Layout) -> Result<()> {
        Err(Error::Msg("host memory is written by `host::write`".to_owned()).bt())
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let (start, end) = contiguous(layout)?;
        let driver = driver(&storage.device)?;
        let values = driver.lend_mut(storage.as_cuda_slice_mut::<T>()?, start..end);
        if let Some(change) = self.change.take() {
            self.result.replace(Some(change(&driver, values)));
        }
        Ok(())
    }
}

fn not_here(tensor: &Tensor) -> Error {
    Error::Msg(format!("the tensor must lie on a GPU, not on {:?}", tensor.device().location())).bt()
}
