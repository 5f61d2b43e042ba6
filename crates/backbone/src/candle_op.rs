//! A network as one node of candle's autograd: `(images, flat parameters) → features`.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, OnceLock};

use candle_core::{CpuStorage, CustomOp2, Error, Layout, Result, Shape, Tensor, WithDType};
use longtail_ops::Real;

use crate::engine::{Network, NormMode, Tape};

/// One forward pass of a network inside candle's graph. It keeps the tape that candle's backward pass then reads.
///
/// An op serves one pass; make another for the next batch. Networks and running statistics are shared between ops, so their
/// memory is reused.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use candle_core::{Device, Tensor, Var};
/// use longtail_backbone::{Architecture, ImageShape, Network, NetworkOp, NormMode};
///
/// let image = ImageShape { height: 6, width: 6, channels: 1 };
/// let network = Network::<f32>::new(&Architecture::CifarResNet { depth: 8 }, image).expect("8 is 6·1 + 2");
/// let (params, running) = network.init(&mut longtail_ops::stream(0, "example", 0, 0));
/// let (network, running) = (Arc::new(Mutex::new(network)), Arc::new(Mutex::new(running)));
///
/// let params = Var::from_vec(params.clone(), params.len(), &Device::Cpu)?;
/// let images = Tensor::ones((2, 6, 6, 1), candle_core::DType::F32, &Device::Cpu)?;
/// let op = NetworkOp::new(network, running, NormMode::Batch { track: true });
/// let loss = op.apply(&images, &params)?.sqr()?.mean_all()?;
/// assert_eq!(loss.backward()?.get(&params).expect("a gradient").dims(), params.dims());
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Limits
/// - Images get no gradient: asking for one (a variable among the images' ancestors) is an error, not a silent zero.
/// - The gradient is a constant to candle: it cannot be differentiated again, whatever `CANDLE_GRAD_DO_NOT_DETACH` says. Mixed
///   second derivatives go through [`Network::jvp`].
pub struct NetworkOp<T: Real> {
    network: Arc<Mutex<Network<T>>>,
    running: Arc<Mutex<Vec<T>>>,
    mode: NormMode,
    tape: OnceLock<Tape<T>>,
}

impl<T: Real + WithDType> NetworkOp<T> {
    /// An op for one pass in that mode; `running` is read or updated as [`Network::forward`] says.
    pub fn new(network: Arc<Mutex<Network<T>>>, running: Arc<Mutex<Vec<T>>>, mode: NormMode) -> Self {
        Self { network, running, mode, tape: OnceLock::new() }
    }

    /// The features of a batch, tracked by candle.
    ///
    /// # Shapes
    /// - `images`: `(N, H, W, C)`, channels last, of `T`, any layout - `params`: flat, of `T`, any layout
    /// - result: `(N, d)`
    /// # Errors
    /// Other shapes or element types; a device other than the CPU.
    pub fn apply(self, images: &Tensor, params: &Tensor) -> Result<Tensor> {
        images.apply_op2(params, self)
    }

    fn forward(&self, images: &[T], params: &[T], n: usize) -> Result<(Vec<T>, usize)> {
        let mut network = self.network.lock().map_err(|_| Error::Msg(POISONED.to_owned()))?;
        let mut running = self.running.lock().map_err(|_| Error::Msg(POISONED.to_owned()))?;
        let mut tape = Tape::default();
        network.forward(params, &mut running, images, n, self.mode, &mut tape).map_err(Error::wrap)?;
        let features = tape.features().to_vec();
        self.tape
            .set(tape)
            .map_err(|_| Error::Msg("network: an op serves one pass; make a new one for another".to_owned()))?;
        Ok((features, network.feature_dim()))
    }
}

const POISONED: &str = "network: another thread panicked while it held the network";

impl<T: Real + WithDType> CustomOp2 for NetworkOp<T> {
    fn name(&self) -> &'static str {
        "network"
    }

    fn cpu_fwd(
        &self,
        images: &CpuStorage,
        images_at: &Layout,
        params: &CpuStorage,
        params_at: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let image = self.network.lock().map_err(|_| Error::Msg(POISONED.to_owned()))?.image();
        let n = match *images_at.dims() {
            [n, height, width, channels]
                if (height, width, channels) == (image.height, image.width, image.channels) =>
            {
                n
            }
            _ => {
                return Err(Error::Msg(format!(
                    "network: images must be (N, {}, {}, {}), channels last, got {:?}",
                    image.height,
                    image.width,
                    image.channels,
                    images_at.dims()
                )));
            }
        };
        if params_at.dims().len() != 1 {
            return Err(Error::Msg(format!("network: parameters must be one flat vector, got {:?}", params_at.dims())));
        }
        let images = gather(images.as_slice::<T>()?, images_at);
        let params = gather(params.as_slice::<T>()?, params_at);
        let (features, dim) = self.forward(&images, &params, n)?;
        Ok((T::to_cpu_storage_owned(features), Shape::from((n, dim))))
    }

    fn bwd(
        &self,
        images: &Tensor,
        params: &Tensor,
        _features: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if images.track_op() {
            return Err(Error::Msg("network: no gradient for images is computed; detach them".to_owned()));
        }
        if !params.track_op() {
            return Ok((None, None));
        }
        let tape = self.tape.get().ok_or_else(|| Error::Msg("network: backward before forward".to_owned()))?;
        let values = params.detach().to_vec1::<T>()?;
        let cotangent = grad.detach().flatten_all()?.to_vec1::<T>()?;
        let mut gradient = vec![T::zero(); values.len()];
        let mut network = self.network.lock().map_err(|_| Error::Msg(POISONED.to_owned()))?;
        network.backward(&values, tape, &cotangent, &mut gradient).map_err(Error::wrap)?;
        let length = gradient.len();
        Ok((None, Some(Tensor::from_vec(gradient, length, params.device())?)))
    }
}

/// The elements in the order of the shape, borrowed when they lie so already.
fn gather<'a, T: Copy>(storage: &'a [T], layout: &Layout) -> Cow<'a, [T]> {
    if let Some((start, end)) = layout.contiguous_offsets() {
        return storage[start..end].into();
    }
    let mut at = vec![layout.start_offset()];
    for (&size, &stride) in layout.dims().iter().zip(layout.stride()) {
        at = at.iter().flat_map(|first| (0..size).map(move |i| first + i * stride)).collect();
    }
    at.into_iter().map(|at| storage[at]).collect::<Vec<T>>().into()
}
