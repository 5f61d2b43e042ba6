//! NVIDIA GPUs.

#[cfg(feature = "cudnn")]
mod dnn;
mod lend;
mod staging;

use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use cudarc::cublas::{CudaBlas, result as blas, sys as blas_sys};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DevicePtr, DriverError, LaunchConfig, PushKernelArg,
    result as driver, sys,
};
use cudarc::nvrtc::Ptx;

use super::conv::ConvPass;
use super::gemm::{self, GemmSize, Matrix, MatrixMut};
use super::kernels::KERNELS;
use super::memory::{Activation, Element};
use super::{Argument, Driver, GpuError};
use crate::ConvShape;
use staging::Staging;

/// The kernels for every GPU since compute capability 8.0, which the driver compiles for its own, and for 9.0.
const PTX_80: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels-80.ptx"));
const PTX_90: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels-90.ptx"));

/// How numbers are worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaSettings {
    /// Whether products and convolutions may round what they multiply to TensorFloat-32: 10 bits after the point instead of 23.
    pub tf32: bool,
}

/// One GPU, one stream on it, and another for copies beside it.
pub struct Cuda {
    stream: Arc<CudaStream>,
    copies: Arc<CudaStream>,
    blas: CudaBlas,
    kernels: HashMap<&'static str, CudaFunction>,
    #[cfg(feature = "cudnn")]
    dnn: dnn::Convolutions,
}

impl Debug for Cuda {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Cuda(device {})", self.stream.context().ordinal())
    }
}

fn failed(what: &str) -> impl Fn(DriverError) -> GpuError + '_ {
    move |error| GpuError::device(what, error)
}

/// Lets the driver's pool keep what is freed; by default every wait gives it back to the system. A device without a pool needs none.
#[allow(unsafe_code)]
fn keep_freed_memory(context: &CudaContext) {
    let mut most = u64::MAX;
    let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the device is open, and the attribute is a number of 64 bits.
    unsafe {
        if let Ok(pool) = driver::device::get_default_mem_pool(context.cu_device()) {
            let _ = driver::mem_pool::set_attribute(pool, threshold, std::ptr::from_mut(&mut most).cast());
        }
    }
}

impl Cuda {
    /// How many GPUs the driver knows; 0 where it says that there is none.
    ///
    /// # Errors
    /// Why the driver does not answer.
    pub fn devices() -> Result<usize, GpuError> {
        match CudaContext::device_count() {
            Ok(count) => Ok(usize::try_from(count).unwrap_or(0)),
            Err(DriverError(sys::cudaError_enum::CUDA_ERROR_NO_DEVICE)) => Ok(0),
            Err(error) => Err(GpuError::device("asking the driver for devices", error)),
        }
    }

    /// On a stream of its own of GPU number `ordinal`. Programs take candle's stream instead ([`Cuda::on`]).
    ///
    /// # Errors
    /// In words: no such GPU, one that is too old.
    pub fn open(ordinal: usize, settings: CudaSettings) -> Result<Self, GpuError> {
        let context = CudaContext::new(ordinal).map_err(failed("opening the device"))?;
        let stream = context.new_stream().map_err(failed("making a stream"))?;
        Self::on(stream, settings)
    }

    /// On a given stream. All other memory of the stream's context must be used on this stream alone, as that of a candle device
    /// with a stream of its own is: from now on none of it is waited for by events.
    ///
    /// # Errors
    /// As [`Cuda::open`].
    #[allow(unsafe_code)]
    pub fn on(stream: Arc<CudaStream>, settings: CudaSettings) -> Result<Self, GpuError> {
        let context = stream.context();
        // SAFETY: all memory of this context is used on one stream, whose order is all that is needed; copies on the other have
        // events of their own.
        unsafe { context.disable_event_tracking() };
        keep_freed_memory(context);
        let (major, minor) = context.compute_capability().map_err(failed("asking for the device's sort"))?;
        if major < 8 {
            let message =
                format!("compute capability {major}.{minor} is too old: 8.0 (A100, RTX 30) or later is needed");
            return Err(GpuError::device("choosing kernels", message));
        }
        let ptx = if (major, minor) == (9, 0) { PTX_90 } else { PTX_80 };
        let module = context.load_module(Ptx::from_src(ptx)).map_err(failed("loading the kernels"))?;
        let mut kernels = HashMap::new();
        for &name in KERNELS {
            kernels.insert(name, module.load_function(name).map_err(failed(name))?);
        }
        let blas = CudaBlas::new(stream.clone()).map_err(|error| GpuError::device("starting cuBLAS", error))?;
        let mode = match settings.tf32 {
            true => blas_sys::cublasMath_t::CUBLAS_TF32_TENSOR_OP_MATH,
            false => blas_sys::cublasMath_t::CUBLAS_DEFAULT_MATH,
        };
        // SAFETY: the handle is alive.
        unsafe { blas_sys::cublasSetMathMode(*blas.handle(), mode) }
            .result()
            .map_err(|error| GpuError::device("setting cuBLAS up", error))?;
        Ok(Self {
            #[cfg(feature = "cudnn")]
            dnn: dnn::Convolutions::new(stream.clone(), settings)?,
            copies: context.new_stream().map_err(failed("making a stream for copies"))?,
            stream,
            blas,
            kernels,
        })
    }

    /// Waits for everything that was asked for.
    ///
    /// # Errors
    /// The device's.
    pub fn synchronize(&self) -> Result<(), GpuError> {
        self.stream.synchronize().map_err(failed("waiting"))
    }

    /// The device's name.
    ///
    /// # Errors
    /// The device's.
    pub fn name(&self) -> Result<String, GpuError> {
        self.stream.context().name().map_err(failed("asking for the device's name"))
    }
}

#[allow(unsafe_code)]
impl Driver for Cuda {
    type Memory = CudaSlice<u8>;
    type Staging = Staging;

    fn allocate(&self, bytes: usize) -> Result<Self::Memory, GpuError> {
        self.stream.alloc_zeros(bytes).map_err(|error| match error.0 {
            sys::cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY => GpuError::OutOfMemory { bytes },
            _ => GpuError::device("taking memory", error),
        })
    }

    fn address(&self, memory: &Self::Memory) -> u64 {
        memory.device_ptr(&self.stream).0
    }

    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<(), GpuError> {
        // SAFETY: the caller's. Pageable memory has been read when the call returns.
        unsafe { driver::memcpy_htod_async(to, bytes, self.stream.cu_stream()) }.map_err(failed("copying to it"))
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<(), GpuError> {
        // SAFETY: the caller's; the stream is waited for before anyone reads.
        unsafe { driver::memcpy_dtoh_async(bytes, from, self.stream.cu_stream()) }
            .map_err(failed("copying from it"))?;
        self.synchronize()
    }

    fn staging(&self, bytes: usize) -> Result<Self::Staging, GpuError> {
        Staging::new(self.stream.context(), bytes)
    }

    fn mark_used(&self, staging: &Self::Staging) -> Result<(), GpuError> {
        staging.used.record(&self.stream).map_err(failed("marking memory"))
    }

    unsafe fn upload_beside(&self, staging: &mut Self::Staging, bytes: &[u8], to: u64) -> Result<(), GpuError> {
        // SAFETY: the caller guarantees that `bytes.len()` bytes at `to` are writable.
        unsafe { staging.upload((&self.stream, &self.copies), bytes, to) }.map_err(failed("copying beside its work"))
    }

    unsafe fn download_beside(&self, staging: &mut Self::Staging, from: u64, bytes: usize) -> Result<(), GpuError> {
        // SAFETY: the caller guarantees that `bytes` bytes at `from` are readable.
        unsafe { staging.download(&self.stream, from, bytes) }.map_err(failed("copying from it"))
    }

    fn downloaded(&self, staging: &mut Self::Staging, bytes: &mut [u8]) -> Result<(), GpuError> {
        staging.take(bytes).map_err(failed("waiting for a copy"))
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), GpuError> {
        // SAFETY: the caller guarantees `bytes` readable bytes at `from` and writable bytes at `to`, which do not overlap.
        unsafe { driver::memcpy_dtod_async(to, from, bytes, self.stream.cu_stream()) }.map_err(failed("copying on it"))
    }

    unsafe fn launch(
        &self,
        kernel: &'static str,
        grid: (u32, u32),
        block: (u32, u32),
        arguments: &[Argument],
    ) -> Result<(), GpuError> {
        let function = self.kernels.get(kernel).ok_or_else(|| GpuError::device(kernel, "no such kernel"))?;
        let mut builder = self.stream.launch_builder(function);
        for argument in arguments {
            match argument {
                Argument::Address(address) => builder.arg(address),
                Argument::Int(int) => builder.arg(int),
                Argument::Long(long) => builder.arg(long),
                Argument::Float(float) => builder.arg(float),
            };
        }
        let config =
            LaunchConfig { grid_dim: (grid.0, grid.1, 1), block_dim: (block.0, block.1, 1), shared_mem_bytes: 0 };
        // SAFETY: the caller guarantees that the arguments match the kernel and that its buffers are long enough.
        unsafe { builder.launch(config) }.map(|_| ()).map_err(failed(kernel))
    }

    fn gemm<A: Activation>(
        &self,
        size: GemmSize,
        alpha: f32,
        a: Matrix<'_, A>,
        b: Matrix<'_, A>,
        beta: f32,
        c: MatrixMut<'_, A>,
    ) -> Result<(), GpuError> {
        gemm::check(size, &a, &b, &c);
        // cuBLAS counts along columns: its matrices are our transposes, so cᵀ = op(b)ᵀ·op(a)ᵀ.
        let side = |turned: bool| match turned {
            true => blas_sys::cublasOperation_t::CUBLAS_OP_T,
            false => blas_sys::cublasOperation_t::CUBLAS_OP_N,
        };
        let kind = match A::ELEMENT {
            Element::F32 => blas_sys::cudaDataType_t::CUDA_R_32F,
            Element::Bf16 => blas_sys::cudaDataType_t::CUDA_R_16BF,
        };
        let size_of = |size: usize| i32::try_from(size).expect("a size of less than 2^31");
        // SAFETY: all elements that a product of this size touches were checked to be there.
        unsafe {
            blas::gemm_strided_batched_ex(
                *self.blas.handle(),
                side(b.turned),
                side(a.turned),
                size_of(size.n),
                size_of(size.m),
                size_of(size.k),
                std::ptr::from_ref(&alpha).cast(),
                b.view.address() as *const c_void,
                kind,
                size_of(b.row),
                b.next as i64,
                a.view.address() as *const c_void,
                kind,
                size_of(a.row),
                a.next as i64,
                std::ptr::from_ref(&beta).cast(),
                c.view.address() as *mut c_void,
                kind,
                size_of(c.row),
                c.next as i64,
                size_of(size.batch),
                blas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                blas_sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(|error| GpuError::device("a matrix product", error))
    }

    #[cfg(feature = "cudnn")]
    fn library_conv<A: Activation>(&self, s: &ConvShape, pass: ConvPass<'_, A>) -> Result<bool, GpuError> {
        self.dnn.run(s, pass)
    }
}
