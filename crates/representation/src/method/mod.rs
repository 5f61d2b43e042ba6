//! Stage-1 methods: one file each.

mod base;
mod ce;
mod mpcl;

pub use base::{MetaBatches, Method, PrototypeExport, build};
pub use ce::Ce;

pub use mpcl::{MetaStep, Mpcl, MpclSettings, Phase};
