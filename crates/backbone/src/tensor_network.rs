//! A network over candle tensors: what methods call. Below it the engine of the element type runs, or that of a GPU, on the tensors' own
//! memory.
//!
//! `read` and `write` lend a tensor's memory; each adds a layer of `Result`, which the question marks behind them take off.

use candle_core::{DType, Device, Tensor};
use longtail_images::ImageShape;
use longtail_ops::ChaCha8Rng;
use longtail_ops::gpu::Element;

use crate::arch::Architecture;
use crate::engine::{Network, NormMode, Tape};
use crate::error::BackboneError;
use crate::files::{NamedValues, to_tensors};
use crate::host::{Float, HostElement, float, read, write};
use crate::params::ParamIndex;
#[cfg(feature = "cuda")]
use on_cuda::OnCuda;

#[cfg(feature = "cuda")]
mod on_cuda;

/// [`Network`] with tensors for slices. Parameters, gradients and directions are vectors over one index, [`Self::params`].
#[derive(Debug)]
pub struct TensorNetwork {
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    F32(Network<f32>),
    F64(Network<f64>),
    #[cfg(feature = "cuda")]
    Cuda(OnCuda),
}

/// What a forward pass leaves for the passes after it: a [`Tape`] of the network's element type.
#[derive(Debug)]
pub struct TensorTape {
    tape: EngineTape,
}

#[derive(Debug)]
enum EngineTape {
    F32(Tape<f32>),
    F64(Tape<f64>),
    #[cfg(feature = "cuda")]
    /// Made by its first pass.
    Cuda(Option<Box<crate::gpu::GpuTape<crate::device::Driver>>>),
}

/// `$body` with the engine of either type.
macro_rules! engine {
    ($engine:expr, $network:ident => $body:expr) => {
        match $engine {
            Engine::F32($network) => $body,
            Engine::F64($network) => $body,
            // What sizes and names ask for is the same there.
            #[cfg(feature = "cuda")]
            Engine::Cuda(OnCuda { host: $network, .. }) => $body,
        }
    };
}

/// `$body` with the engine and a tape of its type.
macro_rules! engine_and_tape {
    ($engine:expr, $at:expr, ($network:ident, $tape:ident) => $body:expr) => {
        match ($engine, $at) {
            (Engine::F32($network), EngineTape::F32($tape)) => $body,
            (Engine::F64($network), EngineTape::F64($tape)) => $body,
            (Engine::F32(_), EngineTape::F64(_)) => Err(other_type(DType::F64, DType::F32)),
            (Engine::F64(_), EngineTape::F32(_)) => Err(other_type(DType::F32, DType::F64)),
            #[cfg(feature = "cuda")]
            (Engine::Cuda(_), _) | (_, EngineTape::Cuda(_)) => Err(BackboneError::Tape {
                found: "another device, or no forward pass yet".to_owned(),
                expected: "a forward pass of this network".to_owned(),
            }),
        }
    };
}

impl TensorNetwork {
    /// A network for images of that size, of f32 or f64.
    ///
    /// # Errors
    /// Those of [`Network::new`]; another element type.
    pub fn new(architecture: &Architecture, image: ImageShape, dtype: DType) -> Result<Self, BackboneError> {
        let engine = match float(dtype)? {
            Float::F32 => Engine::F32(Network::new(architecture, image)?),
            Float::F64 => Engine::F64(Network::new(architecture, image)?),
        };
        Ok(Self { engine })
    }

    /// The same network on a device; on a GPU it is one of f32 whose activations are of `element`.
    ///
    /// # Errors
    /// A network of f64 on a GPU, another element on the CPU; no memory.
    pub fn on(self, device: &Device, element: Element) -> Result<Self, BackboneError> {
        match (device, self.engine) {
            (Device::Cpu, Engine::F32(network)) if element == Element::F32 => Ok(Self { engine: Engine::F32(network) }),
            (Device::Cpu, Engine::F64(network)) if element == Element::F32 => Ok(Self { engine: Engine::F64(network) }),
            #[cfg(feature = "cuda")]
            (Device::Cuda(cuda), Engine::F32(host)) => {
                Ok(Self { engine: Engine::Cuda(OnCuda::new(host, cuda, element)?) })
            }
            (device, _) => Err(BackboneError::from(candle_core::Error::Msg(format!(
                "no network of this type, with activations in {element:?}, runs on {:?}",
                device.location()
            )))),
        }
    }

    /// The element type of all tensors.
    pub fn dtype(&self) -> DType {
        match &self.engine {
            Engine::F32(_) => DType::F32,
            Engine::F64(_) => DType::F64,
            #[cfg(feature = "cuda")]
            Engine::Cuda(_) => DType::F32,
        }
    }

    /// See [`Network::set_checkpointing`].
    pub fn set_checkpointing(&mut self, on: bool) {
        match &mut self.engine {
            Engine::F32(network) => network.set_checkpointing(on),
            Engine::F64(network) => network.set_checkpointing(on),
            #[cfg(feature = "cuda")]
            Engine::Cuda(network) => network.set_checkpointing(on),
        }
    }

    /// See [`Network::fewest_norm_pixels`].
    pub fn fewest_norm_pixels(&self) -> usize {
        engine!(&self.engine, network => network.fewest_norm_pixels())
    }

    /// Numbers in one image's feature, d.
    pub fn feature_dim(&self) -> usize {
        engine!(&self.engine, network => network.feature_dim())
    }

    /// Which network this is.
    pub fn architecture(&self) -> &Architecture {
        engine!(&self.engine, network => network.architecture())
    }

    /// The images it takes.
    pub fn image(&self) -> ImageShape {
        engine!(&self.engine, network => network.image())
    }

    /// What is learned: names, shapes and places in the flat vector.
    pub fn params(&self) -> &ParamIndex {
        engine!(&self.engine, network => network.params())
    }

    /// The running statistics: a second flat vector.
    pub fn buffers(&self) -> &ParamIndex {
        engine!(&self.engine, network => network.buffers())
    }

    /// Fresh parameters and running statistics, as flat vectors on the CPU, in the order of files.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn init(&self, rng: &mut ChaCha8Rng) -> Result<(Tensor, Tensor), BackboneError> {
        engine!(&self.engine, network => {
            let (params, running) = network.init(rng);
            Ok((flat(params)?, flat(running)?))
        })
    }

    /// A vector over the parameters, and whatever lies behind them, as the network takes it: of one in the order of files, PyTorch's, on any
    /// device. A GPU has another order of a weight's axes; what goes element by element need not know.
    ///
    /// # Errors
    /// A vector that is too short; the device's.
    pub fn placed(&self, vector: &Tensor) -> Result<Tensor, BackboneError> {
        match &self.engine {
            Engine::F32(_) | Engine::F64(_) => Ok(vector.to_device(&Device::Cpu)?),
            #[cfg(feature = "cuda")]
            Engine::Cuda(network) => network.placed(vector),
        }
    }

    /// The way back: on the CPU, in the order of files.
    ///
    /// # Errors
    /// As [`Self::placed`].
    pub fn in_file_order(&self, vector: &Tensor) -> Result<Tensor, BackboneError> {
        match &self.engine {
            Engine::F32(_) | Engine::F64(_) => Ok(vector.clone()),
            #[cfg(feature = "cuda")]
            Engine::Cuda(network) => network.in_file_order(vector),
        }
    }

    /// An empty tape for this network.
    pub fn tape(&self) -> TensorTape {
        let tape = match &self.engine {
            Engine::F32(_) => EngineTape::F32(Tape::default()),
            Engine::F64(_) => EngineTape::F64(Tape::default()),
            #[cfg(feature = "cuda")]
            Engine::Cuda(_) => EngineTape::Cuda(None),
        };
        TensorTape { tape }
    }

    /// Features of a batch; `tape` then holds what [`Self::backward`] and [`Self::jvp`] need. `running` is changed in place where
    /// `mode` tracks, see [`Network::forward`].
    ///
    /// # Shapes
    /// - `params`, `running`: flat  - `images`: `(n, H, W, C)`, n ≥ 1, contiguous  - returns features, `(n, d)`
    /// # Errors
    /// A length or type that does not fit; an empty batch.
    pub fn forward(
        &mut self,
        params: &Tensor,
        running: &Tensor,
        images: &Tensor,
        mode: NormMode,
        tape: &mut TensorTape,
    ) -> Result<Tensor, BackboneError> {
        let n = images.dim(0)?;
        #[cfg(feature = "cuda")]
        if let (Engine::Cuda(network), EngineTape::Cuda(tape)) = (&mut self.engine, &mut tape.tape) {
            return network.forward(params, running, images, n, mode, tape);
        }
        engine_and_tape!(&mut self.engine, &mut tape.tape, (network, tape) => {
            read(params, |params| read(images, |images| write(running, |running| {
                network.forward(params, running, images, n, mode, tape)
            })))????;
            rows(tape.features(), n)
        })
    }

    /// Features of a batch under running statistics, without a tape.
    ///
    /// # Shapes
    /// As [`Self::forward`].
    /// # Errors
    /// As [`Self::forward`].
    pub fn infer(&mut self, params: &Tensor, running: &Tensor, images: &Tensor) -> Result<Tensor, BackboneError> {
        let n = images.dim(0)?;
        #[cfg(feature = "cuda")]
        if let Engine::Cuda(network) = &mut self.engine {
            return network.infer(params, running, images, n);
        }
        engine!(&mut self.engine, network => {
            let mut features = vec![0.0; n * network.feature_dim()];
            read(params, |params| read(running, |running| read(images, |images| {
                network.infer(params, running, images, n, &mut features)
            })))????;
            rows_of(features, n)
        })
    }

    /// The gradient of a scalar for all parameters, from its gradient for the features: `gradient ← Jᵀ·cotangent`, in place.
    ///
    /// # Shapes
    /// - `cotangent`: `(n, d)` of the tape's n  - `gradient`: flat, as `params`
    /// # Errors
    /// As [`Network::backward`].
    pub fn backward(
        &mut self,
        params: &Tensor,
        tape: &TensorTape,
        cotangent: &Tensor,
        gradient: &Tensor,
    ) -> Result<(), BackboneError> {
        #[cfg(feature = "cuda")]
        if let (Engine::Cuda(network), EngineTape::Cuda(Some(tape))) = (&mut self.engine, &tape.tape) {
            return network.backward(params, tape, cotangent, gradient);
        }
        engine_and_tape!(&mut self.engine, &tape.tape, (network, tape) => {
            read(params, |params| read(cotangent, |cotangent| write(gradient, |gradient| {
                network.backward(params, tape, cotangent, gradient)
            })))???
        })
    }

    /// The derivative of the features along a direction of the parameters, `J·direction`.
    ///
    /// # Shapes
    /// - `direction`: flat, as `params`  - returns `(n, d)` of the tape's n
    /// # Errors
    /// As [`Network::jvp`].
    pub fn jvp(&mut self, params: &Tensor, tape: &TensorTape, direction: &Tensor) -> Result<Tensor, BackboneError> {
        #[cfg(feature = "cuda")]
        if let (Engine::Cuda(network), EngineTape::Cuda(Some(tape))) = (&mut self.engine, &tape.tape) {
            return network.jvp(params, tape, direction);
        }
        engine_and_tape!(&mut self.engine, &tape.tape, (network, tape) => {
            let mut along = vec![0.0; tape.batch() * network.feature_dim()];
            read(params, |params| read(direction, |direction| {
                network.jvp(params, tape, direction, &mut along)
            }))???;
            rows_of(along, tape.batch())
        })
    }

    /// See [`Network::tape_bytes`].
    pub fn tape_bytes(&self, n: usize) -> usize {
        engine!(&self.engine, network => network.tape_bytes(n))
    }

    /// See [`Network::pass_bytes`].
    pub fn pass_bytes(&self, n: usize) -> usize {
        engine!(&self.engine, network => network.pass_bytes(n))
    }

    /// See [`Network::workspace_bytes_at_most`].
    pub fn workspace_bytes_at_most(&self) -> usize {
        engine!(&self.engine, network => network.workspace_bytes_at_most())
    }

    /// Bytes held now: its own buffers and the convolutions' workspace.
    pub fn bytes(&self) -> usize {
        engine!(&self.engine, network => network.buffer_bytes() + network.workspace_bytes())
    }
}

impl TensorNetwork {
    /// Parameters, then running statistics, by torchvision's names; see [`to_tensors`].
    ///
    /// # Errors
    /// Tensors of another type.
    pub fn named(&self, params: &Tensor, running: &Tensor) -> Result<Vec<NamedValues>, BackboneError> {
        let (params, running) = (self.in_file_order(params)?, running.to_device(&Device::Cpu)?);
        engine!(&self.engine, network => {
            Ok(read(&params, |params| read(&running, |running| to_tensors(network, params, running)))??)
        })
    }
}

impl TensorTape {
    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        match &self.tape {
            EngineTape::F32(tape) => tape.memory_bytes(),
            EngineTape::F64(tape) => tape.memory_bytes(),
            #[cfg(feature = "cuda")]
            EngineTape::Cuda(_) => 0, // not of the program's memory
        }
    }
}

fn other_type(found: DType, expected: DType) -> BackboneError {
    BackboneError::Tape { found: found.as_str().to_owned(), expected: expected.as_str().to_owned() }
}

fn flat<T: HostElement>(values: Vec<T>) -> Result<Tensor, BackboneError> {
    let len = values.len();
    Ok(Tensor::from_vec(values, len, &Device::Cpu)?)
}

fn rows<T: HostElement>(values: &[T], n: usize) -> Result<Tensor, BackboneError> {
    Ok(Tensor::from_slice(values, (n, values.len() / n.max(1)), &Device::Cpu)?)
}

fn rows_of<T: HostElement>(values: Vec<T>, n: usize) -> Result<Tensor, BackboneError> {
    let dim = values.len() / n.max(1);
    Ok(Tensor::from_vec(values, (n, dim), &Device::Cpu)?)
}
