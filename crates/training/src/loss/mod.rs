//! Classification losses, one file each. Most are one fused cross-entropy, and say what they feed it.

mod balanced_softmax;
mod base;
mod class_balanced;
mod cross_entropy;
#[cfg(feature = "cuda")]
mod cross_entropy_on_cuda;
mod cross_entropy_op;
mod ldam;

pub use balanced_softmax::{balanced_softmax, log_counts};
pub use base::{ClassificationLoss, from_recipe};
pub use class_balanced::{class_balanced, effective_number_weights};
pub use cross_entropy::CrossEntropy;
pub use cross_entropy_op::CrossEntropyOp;
pub use ldam::Ldam;
