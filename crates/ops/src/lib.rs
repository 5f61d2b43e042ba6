//! The kernels that training convolutional networks needs: pure functions over slices, without
//! autograd.
//!
//! Activations are channels-last, `(N, H, W, C)`; weights are in PyTorch's layout. Every kernel is
//! written once over [`Real`] and compiled for several sets of vector instructions, of which the
//! best one is taken when the program runs. Work is shared out over rayon's threads, and the order
//! in which sums are taken is a function of shapes only: the number of threads changes no bit.
//!
//! For whoever writes a network or an optimiser: autograd, networks and files are other crates' (`longtail-backbone`,
//! `longtail-training`). Where to start:
//!
//! - [`conv2d`], batch norm, pooling, [`cross_entropy`], [`gemm`], [`sgd_step`]: forward and backward over slices, each with its
//!   formula and shapes.
//! - [`stream`]: a random stream as a function of (seed, purpose, epoch, index), the source of every random number in the workspace.
//! - [`gpu`]: the same kernels on an NVIDIA GPU, or on the emulated device of the tests.
//!
//! ```
//! use longtail_ops::{stream, uniform};
//!
//! let draw = |epoch| uniform(&mut stream(0, "augment", epoch, 7));
//! assert!(draw(1) == draw(1) && draw(1) != draw(2)); // whoever asks, in whatever order
//! ```
//!
//! Wrong slice lengths are programming errors and panic with a message in words; bad *data*
//! (labels) is an [`OpsError`].

mod conv;
mod error;
mod flat;
mod gemm;
pub mod gpu;
mod norm;
mod optim;
mod philox;
mod pool;
mod power;
mod product;
mod random;
mod real;
mod scratch;
mod shortcut;
mod simd;
mod softmax;

pub use conv::{
    ConvShape, InputGradient, Mask, NormRest, Operand, Tally, ThroughNorm, Workspace, conv2d, conv2d_backward,
    conv2d_backward_input, conv2d_backward_weight, conv2d_fused, tally_rows,
};
pub use error::OpsError;
pub use flat::axpy;
pub use gemm::{gemm, gemm_single};
pub use norm::{
    BatchNormShape, batch_norm_apply, batch_norm_backward, batch_norm_statistics, batch_norm_tangent, inverse_std,
    update_running,
};
pub use optim::{AdamStep, SgdStep, adam_step, sgd_step};
pub use philox::{philox_normals, philox4x32_10};
pub use pool::{PoolShape, global_avg_pool, global_avg_pool_backward, max_pool, max_pool_backward, max_pool_tangent};
pub use power::{power, sum_of_squares, weighted_sum};
pub use product::{ColumnsMut, PANEL, Target, split_columns};
pub use rand_chacha::ChaCha8Rng;
pub use random::{below, normal, shuffle, stream, stream_words, uniform};
pub use real::Real;
pub use shortcut::{ShortcutShape, option_a_shortcut, option_a_shortcut_backward};
#[doc(hidden)]
pub use simd::set_simd_path;
pub use simd::{Kernel, SIMD_VARIABLE, SimdError, SimdPath, available_simd_paths, check_simd, dispatch, simd_path};
pub use softmax::{CrossEntropySpec, cross_entropy};
