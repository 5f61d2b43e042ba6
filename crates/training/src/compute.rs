//! Where tensors lie and passes run: the one place of the programs that opens a device.

use candle_core::Device as TensorDevice;
use longtail_artifact::{ArtifactError, Device, Gpus};
#[cfg(feature = "cuda")]
use longtail_ops::gpu::{Cuda, CudaSettings, GpuError};

use crate::TrainingError;

/// An open device: candle's. On a GPU it has one stream, which our kernels share, so that tensors and kernels keep their order without
/// waiting for each other. A clone is the same device; another one from [`Compute::open`] is not, and tensors of the two do not meet.
#[derive(Debug, Clone)]
pub struct Compute {
    device: TensorDevice,
}

impl Compute {
    /// Computes on the CPU.
    pub fn cpu() -> Self {
        Self { device: TensorDevice::Cpu }
    }

    /// Opens what `--device` came to, for `stage`.
    ///
    /// # Errors
    /// [`ArtifactError::NoCuda`] for a GPU in a build for CPUs; the driver's.
    pub fn open(device: Device, stage: &'static str) -> Result<Self, TrainingError> {
        match device {
            Device::Cpu => Ok(Self::cpu()),
            #[cfg(feature = "cuda")]
            Device::Cuda(ordinal) => {
                let opened = TensorDevice::new_cuda_with_stream(ordinal).map_err(|why| {
                    let words = why.to_string(); // and where in the code, when backtraces are asked for
                    GpuError::device("opening the device", words.lines().next().unwrap_or_default())
                });
                Ok(Self { device: opened? })
            }
            other => Err(ArtifactError::NoCuda { device: other, stage }.into()),
        }
    }

    /// What this build can do with GPUs.
    pub fn gpus() -> Gpus {
        #[cfg(feature = "cuda")]
        return Gpus::Counted(|| Cuda::devices().map_err(|why| why.to_string()));
        #[cfg(not(feature = "cuda"))]
        Gpus::NotBuilt
    }

    /// Where tensors are to be made.
    pub fn device(&self) -> &TensorDevice {
        &self.device
    }

    /// From now on the operations of this crate work on tensors of this device, on this thread; on the CPU there is nothing to do.
    /// `tf32`: whether a GPU may round what it multiplies to TensorFloat-32.
    ///
    /// # Errors
    /// A GPU that is too old; the driver's.
    #[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
    pub fn prepare(&self, tf32: bool) -> Result<(), TrainingError> {
        #[cfg(feature = "cuda")]
        if let TensorDevice::Cuda(cuda) = &self.device {
            longtail_backbone::device::register(cuda, std::rc::Rc::new(self.driver(CudaSettings { tf32 })?));
        }
        Ok(())
    }

    /// Our kernels on this GPU, in order with candle's.
    ///
    /// # Errors
    /// It is the CPU; a GPU that is too old; the driver's.
    #[cfg(feature = "cuda")]
    pub fn driver(&self, settings: CudaSettings) -> Result<Cuda, TrainingError> {
        Ok(Cuda::on(self.device.as_cuda_device()?.cuda_stream(), settings)?)
    }
}
