//! Optimisers on flat vectors. Their state is plain vectors, in reach of checkpoints and of the virtual step.

mod adam;
mod sgd;
#[cfg(feature = "cuda")]
mod sgd_on_cuda;

pub use adam::{Adam, AdamSettings};
pub use sgd::{Sgd, SgdSettings};
