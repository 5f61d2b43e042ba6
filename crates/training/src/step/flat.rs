//! Vectors over all weights (gradients, moved weights) whose memory is used again from step to step.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::Tensor;

use crate::TrainingError;
use crate::state::tensor_bytes;

/// Vectors that nobody uses now.
#[derive(Debug, Clone, Default)]
pub(super) struct FlatPool {
    free: Rc<RefCell<Vec<Tensor>>>,
    /// Vectors made so far: free ones, and those at work.
    made: Rc<RefCell<usize>>,
}

/// A vector as long as the weights, which goes back to its pool when it is dropped. Do not keep clones of its tensor: the next vector
/// that is taken overwrites them.
#[derive(Debug)]
pub struct Flat {
    tensor: Tensor,
    pool: FlatPool,
}

impl FlatPool {
    /// A vector of the length, type and device of `like`; its elements are whatever they were.
    pub(super) fn take(&self, like: &Tensor) -> Result<Flat, TrainingError> {
        let free = self.free.borrow_mut().pop();
        let tensor = match free {
            Some(tensor) => tensor,
            None => {
                *self.made.borrow_mut() += 1;
                like.zeros_like()?
            }
        };
        Ok(Flat { tensor, pool: self.clone() })
    }

    /// Bytes of all vectors of the size of `like`.
    pub(super) fn bytes(&self, like: &Tensor) -> usize {
        *self.made.borrow() * tensor_bytes(like)
    }
}

impl Flat {
    /// The weights as one flat tensor, `(W,)`.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }
}

impl Drop for Flat {
    fn drop(&mut self) {
        self.pool.free.borrow_mut().push(self.tensor.clone());
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn a_vector_that_is_dropped_is_taken_again() {
        let like = Tensor::zeros(3, DType::F32, &Device::Cpu).expect("memory");
        let pool = FlatPool::default();
        let (first, second) = (pool.take(&like).expect("memory"), pool.take(&like).expect("memory"));
        assert_ne!(first.tensor().id(), second.tensor().id());
        let id = first.tensor().id();
        drop(first);
        assert_eq!(pool.take(&like).expect("memory").tensor().id(), id);
        assert_eq!(pool.bytes(&like), 2 * 3 * 4);
    }
}
