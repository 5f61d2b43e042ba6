//! Stage-1 methods: one file each.

mod base;
mod build;
mod ce;
mod mpcl;

pub use base::{MetaBatches, Method, PrototypeExport};
pub use build::build;
pub use ce::Ce;

pub use mpcl::{MetaStep, Mpcl, MpclSettings, Phase};
