//! The fused cross-entropy as a candle operation on logits.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType};
use longtail_backbone::by_float;
use longtail_backbone::host::{elements, read};
use longtail_ops::Real;

use super::CrossEntropy;
use crate::Scalar;

/// Mean cross-entropy of `(N, K)` logits as one node of candle's graph.
///
/// candle's own (`log_softmax`, `gather`, `mean`) takes no weights, offsets or smoothing and puts seven nodes into the graph. The
/// gradient is recomputed in `bwd` from detached logits: a few microseconds, against keeping a matrix. It can be
/// differentiated once; the meta-gradient is written out in closed form and needs no second derivative of it.
pub struct CrossEntropyOp {
    loss: CrossEntropy,
    labels: Vec<u32>,
}

impl CrossEntropyOp {
    /// Labels and class vectors must fit the logits it will be applied to ([`CrossEntropy::of`] checks).
    pub fn new(loss: CrossEntropy, labels: Vec<u32>) -> Self {
        Self { loss, labels }
    }

    fn value<T: Scalar>(&self, logits: &[T], classes: usize) -> candle_core::Result<(CpuStorage, Shape)> {
        let value = self.loss.value_and_gradient(logits, &self.labels, classes, None);
        let value = value.map_err(candle_core::Error::wrap)?;
        Ok((<T as WithDType>::to_cpu_storage_owned(vec![T::of(value)]), Shape::from(())))
    }

    /// The gradient of `upstream` times the mean.
    fn gradient<T: Scalar>(&self, logits: &Tensor, upstream: &Tensor) -> candle_core::Result<Tensor> {
        let (rows, classes) = logits.dims2()?;
        let mut dlogits = vec![<T as Real>::ZERO; rows * classes];
        let given = read(&logits.contiguous()?, |logits: &[T]| {
            self.loss.value_and_gradient(logits, &self.labels, classes, Some(&mut dlogits))
        });
        given?.map_err(candle_core::Error::wrap)?;
        let upstream = upstream.to_scalar::<T>()?;
        if upstream != <T as Real>::ONE {
            dlogits.iter_mut().for_each(|gradient| *gradient *= upstream);
        }
        Tensor::from_vec(dlogits, (rows, classes), logits.device())
    }
}

impl CustomOp1 for CrossEntropyOp {
    fn name(&self) -> &'static str {
        "longtail-cross-entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        by_float!(storage, T => self.value(elements::<T>(storage, layout)?, layout.dims()[1]))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        super::cross_entropy_on_cuda::value(&self.loss, &self.labels, storage, layout)
    }

    fn bwd(&self, logits: &Tensor, _loss: &Tensor, upstream: &Tensor) -> candle_core::Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if logits.device().is_cuda() {
            // What lies upstream stays there: nothing is waited for.
            let gradient = super::cross_entropy_on_cuda::gradient(&self.loss, &self.labels, &logits.contiguous()?)?;
            return Ok(Some(gradient.broadcast_mul(&upstream.detach())?));
        }
        Ok(Some(by_float!(logits, T => self.gradient::<T>(logits, upstream)?)))
    }
}
