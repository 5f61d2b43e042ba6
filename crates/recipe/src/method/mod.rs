//! The methods of stage 1. One file a method: its settings with their ranges and defaults, as YAML has them and checked.

mod ce;
mod ema;
mod meta_network;
mod mpcl;

pub use ce::*;
pub use ema::*;
pub use meta_network::*;
pub use mpcl::*;

use crate::data::DataRecipe;
use crate::settings::methods;

/// What the settings of a method of stage 1 are checked against.
pub(crate) struct Stage1 {
    /// Epochs of training.
    pub epochs: usize,
    /// Data set and split.
    pub data: DataRecipe,
}

methods! {
    /// The methods of stage 1.
    RepresentationMethod, RawMethod, Stage1;
    /// Cross-entropy. Written `{ce: {}}`.
    "ce" => Ce(CeRecipe),
    /// Meta-prototype contrastive learning (mpcl_mpfa.md §2 to §5).
    "mpcl" => Mpcl(Box<MpclRecipe>),
}
