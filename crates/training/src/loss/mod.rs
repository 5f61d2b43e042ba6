//! Classification losses: one fused cross-entropy, and what each loss feeds it.

mod balanced_softmax;
mod base;
mod class_balanced;
mod cross_entropy_op;

pub use balanced_softmax::log_counts;
pub use base::ClassificationLoss;
pub use class_balanced::effective_number_weights;
pub use cross_entropy_op::CrossEntropyOp;
